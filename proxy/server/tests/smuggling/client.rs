//! Sends bytes to the proxy and listens until everything is decided.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::{BARRIER, FIRST, Received, SEEN};
use crate::reader::{End, Request, read_all};
use crate::side::PATIENCE;

/// A proxy that neither answers nor ends the connection waits for more than was sent. That is an outcome like others;
/// this is how long it takes to believe it. On a slow machine a request may be given up that would have been answered,
/// and the outcome only says less.
const QUIET: Duration = Duration::from_millis(400);

/// Who ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The proxy; or all was answered that there was.
    Closed,
    /// We gave up.
    GaveUp,
}

/// What came of some bytes.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Answers that came from the node.
    pub(crate) answered: usize,
    /// All final statuses that the client saw.
    pub(crate) statuses: Vec<u16>,
    pub(crate) stop: Stop,
    /// Whether the connection was reset, so that answers may be lost.
    pub(crate) reset: bool,
    pub(crate) received: Vec<Received>,
}

impl Outcome {
    /// The requests that the node read, without those of the test itself.
    pub(crate) fn forwarded(&self) -> impl Iterator<Item = &Request> {
        self.received
            .iter()
            .flat_map(|part| &part.requests)
            .filter(|request| ![BARRIER, FIRST].contains(&request.target.as_str()))
    }

    /// Whether the last word was a refusal, or the end without a word.
    pub(crate) fn refused(&self) -> bool {
        self.stop == Stop::Closed && self.statuses.last().is_none_or(|status| *status >= 400)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.statuses, self.stop)?;
        for request in self.forwarded() {
            let Request { method, host, target, chunked, body } = request;
            write!(f, " | {method} {host} {target}{} {}", if *chunked { " chunked" } else { "" }, body.escape_ascii())?;
        }
        self.received.iter().filter_map(|part| part.wrong).try_for_each(|why| write!(f, " | wrong: {why}"))
    }
}

fn occurrences(bytes: &[u8], needle: &[u8]) -> impl Iterator<Item = usize> {
    (0..bytes.len().saturating_sub(needle.len() - 1))
        .filter(move |at| bytes[*at..].get(..needle.len()).is_some_and(|part| part.eq_ignore_ascii_case(needle)))
}

fn statuses(bytes: &[u8]) -> Vec<u16> {
    let status = |at: usize| std::str::from_utf8(bytes.get(at + 9..at + 12)?).ok()?.parse().ok();
    occurrences(bytes, b"HTTP/1.1 ").filter_map(status).filter(|status| *status >= 200).collect()
}

/// A connection to the proxy; `used`: after one sound request.
async fn connect(proxy: SocketAddr, used: bool) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.expect("the proxy accepts");
    if used {
        let request = format!("GET {FIRST} HTTP/1.1\r\nHost: first\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut got)).await.expect("in time");
            assert_ne!(read.expect("an answer"), 0, "a sound request is not answered: {}", got.escape_ascii());
        }
    }
    stream
}

/// Sends the bytes and reads to the end. `received` is not yet known.
pub(crate) async fn send(proxy: SocketAddr, bytes: &[u8], used: bool) -> Outcome {
    let (requests, end) = read_all(bytes);
    let stream = connect(proxy, used).await;
    let (mut from, mut to) = stream.into_split();
    let bytes = bytes.to_vec();
    // The proxy may end the connection before it has read everything.
    let writing = tokio::spawn(async move {
        let _ = to.write_all(&bytes).await;
        to
    });
    let mut got = Vec::new();
    let mut stop = Stop::Closed;
    let mut reset = false;
    loop {
        let answered = occurrences(&got, SEEN.as_bytes()).count();
        if answered == requests.len() && !matches!(end, End::Wrong(_)) {
            // No more can come of it, unless there is a reading by which there is more.
            break;
        }
        match tokio::time::timeout(QUIET, from.read_buf(&mut got)).await {
            Ok(Ok(0)) => break,
            Ok(Ok(_)) => {}
            Ok(Err(_)) => {
                reset = true;
                break;
            }
            Err(_) => {
                stop = Stop::GaveUp;
                break;
            }
        }
    }
    if let Ok(mut to) = writing.await {
        let _ = to.shutdown().await;
    }
    let rest = tokio::time::timeout(PATIENCE, from.read_to_end(&mut got)).await;
    reset |= rest.expect("the proxy ends a connection that the client has ended").is_err();
    let answered = occurrences(&got, SEEN.as_bytes()).count();
    Outcome { answered, statuses: statuses(&got), stop, reset, received: Vec::new() }
}

/// Sends a request that ends the node's connections, and reads its answer.
pub(crate) async fn barrier(proxy: SocketAddr, version: &str) {
    let mut stream = TcpStream::connect(proxy).await.expect("the proxy accepts");
    let request = format!("GET {BARRIER} {version}\r\nHost: barrier\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut got = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut got)).await.expect("in time").expect("an answer");
    assert_eq!(statuses(&got), [200], "what went before spoils a sound request: {}", got.escape_ascii());
}
