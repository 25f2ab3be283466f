//! From an exchange to a tunnel.

use super::At;
use super::frames::Frames;
use super::tunnel::{Opened, Tunnel, Way};
use super::turn::{After, Turn};
use super::work::Work;
use crate::edit::{self, Coding};
use crate::facts::Facts;
use crate::reply::Reply;
use crate::traffic::{Ending, Traffic, Trip};

impl<T: Trip> Work<T> {
    /// The node switched protocols: what the tunnel needs leaves the bench.
    pub(super) fn switch<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        self.replied = Some(at.now);
        self.status = 101;
        let bytes = self.request.filled();
        let Some(protocol) = self.head.upgrade().map(|protocol| protocol.of(bytes)) else {
            return self.abandon(at, Ending::CutOff);
        };
        let frames = protocol.eq_ignore_ascii_case(b"websocket").then(Frames::default);
        let mut down = self.to_client.rest().to_vec();
        let facts = Facts::new(&self.head, bytes, at.peer);
        let reply = Reply::new(&self.reply_head, self.reply.filled());
        // What it says of the body is void: none follows.
        let _ = self.trip.as_mut().is_some_and(|trip| trip.replied(&reply));
        let trip = self.trip.as_ref();
        let drops = |name: &[u8]| trip.is_some_and(|trip| trip.reply_drops(name));
        edit::response(&mut down, &self.reply_head, self.reply.filled(), Coding::Plain, false, drops, |out| {
            edit::upgrade(out, protocol);
            trip.into_iter().for_each(|trip| trip.reply_lines(&facts, out));
        });
        let before = down.len();
        down.extend_from_slice(&self.reply.filled()[self.reply_head.end()..]);
        let end = self.head.end();
        let (up, request) = (bytes[end..].to_vec(), bytes[..end].to_vec());
        let (Some(trip), Some(attempt), Some(link)) = (self.trip.take(), self.attempt.take(), self.link.take()) else {
            return Turn::Done(After::Close);
        };
        let opened = Opened {
            trip,
            head: std::mem::take(&mut self.head),
            request,
            attempt,
            reused: link.reused,
            began: self.began,
            sent: self.sent,
            replied: self.replied,
            node: link.stream.into_inner(),
            idle: self.timeouts.idle,
        };
        let (up, down) = (Way::holding(up, 0, frames.clone()), Way::holding(down, before, frames));
        self.tunnel = Some(Box::new(Tunnel::new(opened, up, down, at.now)));
        Turn::Done(After::Tunnel)
    }
}
