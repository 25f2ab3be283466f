//! One attempt after another: what the exchange in `core` wants, carried out.

use std::io;

use pointsman_core::cluster::node::Address;
use pointsman_core::exchange::{Action, Attempt, Event, Failure, FailureClass, Reason};
use pointsman_core::facts::{RequestFacts, is_idempotent};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::TcpStream;

use super::At;
use super::download::Download;
use super::turn::{Phase, Turn};
use super::upload::Upload;
use super::work::{Link, Work};
use crate::edit;
use crate::facts::Facts;
use crate::head::Framing;
use crate::traffic::{Traffic, Trip};
use crate::worker::{self, Keep};

/// Begins to connect. At a Unix socket that is done at once or not at all: one whose queue is full says EAGAIN, and nothing
/// tells when it has room again (connect(2)), so that is a node that cannot be connected to.
fn dial(address: &Address) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    match address {
        Address::Ip(address) => {
            let socket = Socket::new(Domain::for_address(*address), kind, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&(*address).into()) {
                Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(e),
                _ => {}
            }
            TcpStream::from_std(socket.into())
        }
        Address::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, kind, None)?;
            socket.connect(&SockAddr::unix(path)?)?;
            // See `socket.rs`.
            TcpStream::from_std(socket.into())
        }
    }
}

impl<T: Trip> Work<T> {
    /// Tells the exchange what happened and begins what it wants.
    pub(super) fn advance<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>, mut event: Event) -> Turn {
        loop {
            let Some(trip) = &mut self.trip else { return Turn::Done(super::turn::After::Close) };
            let facts = Facts::new(&self.head, self.request.filled(), at.peer);
            match trip.step(event, &facts, at.now) {
                Action::Connect(_) if self.upload.dropped => return self.answer(at, &Reason::Reset),
                Action::Connect(attempt) => {
                    self.leave_node(at);
                    if self.connect(at, attempt, false).is_ok() {
                        return Turn::Go;
                    }
                    event = Event::Failed(self.failure(FailureClass::Connect));
                }
                Action::Wait { until } => {
                    self.leave_node(at);
                    self.attempt = None;
                    self.phase = Phase::Waiting;
                    self.deadline = until;
                    return Turn::Go;
                }
                Action::PassOn => {
                    self.pass_on(at);
                    self.phase = Phase::Relay;
                    return Turn::Go;
                }
                Action::Answer(reason) => return self.answer(at, &reason),
            }
        }
    }

    /// Takes or begins a connection to the attempt's node. `fresh`: not one that served before.
    fn connect<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>, attempt: Attempt, fresh: bool) -> io::Result<()> {
        let once = !is_idempotent(Facts::new(&self.head, self.request.filled(), at.peer).method());
        let (incarnation, address) = (attempt.node.incarnation.0, &attempt.node.spec.address);
        let pooled = if fresh { None } else { worker::take_upstream(incarnation, address, once) };
        let reused = pooled.is_some();
        if !fresh {
            self.wrote = false;
        }
        self.link = None;
        let stream = pooled.map_or_else(|| dial(address), Ok);
        self.attempt = Some(attempt);
        self.sent = None;
        self.replied = None;
        self.to_node.clear();
        self.reply.clear();
        self.reply_head.reset(0);
        self.download = Download::default();
        self.upload = Upload::new(self.head.framing(), self.head.end());
        if let Some(trip) = &self.trip {
            self.timeouts = trip.timeouts();
        }
        self.link = Some(Link { stream: stream?.into(), reused, wrote: false });
        if reused {
            self.send_head(at);
        } else {
            self.phase = Phase::Dial;
            self.deadline = at.now + self.timeouts.connect;
        }
        Ok(())
    }

    /// Stages the request's head; the relay writes it with what there is of the body.
    pub(super) fn send_head<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) {
        self.phase = Phase::Relay;
        self.deadline = at.now + self.timeouts.response;
        let bytes = self.request.filled();
        let facts = Facts::new(&self.head, bytes, at.peer);
        let (Some(trip), Some(attempt)) = (&mut self.trip, &self.attempt) else { return };
        edit::request(
            &mut self.to_node.bytes,
            &self.head,
            bytes,
            trip.changes_path().then_some(|out: &mut Vec<u8>| trip.path(&facts, out)),
            !trip.changes_host(),
            |name| (self.told_to_go_on && name.eq_ignore_ascii_case(b"expect")) || trip.drops(name),
            |out| trip.request_lines(&facts, attempt, out),
        );
        trip.sending(&facts, &self.to_node.bytes);
        let expects = self.head.expects_continue() && !self.told_to_go_on;
        self.upload.awaits_go_ahead = expects && self.head.framing() != Framing::None;
        // A flaw in the body shows again, and is answered, when the relay stages the rest.
        let _ = self.upload.flow.stage(&self.request, &mut self.to_node, &at.lane.options().limits);
    }

    fn failure(&self, class: FailureClass) -> Failure {
        let sent = self.wrote || self.link.as_ref().is_some_and(|link| link.wrote);
        Failure { class, sent, replayable: !self.upload.dropped }
    }

    /// The attempt failed before anything of a final response went to the client.
    pub(super) fn node_failed<F: Traffic<Trip = T>>(&mut self, at: &mut At<'_, '_, F>, class: FailureClass) -> Turn {
        if class == FailureClass::Reset
            && self.may_dial_again()
            && let Some(attempt) = self.attempt.take()
        {
            self.wrote |= self.link.as_ref().is_some_and(|link| link.wrote);
            return match self.connect(at, attempt, true) {
                Ok(()) => Turn::Go,
                Err(_) => self.advance(at, Event::Failed(self.failure(FailureClass::Connect))),
            };
        }
        let failure = self.failure(class);
        if !matches!(class, FailureClass::Status(_)) {
            self.link = None;
        }
        self.advance(at, Event::Failed(failure))
    }

    /// A connection that served before may have been closed by the node just as the request was sent. That is no fault
    /// of the node's and costs no attempt, where sending again is safe (RFC 9112 §9.3.1).
    fn may_dial_again(&self) -> bool {
        let Some(link) = &self.link else { return false };
        let method = std::str::from_utf8(self.head.method().of(self.request.filled())).unwrap_or_default();
        link.reused && !self.download.heard && !self.upload.dropped && (!link.wrote || is_idempotent(method))
    }

    /// Leaves the node of a response that is not passed on. Its connection is kept if the whole response is here.
    fn leave_node<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) {
        if self.download.heard && self.reply_head.status() >= 200 && self.reply_head.keeps_alive() {
            let head = self.head.method().of(self.request.filled()) == b"HEAD";
            let length = match self.reply_head.framing(head) {
                Framing::None => Some(0),
                Framing::Length(length) => usize::try_from(length).ok(),
                Framing::Chunked | Framing::UntilClose => None,
            };
            if length.and_then(|length| length.checked_add(self.reply_head.end())) == Some(self.reply.len()) {
                self.keep_link(at);
            }
        }
        self.link = None;
    }

    /// Gives the connection back after a whole response, if both sides let it live and nothing unasked for came.
    pub(super) fn return_link<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) {
        if self.download.keep && self.download.used() == self.reply.len() {
            self.keep_link(at);
        }
    }

    fn keep_link<F: Traffic<Trip = T>>(&mut self, at: &At<'_, '_, F>) {
        if !self.upload.flow.ended || self.upload.broken || !self.to_node.is_empty() {
            return;
        }
        let (Some(link), Some(attempt)) = (self.link.take(), &self.attempt) else { return };
        let options = at.lane.options();
        let keep = Keep {
            incarnation: attempt.node.incarnation.0,
            address: attempt.node.spec.address.clone(),
            now: at.now,
            idle: self.timeouts.idle,
            per_node: options.pool_per_node,
            per_worker: options.pool_per_worker,
        };
        self.reused = link.reused;
        worker::put_upstream(link.stream.into_inner(), &keep);
    }
}
