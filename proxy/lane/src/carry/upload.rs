//! The way up: the request's head and body to the node.

use std::task::Poll;

use super::At;
use super::flow::Flow;
use super::turn::Broke;
use super::work::Work;
use crate::edit::Coding;
use crate::flaw::Flaw;
use crate::head::Framing;
use crate::options::Limits;
use crate::traffic::{Traffic, Trip};

/// How much of a body is held so that it can be sent again.
const REPLAY: usize = 64 * 1024;

/// The request's body on its way.
#[derive(Debug)]
pub(super) struct Upload {
    /// The body.
    pub(super) flow: Flow,
    /// Whether bytes of the body are gone from the buffer, so that it cannot be sent again.
    pub(super) dropped: bool,
    /// Whether the node takes no more of it.
    pub(super) broken: bool,
    /// Whether the client waits for 100 (Continue), so that its silence is no fault.
    pub(super) awaits_go_ahead: bool,
}

impl Upload {
    pub(super) fn new(framing: Framing, cursor: usize) -> Self {
        let coding = if framing == Framing::Chunked { Coding::Chunked } else { Coding::Plain };
        Self { flow: Flow::new(framing, coding, cursor), dropped: false, broken: false, awaits_go_ahead: false }
    }

    /// Whether the body may come, as far as is said beforehand.
    pub(super) fn fits(&self, limits: &Limits) -> bool {
        self.flow.expects() <= limits.body_bytes
    }
}

impl<T: Trip> Work<T> {
    /// Sends as much as goes. An error of the node's is left for the way down to judge: a response may be there already.
    pub(super) fn pump_up<F: Traffic<Trip = T>>(
        &mut self,
        at: &mut At<'_, '_, F>,
        limits: &Limits,
    ) -> Result<(), Broke> {
        if self.upload.broken {
            return Ok(());
        }
        loop {
            if self.upload.flow.bytes > limits.body_bytes {
                return Err(Broke::Flaw(Flaw::BodyTooLarge));
            }
            if !self.to_node.is_empty() {
                let Some(link) = &mut self.link else { return Ok(()) };
                let mut wrote = false;
                let flushed = self.to_node.poll_flush(at.task, &mut link.stream, self.request.filled(), &mut wrote);
                link.wrote |= wrote;
                self.moved |= wrote;
                match flushed {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => {
                        self.upload.broken = true;
                        self.to_node.clear();
                        return Ok(());
                    }
                }
            }
            if self.upload.flow.ended {
                if self.sent.is_none() {
                    self.sent = Some(at.now);
                }
                return if self.client_gone(at) { Err(Broke::Client) } else { Ok(()) };
            }
            self.upload.flow.stage(&self.request, &mut self.to_node, limits).map_err(Broke::Flaw)?;
            if self.to_node.is_empty() && !self.upload.flow.ended {
                self.make_room_for_body();
                match self.request.poll_fill(at.task, at.client) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(0) | Err(_)) => return Err(Broke::Client),
                    Poll::Ready(Ok(_)) => {
                        self.moved = true;
                        self.upload.awaits_go_ahead = false;
                    }
                }
            }
        }
    }

    /// Room for more of the body: beside what was sent as long as that may have to be sent again, then in its place.
    fn make_room_for_body(&mut self) {
        let (start, cursor) = (self.head.end(), self.upload.flow.cursor);
        let held = self.request.len() - start;
        if !self.request.is_full() && !self.upload.dropped {
            return;
        }
        if !self.upload.dropped && held < REPLAY && !self.download.committed {
            self.request.grow((self.request.capacity() * 2).min(start + REPLAY));
            return;
        }
        if cursor > start {
            self.upload.dropped = true;
            self.request.discard(start..cursor);
            self.upload.flow.cursor = start;
        }
        if self.request.is_full() {
            self.request.grow(self.request.capacity() * 2);
        }
    }
}
