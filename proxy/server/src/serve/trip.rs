//! One request on its way: what the gateway remembers of it from head to last byte.

use std::future::poll_fn;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::HeaderValue;
use pointsman_config::plan::{ForwardedHeaders, Timeouts};
use pointsman_core::barrier::Pass;
use pointsman_core::cluster::node::Node;
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Action, Attempt, Event, Exchange, Failure, FailureClass, Reason, Scene, WaitsFor};
use pointsman_core::facts::{RequestFacts, is_idempotent};
use pointsman_core::key::body::{Progress, WithBody};
use pointsman_core::origin::Origin;
use pointsman_core::pick::picker::By;

use super::ahead::Ahead;
use super::books::Books;
use super::deadline::Deadline;
use super::epoch;
use super::outcome::{count, note, timeouts};
use super::owned::Lesson;
use super::{scene, sticky};
use crate::world::{Course, Mirror, Service, Sticky, clock};
use underway::Underway;

mod account;
mod underway;

/// One pick in so many is timed: reading the clock twice costs as much as a pick.
pub(super) const TIMED: u64 = 16;

/// A request's books. Whatever path it takes, they are closed once, in [`super::gateway`].
pub(super) struct Trip {
    started: Instant,
    pub(super) id: HeaderValue,
    /// Whom it comes from, once its head was read.
    pub(super) origin: Option<Origin>,
    pub(super) told: ForwardedHeaders,
    /// Bytes of its body that came.
    pub(super) received: u64,
    /// What its route changes.
    pub(super) course: Option<Arc<Course>>,
    /// What was read of its body for its key.
    pub(super) ahead: Ahead,
    /// Brings the client back to its node, also by the answer that makes it a tunnel.
    pub(super) sticky: Option<Arc<Sticky>>,
    carrier: Carrier,
    /// While somebody may wait for its end; a tunnel's nobody waits for.
    pass: Option<Pass>,
    pub(super) exchange: Exchange,
    idempotent: bool,
    timed: bool,
    attempt: Option<Underway>,
    /// The node that was tried last, and who decided.
    last: Option<(Arc<Node>, By)>,
    head_after: Option<Duration>,
    /// Decided, not yet carried out.
    next: Option<Action>,
    /// Why no node serves it.
    reason: Option<Reason>,
    /// Label under which the proxy answered by itself.
    refused: Option<&'static str>,
    /// What the response's body has still to say of owners.
    pub(super) lesson: Option<Box<Lesson>>,
}

/// Who carries the request.
enum Carrier {
    Nobody,
    Service(Arc<Service>),
    /// Names and counters of a service whose policy must not live as long as the tunnel does.
    Tunnel(Box<Books>),
}

impl Trip {
    pub(super) fn new() -> Self {
        let random = rand::random();
        Self {
            started: Instant::now(),
            id: HeaderValue::from_static(""),
            origin: None,
            told: ForwardedHeaders::default(),
            received: 0,
            course: None,
            ahead: Ahead::default(),
            sticky: None,
            carrier: Carrier::Nobody,
            pass: None,
            exchange: Exchange::new(random),
            idempotent: false,
            timed: random % TIMED == 0,
            attempt: None,
            last: None,
            head_after: None,
            next: None,
            reason: None,
            refused: None,
            lesson: None,
        }
    }

    /// One of several that a request is made into.
    pub(super) fn copy_of(trip: &Self, service: &Arc<Service>) -> Self {
        let mut copy = Self::new();
        copy.id.clone_from(&trip.id);
        (copy.origin, copy.told) = (trip.origin, trip.told);
        copy.course.clone_from(&trip.course);
        copy.take(Arc::clone(service));
        copy
    }

    /// The route says that this service carries it.
    pub(super) fn take(&mut self, service: Arc<Service>) {
        self.sticky.clone_from(&service.sticky);
        self.carrier = Carrier::Service(service);
    }

    /// Whoever waits for the requests before theirs waits for this one from now on.
    pub(super) fn enter(&mut self) {
        self.pass = self.service().and_then(|service| service.enter());
    }

    /// As [`Trip::enter`], for one that has waited itself.
    pub(super) fn admit(&mut self, pass: Pass) {
        self.pass = Some(pass);
    }

    /// The service, until a tunnel lets go of it.
    pub(super) fn service(&self) -> Option<&Arc<Service>> {
        match &self.carrier {
            Carrier::Service(service) => Some(service),
            Carrier::Nobody | Carrier::Tunnel(_) => None,
        }
    }

    /// Until what the last step waits for has come.
    pub(super) async fn wake(&self) {
        match (self.exchange.waits_for(), self.service()) {
            (Some(WaitsFor::Permit(in_flight)), _) => poll_fn(|task| in_flight.poll(task.waker())).await,
            (Some(WaitsFor::Change(version, keys)), Some(service)) => {
                tokio::select! {
                    () = service.state.feed.newer_than(version) => {}
                    () = poll_fn(|task| keys.map_or(Poll::Pending, |keys| keys.poll(task.waker()))) => {}
                }
            }
            _ => {}
        }
    }

    /// Where to connect.
    pub(super) fn node(&self) -> Option<&Arc<Node>> {
        self.last.as_ref().map(|(node, _)| node)
    }

    pub(super) fn step(&mut self, worker: usize, head: &impl RequestFacts, event: Event) -> Action {
        let Carrier::Service(service) = &self.carrier else { return Action::Answer(Reason::NoRoute) };
        let facts = WithBody { head, body: self.ahead.reader.as_ref() };
        let stuck = sticky::node(service, head, event);
        let scene = Scene { stuck, ..scene::of(service, worker, &facts) };
        self.idempotent = is_idempotent(head.method());
        let before = (self.timed && event == Event::Start).then(Instant::now);
        let action = self.exchange.step(&scene, event, clock::now());
        if let Some(before) = before {
            service.metrics.pick_took(before.elapsed());
        }
        count(&service.metrics, event, &action);
        action
    }

    /// Whether more than its head has to be read before anybody is asked.
    pub(super) fn looks_ahead(&mut self, worker: usize, head: &impl RequestFacts) -> bool {
        if let Some(service) = self.service().filter(|service| !service.plan.places.is_empty()).cloned() {
            self.ahead.reader = self.exchange.reader(&scene::of(&service, worker, head), clock::now());
        }
        self.ahead.reader.as_ref().is_some_and(|reader| reader.progress() == Progress::More)
    }

    /// The next attempt is at this node.
    pub(super) fn aim(&mut self, node: &Arc<Node>) {
        self.last = Some((Arc::clone(node), By::Policy));
    }

    pub(super) fn begin(&mut self, attempt: Attempt) {
        let epoch = self.service().and_then(|service| epoch::of(service, &attempt));
        self.received = 0;
        self.ahead.again();
        self.last = Some((attempt.node, attempt.by));
        self.head_after = None;
        self.attempt = Some(Underway::new(attempt.in_flight, epoch));
    }

    /// What the node is told of the primary.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.attempt.as_ref().and_then(|attempt| attempt.epoch)
    }

    /// What was decided when the attempt before failed.
    pub(super) fn take_next(&mut self) -> Option<Action> {
        self.next.take()
    }

    /// A connection stands: from now on it is watched.
    pub(super) fn connected(&mut self, socket: RawFd) {
        if let Some(attempt) = &mut self.attempt {
            attempt.deadline = Some(Deadline::on(socket));
        }
    }

    /// Who gets a copy of what is about to be sent: with the first attempt only.
    pub(super) fn copied(&self) -> Option<(&Arc<Mirror>, Origin)> {
        let mirror = self.course.as_ref()?.mirror.as_ref()?;
        self.origin.filter(|_| self.exchange.attempts() == 1).map(|origin| (mirror, origin))
    }

    /// From here on bytes of the request may reach the node.
    pub(super) fn sending(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.sent = true;
        }
    }

    /// The request is sent whole: the head must come in time.
    pub(super) fn sent(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.waits_for_client = false;
        }
        if self.head_after.is_none()
            && let Some(service) = self.service()
        {
            self.expect_within(self.timeouts(service).response);
        }
    }

    /// The client has to send more of the request, in time.
    pub(super) fn waiting(&mut self, silence: Duration) {
        if self.head_after.is_none()
            && let Some(attempt) = &mut self.attempt
        {
            attempt.waits_for_client = true;
            self.expect_within(silence);
        }
    }

    /// Whether it is the client who is slow.
    pub(super) fn waits_for_client(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.waits_for_client)
    }

    /// Bytes passed: the next must come in time.
    pub(super) fn passing(&self) {
        match &self.carrier {
            Carrier::Service(service) if self.head_after.is_some() => self.expect_within(service.plan.timeouts.idle),
            Carrier::Tunnel(books) => self.expect_within(books.idle),
            Carrier::Service(_) | Carrier::Nobody => {}
        }
    }

    /// Those of the service, shorter where another attempt may follow this one.
    pub(super) fn timeouts(&self, service: &Service) -> Timeouts {
        timeouts(service, self.idempotent, &self.exchange)
    }

    fn expect_within(&self, silence: Duration) {
        if let Some(deadline) = self.attempt.as_ref().and_then(|attempt| attempt.deadline.as_ref()) {
            deadline.within(Some(silence));
        }
    }

    /// Whether the node was silent for too long.
    pub(super) fn late(&self) -> bool {
        self.attempt.as_ref().and_then(|attempt| attempt.deadline.as_ref()).is_some_and(Deadline::passed)
    }

    /// The response is read whole: the connection is no longer ours to watch.
    pub(super) fn read_whole(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.deadline = None;
        }
    }

    /// The response head is there.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(attempt) = &mut self.attempt {
            attempt.answered = Some(status);
        }
        if let (Some(attempt), Some(metrics)) = (&self.attempt, self.metrics()) {
            let took = attempt.started.elapsed();
            metrics.upstream(took);
            self.head_after = Some(took);
        }
        self.passing();
    }

    /// The attempt failed. True: another one was decided.
    pub(super) fn fail(
        &mut self,
        worker: usize,
        facts: &impl RequestFacts,
        class: FailureClass,
        replayable: bool,
    ) -> bool {
        self.note(Outcome::Failed(class));
        let sent = self.attempt.as_ref().is_some_and(|attempt| attempt.sent);
        let has_response = matches!(class, FailureClass::Status(_));
        match self.step(worker, facts, Event::Failed(Failure { class, sent, replayable })) {
            again @ (Action::Connect(_) | Action::Wait { .. }) => {
                self.attempt = None;
                self.next = Some(again);
            }
            Action::Answer(reason) if !has_response => {
                self.attempt = None;
                self.reason = Some(reason);
            }
            Action::Answer(_) | Action::PassOn => {}
        }
        self.next.is_some()
    }

    /// Writes down how the attempt went, unless that was done.
    pub(super) fn note(&mut self, outcome: Outcome) {
        if let (Carrier::Service(service), Some(attempt), Some((node, _))) =
            (&self.carrier, &mut self.attempt, &self.last)
            && !std::mem::replace(&mut attempt.noted, true)
        {
            note(service, node, outcome);
        }
    }

    /// However the attempt goes on, it is not held against the node.
    pub(super) fn excuse(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.noted = true;
        }
    }

    /// Writes down what the node answered, unless it was written down that the answer is no good.
    fn note_answer(&mut self) {
        if let Some(status) = self.attempt.as_ref().and_then(|attempt| attempt.answered) {
            self.note(Outcome::Answered(status));
        }
    }

    /// Whether another attempt was decided already.
    pub(super) fn goes_on(&self) -> bool {
        self.next.is_some()
    }

    /// No node serves it.
    pub(super) fn refuse(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    /// Why no node serves it.
    pub(super) fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The proxy answered by itself.
    pub(super) fn refused(&mut self, label: &'static str) {
        self.refused = Some(label);
    }

    /// It became a tunnel: its counts stay, but the service and its policy go, or a policy would live for hours after
    /// its swap.
    pub(super) fn let_go(&mut self) {
        self.note_answer();
        self.pass = None;
        if let Carrier::Service(service) = &self.carrier {
            self.carrier = Carrier::Tunnel(Box::new(Books::of(service)));
        }
    }

    /// Bytes passed, if it became a tunnel.
    pub(super) fn passed(&self, up: usize, down: usize) {
        if let Carrier::Tunnel(books) = &self.carrier {
            books.open.passed(up as u64, down as u64);
        }
    }
}
