//! Pages of our own: refusals of the exchange's, and of what is malformed.

use std::task::Poll;

use pointsman_core::exchange::Reason;

use super::At;
use super::turn::{After, Phase, Turn};
use super::work::Work;
use crate::edit;
use crate::facts::Facts;
use crate::flaw::Flaw;
use crate::traffic::{Ending, Traffic, Trip};

impl<T: Trip> Work<T> {
    /// Answers for the exchange.
    pub(super) fn answer<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>, reason: &Reason) -> Turn {
        self.link = None;
        self.page.clear();
        let facts = Facts::new(&self.head, self.request.filled(), at.peer);
        if let Some(trip) = &mut self.trip {
            trip.page(reason, &facts, &mut self.page);
        }
        self.show_page(at)
    }

    /// Begins to write the page, after which the connection may go on.
    pub(super) fn show_page<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) -> Turn {
        // What is here of the request's body is read over; if more is to come, it is not worth waiting for.
        self.close |= !self.upload.flow.skim(&self.request, &at.lane.options().limits) || at.lane.traffic().draining();
        self.status = self.page.status;
        self.write_down_page(at);
        Turn::Go
    }

    /// Refuses what is malformed, and ends the connection: where the next request begins is anybody's guess.
    pub(super) fn reject<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>, flaw: Flaw) -> Turn {
        self.link = None;
        self.page.clear();
        if let Some(trip) = &mut self.trip {
            trip.flaw_page(flaw, &Facts::new(&self.head, self.request.filled(), at.peer), &mut self.page);
            self.ending = Ending::Rejected;
        } else {
            at.lane.traffic().reject(flaw, at.peer, &mut self.page);
            if flaw == Flaw::RequestLine && at.lane.options().prior_knowledge {
                return Turn::Done(After::Linger);
            }
        }
        self.status = self.page.status;
        self.close = true;
        self.upload.flow.ended = false;
        self.write_down_page(at);
        Turn::Go
    }

    fn write_down_page<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) {
        let out = &mut self.to_client.bytes;
        out.extend_from_slice(b"HTTP/1.1 ");
        edit::decimal(out, u64::from(self.page.status));
        out.push(b' ');
        out.extend_from_slice(edit::reason(self.page.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.page.fields);
        edit::content_length(out, self.page.body.len() as u64);
        if self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if self.head.method().of(self.request.filled()) != b"HEAD" {
            out.extend_from_slice(&self.page.body);
        }
        self.phase = Phase::Page;
        self.deadline = at.now + at.lane.options().send_timeout;
    }

    pub(super) fn write_page<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        match self.to_client.poll_flush(at.task, at.client, &[], &mut self.moved) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Ok(())) => {
                self.finish(at, self.ending);
                self.next_request()
            }
            Poll::Ready(Err(_)) => {
                self.finish(at, Ending::ClientGone);
                Turn::Done(After::Cut)
            }
        }
    }
}
