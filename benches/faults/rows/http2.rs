//! Rows 21 to 24: what HTTP/2 clients do.

use std::net::SocketAddr;

use crate::rows::{Row, Run, row};

mod floods;
mod frames;
mod heads;

const FLOOD: &str = "≤ 64 KiB of head taken; memory bounded; closed or bounded";

pub(super) const ROWS: &[Row] = &[
    row(
        21,
        "h2-to-h1",
        "HTTP/2 to HTTP/1: CR/LF in values, TE, Connection, bad :path, length mismatch",
        "reset or 400; never forwarded",
        "raw frames",
        &[],
        Run::Now(|t| Box::pin(heads::forbidden(t))),
    ),
    row(
        22,
        "rapid-reset",
        "rapid reset, MadeYouReset",
        "closed within 1,000 resets, < 50 ms CPU; upstream work cancelled",
        "raw frames",
        &[],
        Run::Now(|t| Box::pin(floods::resets(t))),
    ),
    row(
        23,
        "h2-head-floods",
        "CONTINUATION and HPACK floods",
        FLOOD,
        "raw frames, nobody reads",
        &[],
        Run::Now(|t| Box::pin(floods::heads(t))),
    ),
    row(
        24,
        "h2-frame-floods",
        "SETTINGS, PING, empty DATA floods; zero-window stall",
        FLOOD,
        "raw frames, nobody reads",
        &[],
        Run::Now(|t| Box::pin(floods::frames(t))),
    ),
];

/// Reads an answer over HTTP/2, slowly at first; its length, or how it ended.
pub(super) async fn body_of(to: SocketAddr, path: String) -> Result<usize, String> {
    let stream = tokio::net::TcpStream::connect(to).await.map_err(|problem| problem.to_string())?;
    let (mut client, connection) = h2::client::handshake(stream).await.map_err(|problem| problem.to_string())?;
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://a{path}")).body(()).map_err(|problem| problem.to_string())?;
    let (response, _) = client.send_request(request, true).map_err(|problem| problem.to_string())?;
    let mut body = response.await.map_err(|problem| problem.to_string())?.into_body();
    // The window stays shut, so the node is still sending when it is killed; what was sent before is read first.
    let mut length = 0;
    while let Some(piece) = body.data().await {
        length += piece.map_err(|problem| problem.to_string())?.len();
    }
    Ok(length)
}

/// The bytes of a client that asks for one thing.
pub(super) fn ask(path: &str) -> Vec<u8> {
    let head = frames::head("GET", path, &[]);
    [frames::HELLO, &frames::frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, 1, &head)].concat()
}

/// How often the proxy said that it goes away, and whether it answered the first stream well.
pub(super) fn farewell(bytes: &[u8]) -> (usize, bool) {
    let said = frames::read(bytes);
    let answered = frames::ended(&said, 1) == "200";
    (said.iter().filter(|(kind, ..)| *kind == frames::GOAWAY).count(), answered)
}
