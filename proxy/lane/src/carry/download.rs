//! The way down: the node's response to the client.

use std::task::Poll;

use pointsman_core::exchange::FailureClass;

use super::At;
use super::flow::Flow;
use super::turn::Broke;
use super::work::Work;
use crate::edit::{self, Coding};
use crate::facts::Facts;
use crate::head::Framing;
use crate::options::Limits;
use crate::reply::Reply;
use crate::traffic::{Traffic, Trip};

/// Size of the buffer for a long body: the most that one read takes. A client that does not read holds as much, and what its
/// connection costs beside that, which together shall be no more than 64 KiB.
const LARGE: usize = 32 * 1024;

/// The response on its way.
#[derive(Debug, Default)]
pub(super) struct Download {
    body: Option<Flow>,
    /// Up to where the buffer has been used, before the body begins.
    cursor: usize,
    interim: u32,
    /// Whether a byte came from the node in this attempt.
    pub(super) heard: bool,
    /// Whether the final head is on its way to the client: from here on nothing can be taken back.
    pub(super) committed: bool,
    /// Whether the node lets the connection live.
    pub(super) keep: bool,
    /// Whether the trip wants to see the body.
    watched: bool,
}

impl Download {
    /// Whether the response's end was found and staged.
    pub(super) fn is_over(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.ended)
    }

    /// Payload bytes taken for writing.
    pub(super) fn bytes(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.bytes)
    }

    /// Up to where the buffer has been used.
    pub(super) fn used(&self) -> usize {
        self.body.as_ref().map_or(self.cursor, |body| body.cursor)
    }
}

impl<T: Trip> Work<T> {
    /// Passes on as much as goes.
    pub(super) fn pump_down<F: Traffic<Trip = T>>(
        &mut self,
        at: &mut At<'_, '_, F>,
        limits: &Limits,
    ) -> Result<(), Broke> {
        loop {
            if !self.to_client.is_empty() {
                let flushed = self.to_client.poll_flush(at.task, at.client, self.reply.filled(), &mut self.moved);
                match flushed {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Err(_)) => return Err(Broke::Client),
                    Poll::Ready(Ok(())) => {}
                }
            }
            if self.download.is_over() {
                return Ok(());
            }
            if self.reply.len() > self.download.used() {
                self.use_reply(at, limits)?;
                if !self.to_client.is_empty() || self.download.is_over() {
                    continue;
                }
            }
            self.make_room_for_reply(limits);
            let Some(link) = &mut self.link else { return Ok(()) };
            match self.reply.poll_fill(at.task, &mut link.stream) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => self.node_closed()?,
                Poll::Ready(Err(_)) => return Err(Broke::Node(self.cut_class())),
                Poll::Ready(Ok(_)) => {
                    self.moved = true;
                    self.download.heard = true;
                }
            }
        }
    }

    /// Reads heads and body pieces out of the buffer.
    fn use_reply<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>, limits: &Limits) -> Result<(), Broke> {
        while self.download.body.is_none() {
            match self.reply_head.parse(self.reply.filled(), limits) {
                Ok(false) => return Ok(()),
                Err(_) => return Err(Broke::Node(FailureClass::Malformed)),
                Ok(true) if self.switches() => return Err(Broke::Switched),
                Ok(true) if self.reply_head.status() < 200 => self.pass_interim(limits)?,
                Ok(true) => {
                    self.replied = Some(at.now);
                    let status = self.reply_head.status();
                    if status >= 400 {
                        return Err(Broke::Node(FailureClass::Status(status)));
                    }
                    self.pass_on(at);
                }
            }
        }
        self.stage_reply(limits)
    }

    fn stage_reply(&mut self, limits: &Limits) -> Result<(), Broke> {
        let Some(body) = &mut self.download.body else { return Ok(()) };
        let staged = match self.trip.as_mut().filter(|_| self.download.watched) {
            Some(trip) => body.stage_seen(&self.reply, &mut self.to_client, limits, |bytes| trip.reply_body(bytes)),
            None => body.stage(&self.reply, &mut self.to_client, limits),
        };
        self.watched_whole();
        staged.map_err(|_| Broke::Node(FailureClass::Malformed))
    }

    /// Tells the trip that the body which it wanted to see is over, if it is.
    fn watched_whole(&mut self) {
        if self.download.watched && self.download.is_over() {
            self.download.watched = false;
            self.trip.iter_mut().for_each(Trip::reply_over);
        }
    }

    /// Whether the node switches to the protocol that was asked for. What it was sent is the request and no more, so
    /// nothing of the tunnel's has reached it before.
    fn switches(&self) -> bool {
        let asked = self.head.upgrade().map(|protocol| protocol.of(self.request.filled()));
        let given = self.reply_head.upgrade().map(|protocol| protocol.of(self.reply.filled()));
        self.reply_head.status() == 101
            && self.upload.flow.ended
            && self.to_node.is_empty()
            && asked.zip(given).is_some_and(|(asked, given)| asked.eq_ignore_ascii_case(given))
    }

    /// RFC 9110 §15.2: a proxy passes interim responses on. 101 is none of them: nobody asked for that upgrade here.
    fn pass_interim(&mut self, limits: &Limits) -> Result<(), Broke> {
        self.download.interim += 1;
        if self.reply_head.status() == 101 || self.download.interim > limits.interim {
            return Err(Broke::Node(FailureClass::Malformed));
        }
        let bytes = self.reply.filled();
        edit::response(&mut self.to_client.bytes, &self.reply_head, bytes, Coding::Plain, false, |_| false, |_| {});
        if self.reply_head.status() == 100 {
            self.upload.awaits_go_ahead = false;
        }
        self.download.cursor = self.reply_head.end();
        self.reply_head.reset(self.download.cursor);
        Ok(())
    }

    /// Writes the final head as the client gets it. Nothing can be tried again after this.
    pub(super) fn pass_on<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) {
        let framing = self.reply_head.framing(self.head.method().of(self.request.filled()) == b"HEAD");
        let coding = match framing {
            Framing::Chunked | Framing::UntilClose => Coding::Chunked,
            Framing::None | Framing::Length(_) => Coding::Plain,
        };
        // The rest of the request's body may never come, or be long: the connection ends with this response.
        self.close |= !self.upload.flow.ended || at.lane.traffic().draining();
        self.status = self.reply_head.status();
        let facts = Facts::new(&self.head, self.request.filled(), at.peer);
        let reply = Reply::new(&self.reply_head, self.reply.filled());
        self.download.watched = self.trip.as_mut().is_some_and(|trip| trip.replied(&reply));
        let trip = self.trip.as_ref();
        edit::response(
            &mut self.to_client.bytes,
            &self.reply_head,
            self.reply.filled(),
            coding,
            self.close,
            |name| trip.is_some_and(|trip| trip.reply_drops(name)),
            |out| trip.into_iter().for_each(|trip| trip.reply_lines(&facts, out)),
        );
        self.download.keep = self.reply_head.keeps_alive() && framing != Framing::UntilClose;
        self.download.committed = true;
        self.download.body = Some(Flow::new(framing, coding, self.reply_head.end()));
    }

    fn make_room_for_reply(&mut self, limits: &Limits) {
        let cursor = self.download.used();
        let Some(body) = &mut self.download.body else {
            // Heads are bounded by their offset in the buffer, interim ones included, so it is only ever grown.
            if self.reply.is_full() {
                self.reply.grow(limits.head_bytes.max(self.reply.capacity() + 1));
            }
            return;
        };
        if cursor == self.reply.len() || self.reply.is_full() {
            self.reply.discard(0..cursor);
            body.cursor = 0;
        }
        if body.expects() > self.reply.capacity() as u64 || self.reply.is_full() {
            self.reply.grow(LARGE.max(self.reply.len() + 1));
        }
    }

    /// What the end of the connection means where no body says that it may end so.
    fn cut_class(&self) -> FailureClass {
        if self.download.heard { FailureClass::Malformed } else { FailureClass::Reset }
    }

    fn node_closed(&mut self) -> Result<(), Broke> {
        self.download.keep = false;
        let ended = match &mut self.download.body {
            Some(body) => body.close(&mut self.to_client),
            None => false,
        };
        self.watched_whole();
        if ended { Ok(()) } else { Err(Broke::Node(self.cut_class())) }
    }
}
