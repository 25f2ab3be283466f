//! HTTP/2 frames as bytes (RFC 9113), so that they can be wrong.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The client's first words (section 3.4), with empty settings.
pub(super) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as a literal that is not indexed (RFC 7541 section 6.2.2), without Huffman.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// The head of a request.
pub(super) fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")];
    pseudo.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// What the proxy said: each frame's kind, stream and payload.
pub(super) type Said = Vec<(u8, u32, Vec<u8>)>;

/// Sends bytes on a connection of its own and reads until its end, or until `patience` is over.
pub(super) async fn exchange(to: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Said, String> {
    let problem = |problem: std::io::Error| problem.to_string();
    let mut stream = TcpStream::connect(to).await.map_err(problem)?;
    // It may be cut off while it still sends.
    let _ = stream.write_all(&[HELLO, bytes].concat()).await;
    let mut all = Vec::new();
    let ended = async { while stream.read_buf(&mut all).await.is_ok_and(|bytes| bytes > 0) {} };
    let _ = tokio::time::timeout(patience, ended).await;
    Ok(read(&all))
}

/// Every whole frame.
pub(super) fn read(mut bytes: &[u8]) -> Said {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, _, a, b, c, d, rest @ ..] = bytes {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let Some(payload) = rest.get(..length) else { break };
        frames.push((*kind, u32::from_be_bytes([*a & 0x7f, *b, *c, *d]), payload.to_vec()));
        bytes = &rest[length..];
    }
    frames
}

/// How a stream ended: `reset`, `goaway`, a status, or `nothing`. Statuses that HPACK has numbers for are known.
pub(super) fn ended(said: &Said, stream: u32) -> String {
    for (kind, of, payload) in said {
        match *kind {
            RST_STREAM if *of == stream => return "reset".into(),
            GOAWAY if payload.get(4..8) != Some(&[0; 4]) => return "goaway".into(),
            HEADERS if *of == stream => {
                let first = payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                return match first {
                    Some(0x88) => "200".into(),
                    Some(0x8c) => "400".into(),
                    Some(0x8d) => "404".into(),
                    Some(0x8e) => "500".into(),
                    other => format!("a head that begins with {other:?}"),
                };
            }
            _ => {}
        }
    }
    "nothing".into()
}
