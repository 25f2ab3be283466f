//! One connection to the server under load.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::report::{Answered, Tally};
use super::secure::{Trust, Wire};
use crate::wire::{Body, Head, Malformed, parse_head};

/// One read of the socket at most. Large, or the system calls for large replies would cost more than the server does; memory
/// that no reply reaches is never touched.
const READ: usize = 64 * 1024;

/// What went wrong with one request.
#[derive(Debug)]
pub(super) enum Fault {
    Connect(io::Error),
    Reset(io::Error),
    Closed,
    Timeout,
    Short,
    Malformed(&'static str),
    Status(u16),
    Misrouted,
}

/// A connection with its read buffer.
#[derive(Debug)]
pub(super) struct Link {
    stream: Wire,
    received: Vec<u8>,
}

impl Link {
    pub(super) async fn open(to: SocketAddr, trust: Option<&Trust>) -> Result<Self, Fault> {
        let stream = Wire::open(to, trust).await.map_err(Fault::Connect)?;
        Ok(Self { stream, received: Vec::with_capacity(READ) })
    }

    /// Sends a request and reads its answer to the last byte. The second value: whether the connection may be used again.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        to_head: bool,
        tally: &RefCell<Tally>,
    ) -> Result<(Answered, bool), Fault> {
        self.stream.write_all(request).await.map_err(Fault::Reset)?;
        // TLS may hold back the last record of what it was given.
        self.stream.flush().await.map_err(Fault::Reset)?;
        let mut begun = false;
        loop {
            let mut node = None;
            // Most of the time there is nothing yet, and an empty buffer is cheaper to see here than in the parser.
            let parsed = if self.received.is_empty() {
                None
            } else {
                parse_head(&self.received, to_head, |name, value| {
                    if name.eq_ignore_ascii_case("x-node") {
                        node = Some(tally.borrow_mut().node(value));
                    }
                })?
            };
            match parsed {
                None => {
                    if self.more(tally).await? == 0 {
                        return Err(if begun { Fault::Short } else { Fault::Closed });
                    }
                    begun = true;
                }
                Some(head) if head.status < 200 && head.status != 101 => drop(self.received.drain(..head.bytes)),
                Some(head) => {
                    let keep = self.body(head, tally).await?;
                    return Ok((Answered { status: head.status, node }, keep));
                }
            }
        }
    }

    async fn body(&mut self, head: Head, tally: &RefCell<Tally>) -> Result<bool, Fault> {
        let mut body = Body::new(head.framing);
        let mut taken = head.bytes + body.feed(&self.received[head.bytes..], |_| {})?;
        while !body.is_done() {
            self.received.clear();
            if self.more(tally).await? == 0 {
                return if body.may_end() { Ok(false) } else { Err(Fault::Short) };
            }
            taken = body.feed(&self.received, |_| {})?;
        }
        if taken < self.received.len() && head.status != 101 {
            return Err(Fault::Malformed("bytes behind the answer"));
        }
        self.received.clear();
        Ok(head.keep_alive && head.status != 101)
    }

    async fn more(&mut self, tally: &RefCell<Tally>) -> Result<usize, Fault> {
        let bytes = self.stream.read_buf(&mut self.received).await.map_err(Fault::Reset)?;
        tally.borrow_mut().bytes_received += bytes as u64;
        Ok(bytes)
    }
}

impl From<Malformed> for Fault {
    fn from(problem: Malformed) -> Self {
        Self::Malformed(problem.0)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(out, "no connection: {why}"),
            Self::Reset(why) => write!(out, "reset: {why}"),
            Self::Closed => out.write_str("closed before a byte of the answer"),
            Self::Timeout => out.write_str("no whole answer in time"),
            Self::Short => out.write_str("the answer was cut short"),
            Self::Malformed(why) => write!(out, "malformed: {why}"),
            Self::Status(status) => write!(out, "status {status}"),
            Self::Misrouted => out.write_str("answered by the wrong node"),
        }
    }
}
