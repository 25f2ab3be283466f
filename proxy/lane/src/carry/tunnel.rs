//! After 101 (Switching Protocols): bytes pass both ways, unread but for where WebSocket frames end.
//!
//! A tunnel may live for days, so it holds little: no work bench, no World, and a buffer only while bytes that were read
//! wait to be written. When it has to end (the proxy stops, its node drains) a WebSocket client is told so by a Close
//! frame, put between two frames on their way to it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use pointsman_core::exchange::Attempt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::At;
use super::frames::{self, Frames};
use crate::facts::Facts;
use crate::head::RequestHead;
use crate::stream::Peer;
use crate::traffic::{Ending, Receipt, Traffic, Trip};

/// The most that one read takes, and the most that waits in one direction.
const PIECE: usize = 16 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Read and not yet written.
    pub(super) bytes: Vec<u8>,
    done: usize,
    /// Whether the side that is written may hold back what it took.
    held: bool,
    /// Bytes at the front that are not of the tunnel's protocol: the head of the 101.
    pub(super) before: usize,
    /// Whether the side that is read has ended.
    ended: bool,
    /// Bytes of the tunnel that were written.
    passed: u64,
    /// Where frames end, if it is a WebSocket.
    pub(super) frames: Option<Frames>,
}

/// Which side a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Node,
}

/// The client is to be left, or has been told.
#[derive(Debug)]
struct Leaving {
    code: u16,
    until: Duration,
    told: bool,
}

/// A tunnel.
pub(crate) struct Tunnel<T> {
    pub(super) trip: T,
    /// The request that opened it, and its bytes.
    pub(super) head: RequestHead,
    pub(super) request: Vec<u8>,
    pub(super) attempt: Attempt,
    pub(super) reused: bool,
    pub(super) began: Duration,
    pub(super) sent: Option<Duration>,
    pub(super) replied: Option<Duration>,
    pub(super) node: TcpStream,
    pub(super) up: Way,
    pub(super) down: Way,
    /// How long both sides may be silent.
    pub(super) idle: Duration,
    /// When they have been.
    pub(super) deadline: Duration,
    leaving: Option<Leaving>,
}

impl Way {
    /// What waits to be written.
    fn waiting(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// Whether all that came is through.
    fn is_through(&self) -> bool {
        self.waiting().is_empty() && !self.held
    }

    /// Whether no more will come either.
    fn is_over(&self) -> bool {
        self.ended && self.is_through()
    }

    fn poll_read(&mut self, task: &mut Context<'_>, from: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        self.bytes.clear();
        self.done = 0;
        self.bytes.reserve_exact(PIECE);
        let read = pin!(from.read_buf(&mut self.bytes)).poll(task);
        if self.bytes.is_empty() {
            // Nobody knows for how long nothing comes.
            self.bytes = Vec::new();
        }
        read
    }

    /// Writes up to `most` of what waits.
    fn poll_write(
        &mut self,
        task: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let piece = &self.bytes[self.done..self.done + most];
        let wrote = match Pin::new(to).poll_write(task, piece) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(wrote)) => wrote,
            other => return other,
        };
        let before = wrote.min(self.before);
        self.before -= before;
        if let Some(frames) = &mut self.frames {
            frames.pass(&piece[before..wrote]);
        }
        self.done += wrote;
        self.held = true;
        self.passed += (wrote - before) as u64;
        Poll::Ready(Ok(wrote))
    }
}

impl Way {
    /// Lets go of what is held back; nothing is, on a plain socket.
    fn poll_flush(&mut self, task: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        let flushed = Pin::new(to).poll_flush(task);
        self.held = flushed.is_pending();
        flushed
    }
}

/// What `Tunnel::new` is made of beside the two directions.
pub(super) struct Opened<T> {
    pub(super) trip: T,
    pub(super) head: RequestHead,
    pub(super) request: Vec<u8>,
    pub(super) attempt: Attempt,
    pub(super) reused: bool,
    pub(super) began: Duration,
    pub(super) sent: Option<Duration>,
    pub(super) replied: Option<Duration>,
    pub(super) node: TcpStream,
    pub(super) idle: Duration,
}

impl<T: Trip> Tunnel<T> {
    pub(super) fn new(opened: Opened<T>, up: Way, down: Way, now: Duration) -> Self {
        let Opened { mut trip, head, request, attempt, reused, began, sent, replied, node, idle } = opened;
        trip.tunnel(&attempt);
        let deadline = now + idle;
        Self {
            trip,
            head,
            request,
            attempt,
            reused,
            began,
            sent,
            replied,
            node,
            up,
            down,
            idle,
            deadline,
            leaving: None,
        }
    }

    /// When it wants to be polled at the latest.
    pub(super) fn deadline(&self) -> Duration {
        self.leaving.as_ref().map_or(self.deadline, |leaving| self.deadline.min(leaving.until))
    }

    /// Passes on as much as goes. Ready when it is over.
    pub(super) fn poll<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Poll<Ending> {
        if at.now >= self.deadline() {
            return Poll::Ready(Ending::CutOff);
        }
        if self.leaving.is_none()
            && let Poll::Ready(leave) = self.trip.poll_leave(at.task, &self.attempt.node)
        {
            self.leaving = Some(Leaving { code: leave.code, until: at.now + leave.within, told: false });
        }
        let before = (self.up.passed, self.down.passed);
        let ended = self.pass(at);
        let passed = (self.up.passed - before.0, self.down.passed - before.1);
        if passed != (0, 0) {
            self.deadline = at.now + self.idle;
            self.trip.passed(passed.0, passed.1);
        }
        match ended {
            Err(Side::Client) => Poll::Ready(Ending::ClientGone),
            Err(Side::Node) => Poll::Ready(Ending::CutOff),
            Ok(()) if self.up.is_over() || self.down.is_over() || self.is_answered() => Poll::Ready(Ending::Complete),
            Ok(()) => Poll::Pending,
        }
    }

    /// Whether the client has answered our Close with its own (RFC 6455 §5.5.1): the server ends the connection then.
    fn is_answered(&self) -> bool {
        let answered = self.up.frames.as_ref().is_some_and(|frames| frames.is_closed() && frames.is_between());
        answered && self.leaving.as_ref().is_some_and(|leaving| leaving.told) && self.down.is_through()
    }

    fn pass<F>(&mut self, at: &mut At<'_, '_, F>) -> Result<(), Side> {
        loop {
            if !self.up.waiting().is_empty() {
                let most = self.up.waiting().len();
                match self.up.poll_write(at.task, &mut self.node, most) {
                    Poll::Pending => break,
                    Poll::Ready(wrote) => wrote.map_err(|_| Side::Node)?,
                };
            } else if self.up.held {
                match self.up.poll_flush(at.task, &mut self.node) {
                    Poll::Pending => break,
                    Poll::Ready(flushed) => flushed.map_err(|_| Side::Node)?,
                }
            } else if self.up.ended {
                break;
            } else {
                match self.up.poll_read(at.task, at.client) {
                    Poll::Pending => break,
                    Poll::Ready(read) => self.up.ended = read.map_err(|_| Side::Client)? == 0,
                }
            }
        }
        loop {
            self.say_goodbye();
            if !self.down.waiting().is_empty() {
                let most = self.most_down();
                match self.down.poll_write(at.task, at.client, most) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(wrote) => wrote.map_err(|_| Side::Client)?,
                };
            } else if self.down.held {
                match self.down.poll_flush(at.task, at.client) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(flushed) => flushed.map_err(|_| Side::Client)?,
                }
            } else if self.down.ended {
                return Ok(());
            } else {
                match self.down.poll_read(at.task, &mut self.node) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(read) => self.down.ended = read.map_err(|_| Side::Node)? == 0,
                }
                if self.leaving.as_ref().is_some_and(|leaving| leaving.told) {
                    // Nothing may follow a Close frame (RFC 6455 §5.5.1).
                    self.down.bytes.clear();
                }
            }
        }
    }

    /// How much may be written to the client at once: while it is to be told, no more than to the end of a frame.
    fn most_down(&self) -> usize {
        let waiting = self.down.waiting();
        match (&self.leaving, &self.down.frames) {
            (Some(Leaving { told: false, .. }), Some(frames)) => {
                let before = self.down.before;
                if before > 0 { before } else { frames.before_next(waiting) }
            }
            _ => waiting.len(),
        }
    }

    /// Puts a Close frame in place of what waits for the client, once that begins with a frame.
    fn say_goodbye(&mut self) {
        let (Some(leaving), Some(frames)) = (&mut self.leaving, &self.down.frames) else { return };
        if leaving.told || self.down.before > 0 || !frames.is_between() {
            return;
        }
        leaving.told = true;
        if !frames.is_closed() {
            self.down.bytes = frames::close(leaving.code).to_vec();
            self.down.done = 0;
        }
    }

    /// Gives the receipt.
    pub(super) fn finish(self, peer: &Peer, now: Duration, ending: Ending) {
        let facts = Facts::new(&self.head, &self.request, peer);
        let receipt = Receipt {
            ending,
            status: 101,
            attempt: Some(self.attempt),
            reused: self.reused,
            began: self.began,
            sent: self.sent,
            replied: self.replied,
            ended: now,
            request_bytes: self.up.passed,
            response_bytes: self.down.passed,
        };
        self.trip.finish(&facts, receipt);
    }
}

impl Way {
    /// A direction in which these bytes came already.
    pub(super) fn holding(bytes: Vec<u8>, before: usize, frames: Option<Frames>) -> Self {
        Self { bytes, before, frames, ..Self::default() }
    }
}
