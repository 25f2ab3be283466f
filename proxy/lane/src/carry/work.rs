//! The work bench: what one request needs, and in which phase it is.

use std::task::Poll;
use std::time::Duration;

use pointsman_config::plan::Timeouts;
use pointsman_core::exchange::{Attempt, Event, FailureClass};

use super::At;
use super::buffer::{Buffer, Outbox};
use super::download::Download;
use super::tunnel::Tunnel;
use super::turn::{After, Broke, Phase, Turn};
use super::upload::Upload;
use crate::facts::Facts;
use crate::flaw::Flaw;
use crate::hand_over::HandOver;
use crate::head::{Framing, Parsed, RequestHead, ResponseHead};
use crate::socket::Socket;
use crate::traffic::{Ending, Page, Receipt, Room, Traffic, Trip};

/// First sizes of the buffers: a head with its small body, a reply of 10 KiB. They grow where a message asks for it.
const REQUEST_BUFFER: usize = 8 * 1024;
const REPLY_BUFFER: usize = 16 * 1024;
/// A buffer that was grown beyond this is given up with its request.
const KEPT_BUFFER: usize = 128 * 1024;

pub(super) const NEVER: Duration = Duration::MAX;

/// A connection to a node.
pub(super) struct Link {
    pub(super) stream: Socket,
    /// Whether it served before.
    pub(super) reused: bool,
    /// Whether a byte of the request was taken by the socket.
    pub(super) wrote: bool,
}

/// What one request needs.
pub(crate) struct Work<T> {
    pub(super) phase: Phase,
    pub(super) deadline: Duration,
    /// Whether the connection ends after this request.
    pub(super) close: bool,

    /// From the client: the head at the front, then what is held of the body, then what follows it.
    pub(super) request: Buffer,
    pub(super) head: RequestHead,
    pub(super) upload: Upload,
    /// Whether the client was told to send its body before a node was asked.
    pub(super) told_to_go_on: bool,
    pub(super) to_node: Outbox,

    /// From the node.
    pub(super) reply: Buffer,
    pub(super) reply_head: ResponseHead,
    pub(super) download: Download,
    pub(super) to_client: Outbox,
    pub(super) page: Page,

    pub(super) tunnel: Option<Box<Tunnel<T>>>,
    pub(super) trip: Option<T>,
    pub(super) attempt: Option<Attempt>,
    pub(super) link: Option<Link>,
    pub(super) timeouts: Timeouts,
    pub(super) began: Duration,
    pub(super) sent: Option<Duration>,
    pub(super) replied: Option<Duration>,
    pub(super) status: u16,
    /// How the request ends if its page is written.
    pub(super) ending: Ending,
    /// Whether the connection that was given back had served before.
    pub(super) reused: bool,
    /// Whether bytes of this attempt went to a connection that was given up.
    pub(super) wrote: bool,
    /// Whether a byte moved in this poll.
    pub(super) moved: bool,
}

impl<T> Default for Work<T> {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self {
            phase: Phase::Head,
            deadline: NEVER,
            close: false,
            request: Buffer::new(REQUEST_BUFFER),
            head: RequestHead::default(),
            upload: Upload::new(Framing::None, 0),
            told_to_go_on: false,
            to_node: Outbox::default(),
            reply: Buffer::new(REPLY_BUFFER),
            reply_head: ResponseHead::default(),
            download: Download::default(),
            to_client: Outbox::default(),
            page: Page::default(),
            tunnel: None,
            trip: None,
            attempt: None,
            link: None,
            timeouts: Timeouts { connect: none, response: none, idle: none },
            began: none,
            sent: None,
            replied: None,
            status: 0,
            ending: Ending::Page,
            reused: false,
            wrote: false,
            moved: false,
        }
    }
}

impl<T> Work<T> {
    /// When the bench wants to be polled at the latest.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What was read and is not yet part of a request that was carried.
    pub(super) fn unparsed(&self) -> &[u8] {
        self.request.filled()
    }

    /// Forgets everything, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.request.clear();
        self.reset();
        if self.request.capacity() > KEPT_BUFFER {
            self.request = Buffer::new(REQUEST_BUFFER);
        }
    }

    /// Ready for the next head; what was read of it stays.
    fn reset(&mut self) {
        self.phase = Phase::Head;
        self.deadline = NEVER;
        self.close = false;
        self.head.reset();
        self.upload = Upload::new(Framing::None, 0);
        self.told_to_go_on = false;
        self.to_node.clear();
        self.reply.clear();
        self.reply_head.reset(0);
        self.download = Download::default();
        self.to_client.clear();
        self.page.clear();
        self.tunnel = None;
        self.trip = None;
        self.attempt = None;
        self.link = None;
        self.sent = None;
        self.replied = None;
        self.status = 0;
        self.ending = Ending::Page;
        self.reused = false;
    }

    /// What the buffers of a new bench take.
    pub(super) fn size() -> usize {
        REQUEST_BUFFER + REPLY_BUFFER + size_of::<Self>()
    }
}

impl<T: Trip> Work<T> {
    /// Carries on as far as it goes. Polled first when the client's stream is readable.
    pub(super) fn poll<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Poll<After> {
        self.moved = false;
        if at.now >= self.deadline {
            self.deadline = NEVER;
            if let Turn::Done(after) = self.expire(at) {
                return Poll::Ready(after);
            }
        }
        loop {
            let turn = match self.phase {
                Phase::Head => self.read_head(at),
                Phase::Ahead => self.read_ahead(at),
                Phase::Waiting => self.wait(at),
                Phase::Dial => self.wait_connected(at),
                Phase::Relay => self.relay(at),
                Phase::Page => self.write_page(at),
            };
            match turn {
                Turn::Go => {}
                Turn::Wait => return Poll::Pending,
                Turn::Done(after) => return Poll::Ready(after),
            }
        }
    }

    fn read_head<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        let limits = &at.lane.options().limits;
        loop {
            if self.request.len() > 0 {
                match self.head.parse(self.request.filled(), limits) {
                    Ok(Parsed::Whole) if at.lane.options().upgrades_only && self.head.upgrade().is_none() => {
                        return Turn::Done(After::HandOver(HandOver::Off));
                    }
                    Ok(Parsed::Whole) if at.lane.traffic().room(0) == Room::None => {
                        return self.reject(at, Flaw::NoRoom);
                    }
                    Ok(Parsed::Whole) => return self.begin(at),
                    Ok(Parsed::Foreign(why)) => return Turn::Done(After::HandOver(why)),
                    Err(flaw) => return self.reject(at, flaw),
                    Ok(Parsed::Partial) => {}
                }
            }
            if self.request.is_full() {
                let (size, most) = (self.request.capacity(), limits.head_bytes.max(REQUEST_BUFFER));
                if at.lane.traffic().room(size) != Room::Plenty {
                    return self.reject(at, Flaw::NoRoom);
                }
                self.request.grow((size * 2).min(most));
            }
            match self.request.poll_fill(at.task, at.client) {
                Poll::Pending if self.request.len() == 0 => return Turn::Done(After::Idle),
                Poll::Pending => {
                    if self.deadline == NEVER {
                        self.deadline = at.now + at.lane.options().head_timeout;
                    }
                    return Turn::Wait;
                }
                Poll::Ready(Ok(0) | Err(_)) => return Turn::Done(After::Close),
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    fn relay<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        let limits = &at.lane.options().limits;
        let mut result = self.pump_up(at, limits);
        if result.is_ok() {
            result = self.pump_down(at, limits);
        }
        match result {
            Ok(()) if self.download.is_over() && self.to_client.is_empty() => self.complete(at),
            Ok(()) => {
                if std::mem::take(&mut self.moved) || self.deadline == NEVER {
                    self.deadline = at.now + self.patience(at);
                }
                Turn::Wait
            }
            Err(Broke::Switched) => self.switch(at),
            Err(Broke::Client) => self.abandon(at, Ending::ClientGone),
            Err(Broke::Node(_)) if self.download.committed => self.abandon(at, Ending::CutOff),
            Err(Broke::Node(class)) => self.node_failed(at, class),
            Err(Broke::Flaw(_)) if self.download.committed => self.abandon(at, Ending::Rejected),
            Err(Broke::Flaw(flaw)) => self.reject(at, flaw),
        }
    }

    /// How long the present stretch of a relay may last without a byte.
    fn patience<F: Traffic<Trip = T>>(&self, at: &At<'_, '_, F>) -> Duration {
        if !self.to_client.is_empty() {
            at.lane.options().send_timeout
        } else if self.download.committed {
            self.timeouts.idle
        } else if self.waits_for_body() {
            at.lane.options().body_timeout
        } else {
            self.timeouts.response
        }
    }

    /// Whether the next byte has to come from the client.
    fn waits_for_body(&self) -> bool {
        self.to_node.is_empty() && !self.upload.flow.ended && !self.upload.broken && !self.upload.awaits_go_ahead
    }

    /// The time is over for whatever the phase waits for.
    fn expire<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        match self.phase {
            Phase::Head => self.reject(at, Flaw::SlowHead),
            Phase::Ahead => self.reject(at, Flaw::SlowBody),
            Phase::Waiting => self.advance(at, Event::Wake),
            Phase::Dial => self.node_failed(at, FailureClass::Connect),
            Phase::Page => self.abandon(at, Ending::ClientGone),
            Phase::Relay if !self.to_client.is_empty() => self.abandon(at, Ending::ClientGone),
            Phase::Relay if self.download.committed => self.abandon(at, Ending::CutOff),
            Phase::Relay if self.waits_for_body() => self.reject(at, Flaw::SlowBody),
            Phase::Relay => self.node_failed(at, FailureClass::Timeout),
        }
    }

    /// The response is through.
    fn complete<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>) -> Turn {
        self.return_link(at);
        self.finish(at, Ending::Complete);
        self.next_request()
    }

    /// After a response: the next request, or the end.
    pub(super) fn next_request(&mut self) -> Turn {
        let used = self.upload.flow.cursor;
        if !self.upload.flow.ended || (self.close && used < self.request.len()) {
            return Turn::Done(After::Linger);
        }
        if self.close {
            return Turn::Done(After::Close);
        }
        self.request.discard(0..used);
        self.reset();
        // Whoever waits for the next request asks the socket.
        if self.request.len() == 0 { Turn::Done(After::Idle) } else { Turn::Go }
    }

    /// Ends the exchange and the connection at once, so that the client sees a cut where there is one.
    pub(super) fn abandon<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>, ending: Ending) -> Turn {
        self.link = None;
        self.finish(at, ending);
        Turn::Done(After::Cut)
    }

    /// Gives the receipt, once.
    pub(super) fn finish<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>, ending: Ending) {
        let Some(trip) = self.trip.take() else { return };
        let facts = Facts::new(&self.head, self.request.filled(), at.peer);
        let receipt = Receipt {
            ending,
            status: self.status,
            attempt: self.attempt.take(),
            reused: self.reused || self.link.as_ref().is_some_and(|link| link.reused),
            began: self.began,
            sent: self.sent,
            replied: self.replied,
            ended: at.now,
            request_bytes: self.upload.flow.bytes,
            response_bytes: self.download.bytes(),
        };
        trip.finish(&facts, receipt);
    }
}
