//! From a request's head to the first step of its exchange: where the key stands in the body, that is read first.

use std::task::Poll;

use pointsman_core::exchange::Event;

use super::At;
use super::turn::{After, Phase, Turn};
use super::upload::Upload;
use super::work::Work;
use crate::facts::Facts;
use crate::flaw::Flaw;
use crate::hand_over::HandOver;
use crate::options::Limits;
use crate::traffic::{Ending, Traffic, Trip};

/// RFC 9110 §15.2.1.
const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<T: Trip> Work<T> {
    /// A sound head was read.
    pub(super) fn begin<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        (self.deadline, self.began, self.close) = (super::work::NEVER, at.now, self.head.close());
        self.upload = Upload::new(self.head.framing(), self.head.end());
        let facts = Facts::new(&self.head, self.request.filled(), at.peer);
        let mut trip = at.lane.traffic().begin(&facts, at.now);
        if trip.hands_over() {
            return Turn::Done(After::HandOver(HandOver::Node));
        }
        let fits = self.upload.fits(&at.lane.options().limits);
        let answered = fits && trip.answers(&facts, &mut self.page);
        let ahead = fits && !answered && trip.wants_body(&facts, at.now);
        self.trip = Some(trip);
        if !fits {
            return self.reject(at, Flaw::BodyTooLarge);
        }
        if answered {
            return self.show_page(at);
        }
        if ahead {
            self.phase = Phase::Ahead;
            return Turn::Go;
        }
        self.advance(at, Event::Start)
    }

    /// Reads of the body what the trip wants to see. It stays in the buffer, and is sent from there as if nobody had
    /// looked.
    pub(super) fn read_ahead<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        loop {
            match self.look_ahead(&at.lane.options().limits) {
                Ok(true) => {}
                Ok(false) => return self.advance(at, Event::Start),
                Err(flaw) => return self.reject(at, flaw),
            }
            // Who has begun to send does not wait to be told to.
            if self.head.expects_continue() && !self.told_to_go_on && self.request.len() == self.head.end() {
                self.told_to_go_on = true;
                self.to_client.bytes.extend_from_slice(GO_ON);
            }
            // What the socket does not take now goes out with the next turn, or before the answer.
            if let Poll::Ready(Err(_)) = self.to_client.poll_flush(at.task, at.client, &[], &mut self.moved) {
                return self.abandon(at, Ending::ClientGone);
            }
            if self.request.is_full() {
                self.request.grow(self.request.capacity() * 2);
            }
            match self.request.poll_fill(at.task, at.client) {
                Poll::Pending => {
                    if std::mem::take(&mut self.moved) || self.deadline == super::work::NEVER {
                        self.deadline = at.now + at.lane.options().body_timeout;
                    }
                    return Turn::Wait;
                }
                Poll::Ready(Ok(0) | Err(_)) => return self.abandon(at, Ending::ClientGone),
                Poll::Ready(Ok(_)) => self.moved = true,
            }
        }
    }

    /// Shows the trip what is here of the body. Whether it wants more.
    fn look_ahead(&mut self, limits: &Limits) -> Result<bool, Flaw> {
        let Some(trip) = &mut self.trip else { return Ok(false) };
        let mut more = true;
        let flow = &mut self.upload.flow;
        flow.look(&self.request, limits, |payload| {
            more = trip.body(payload, false);
            more
        })?;
        if flow.bytes > limits.body_bytes {
            return Err(Flaw::BodyTooLarge);
        }
        Ok(more && (!flow.ended || trip.body(&[], true)))
    }
}
