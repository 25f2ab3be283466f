//! What the express lane asks of the server: the same routes, exchange, counters and log line as the gateway's.
//!
//! A trip holds no more than the request needs and allocates nothing on the steady path: the id is 128 bits until it is
//! written, and the client's own headers are read where they lie.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use pointsman_config::plan::{ForwardedHeaders, Timeouts, Told};
use pointsman_core::barrier::Pass;
use pointsman_core::cluster::node::Node;
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Action, Attempt, Event, Exchange, FailureClass, Reason, Scene, WaitsFor};
use pointsman_core::facts::{RequestFacts, is_idempotent};
use pointsman_core::key::body::{BodyReader, Progress, WithBody};
use pointsman_core::origin::Origin;
use pointsman_core::pick::picker::By;
use pointsman_lane::traffic::{Ending, Facts, Flaw, Leave, Page, Peer, Receipt, Reply, Room, Traffic, Trip};

use super::answer::fill;
use super::entry::{Asked, Sent, line};
use super::forwarded::Seen;
use super::mirror::Copier;
use super::outcome::{count, note, timeouts};
use super::stopping::Stopping;
use super::trip::TIMED;
use super::{Shared, ahead, epoch, forwarded, identity, owned, scene, sticky};
use crate::metrics::{NO_SERVICE, ServiceMetrics};
use crate::refusal::{Why, label};
use crate::world::{Course, Service, clock};
use tunnel::Tunnel;

mod books;
mod tunnel;

/// 101, Switching Protocols (RFC 9110 §15.2.2).
const SWITCHING: u16 = 101;

/// The lane's view of one worker.
#[derive(Clone)]
pub(super) struct Express(Arc<Worker>);

struct Worker {
    index: usize,
    shared: Shared,
    /// Counts requests that no route takes.
    unrouted: Arc<ServiceMetrics>,
    stopping: Arc<Stopping>,
    copier: Copier,
}

impl Express {
    pub(super) fn new(index: usize, shared: Shared, copier: Copier, stopping: Arc<Stopping>) -> Self {
        let unrouted = shared.metrics.service(NO_SERVICE, NO_SERVICE);
        Self(Arc::new(Worker { index, shared, unrouted, stopping, copier }))
    }
}

impl Traffic for Express {
    type Trip = Errand;

    fn begin(&self, facts: &Facts<'_>, _: Duration) -> Errand {
        let (service, course, plain, origin, told) = {
            let world = self.0.shared.world.load();
            let route = world.router.find(facts).and_then(|route| world.by_route.get(route));
            let service = route.and_then(|route| route.service().cloned());
            let course = route.and_then(|route| route.course.clone());
            let plain = route.is_none_or(|route| route.plain);
            (service, course, plain, forwarded::origin(&world, facts), world.plan.forwarded_headers)
        };
        let random: u64 = rand::random();
        let pass = service.as_ref().filter(|_| plain).and_then(|service| service.enter());
        Errand {
            worker: Arc::clone(&self.0),
            pass,
            service,
            course,
            plain,
            origin,
            told,
            tunnel: None,
            id: identity::Id::of(facts),
            exchange: Exchange::new(random),
            body: None,
            timed: random.is_multiple_of(TIMED),
            idempotent: is_idempotent(facts.method()),
            last: None,
            noted: false,
            started: Duration::ZERO,
            waiting: None,
            refused: None,
            reason: None,
            lesson: None,
        }
    }

    fn reject(&self, flaw: Flaw, peer: &Peer, page: &mut Page) {
        let why = Why::Flaw { status: flaw.status(), sentence: flaw.sentence() };
        let id = identity::Id::new();
        fill(page, why, &id.text());
        let worker = &self.0;
        worker.unrouted.request(page.status, Duration::ZERO);
        worker.unrouted.refused(label(why));
        if worker.shared.log.on() {
            let client = peer.address.map(|address| address.ip().to_canonical());
            let asked = Asked { client, subject: peer.subject.as_deref(), method: "-", path: "-" };
            let sent = Sent { status: page.status, bytes: page.body.len() as u64, error: Some(flaw.label()) };
            let books = line(SystemTime::now(), &asked, &sent);
            let id = id.text();
            worker.shared.log.write(&crate::access_log::Line { request_id: &id, refused: Some(label(why)), ..books });
        }
    }

    fn room(&self, more: usize) -> Room {
        self.0.shared.memory.room(more)
    }

    fn draining(&self) -> bool {
        self.0.stopping.until().is_some()
    }

    fn closes_idle(&self) -> bool {
        self.0.stopping.closes_idle()
    }
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One request on its way through the lane.
pub(super) struct Errand {
    worker: Arc<Worker>,
    service: Option<Arc<Service>>,
    /// While somebody may wait for its end; a tunnel's nobody waits for.
    pass: Option<Pass>,
    course: Option<Arc<Course>>,
    plain: bool,
    origin: Origin,
    told: ForwardedHeaders,
    /// In place of the service once the node switched protocols.
    tunnel: Option<Box<Tunnel>>,
    id: identity::Id,
    exchange: Exchange,
    /// What was read of its body for its key.
    body: Option<BodyReader>,
    timed: bool,
    idempotent: bool,
    /// The node that was tried last, and who decided.
    last: Option<(Arc<Node>, By)>,
    /// Whether it was written down how that went.
    noted: bool,
    /// When the last attempt was decided.
    started: Duration,
    /// Until the membership changes; only while parked.
    waiting: Option<Waiting>,
    /// Label under which the proxy answered by itself.
    refused: Option<&'static str>,
    reason: Option<Reason>,
    /// What the response's body has still to say of owners.
    lesson: Option<Box<owned::Lesson>>,
}

impl Trip for Errand {
    fn hands_over(&self) -> bool {
        !self.plain
    }

    fn answers(&mut self, facts: &Facts<'_>, page: &mut Page) -> bool {
        let redirect = self.course.as_ref().and_then(|course| course.redirect(facts, facts.is_secure()));
        let Some((status, location)) = redirect else { return false };
        page.status = status;
        let head = format!("Location: {location}\r\n{}: {}\r\n", identity::REQUEST_ID, self.id.read(facts));
        page.fields.extend_from_slice(head.as_bytes());
        true
    }

    fn wants_body(&mut self, facts: &Facts<'_>, now: Duration) -> bool {
        let Some(service) = self.service.as_ref().filter(|service| !service.plan.places.is_empty()) else {
            return false;
        };
        let head = Seen { facts, client: self.origin.client };
        self.body = self.exchange.reader(&scene::of(service, self.worker.index, &head), now);
        self.body.as_ref().is_some_and(|body| body.progress() == Progress::More)
    }

    fn body(&mut self, bytes: &[u8], end: bool) -> bool {
        let (Some(reader), Some(service)) = (&mut self.body, &self.service) else { return false };
        ahead::feed(reader, service, bytes, end)
    }

    fn step(&mut self, event: Event, facts: &Facts<'_>, now: Duration) -> Action {
        self.waiting = None;
        if let Event::Failed(failure) = event {
            self.note(Outcome::Failed(failure.class));
        }
        let Some(service) = &self.service else { return Action::Answer(Reason::NoRoute) };
        let head = Seen { facts, client: self.origin.client };
        let facts = WithBody { head: &head, body: self.body.as_ref() };
        let stuck = sticky::node(service, &facts, event);
        let scene = Scene { stuck, ..scene::of(service, self.worker.index, &facts) };
        let before = (self.timed && event == Event::Start).then(clock::now);
        let action = self.exchange.step(&scene, event, now);
        if let Some(before) = before {
            service.metrics.pick_took(clock::now().saturating_sub(before));
        }
        count(&service.metrics, event, &action);
        if let Action::Connect(attempt) = &action {
            self.last = Some((Arc::clone(&attempt.node), attempt.by));
            self.noted = false;
            self.started = now;
        }
        action
    }

    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let version = match self.exchange.waits_for() {
            Some(WaitsFor::Permit(in_flight)) => return in_flight.poll(context.waker()),
            Some(WaitsFor::Change(_, Some(keys))) if keys.poll(context.waker()).is_ready() => return Poll::Ready(()),
            Some(WaitsFor::Change(version, _)) => version,
            None => return Poll::Ready(()),
        };
        let Some(service) = &self.service else { return Poll::Ready(()) };
        let waiting = self.waiting.get_or_insert_with(|| {
            let feed = Arc::clone(&service.state.feed);
            Box::pin(async move { feed.newer_than(version).await })
        });
        waiting.as_mut().poll(context)
    }

    fn timeouts(&self) -> Timeouts {
        /// Only asked with a service; a request without one never connects.
        const NONE: Timeouts = Timeouts { connect: Duration::ZERO, response: Duration::ZERO, idle: Duration::ZERO };
        let of = |service: &Arc<Service>| timeouts(service, self.idempotent, &self.exchange);
        self.service.as_ref().map_or(NONE, of)
    }

    fn drops(&self, name: &[u8]) -> bool {
        forwarded::leaves_out(name, self.origin.trusted)
            || self.course.as_ref().is_some_and(|course| course.request.drops(name))
            || owned::leaves_out(self.service.as_ref(), name)
    }

    fn changes_path(&self) -> bool {
        self.course.as_ref().is_some_and(|course| course.changes_path())
    }

    fn changes_host(&self) -> bool {
        self.course.as_ref().is_some_and(|course| course.changes_host())
    }

    fn path(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        if let Some(course) = &self.course {
            course.path(facts.path(), out);
        }
    }

    fn replied(&mut self, reply: &Reply<'_>) -> bool {
        self.lesson = owned::hear(self.service.as_ref(), self.last.as_ref().map(|(node, _)| node), reply);
        self.lesson.is_some()
    }

    fn reply_body(&mut self, bytes: &[u8]) {
        self.lesson.iter_mut().for_each(|lesson| lesson.feed(bytes));
    }

    fn reply_over(&mut self) {
        self.lesson.take().into_iter().for_each(|mut lesson| lesson.end());
    }

    fn reply_drops(&self, name: &[u8]) -> bool {
        self.course.as_ref().is_some_and(|course| course.response.drops(name))
    }

    fn reply_lines(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        if let Some(course) = &self.course {
            out.extend_from_slice(course.response.lines());
        }
        let sticky = self.service.as_ref().and_then(|service| service.sticky.as_ref());
        if let (Some(sticky), Some((node, _))) = (sticky, &self.last) {
            sticky::write_line(sticky, facts, facts.is_secure(), self.origin, node, out);
        }
    }

    fn request_lines(&self, facts: &Facts<'_>, attempt: &Attempt, out: &mut Vec<u8>) {
        if self.told.tell(Told::RequestId) {
            self.id.write_line(facts, out);
        }
        forwarded::write_lines(self.told, &self.origin, facts, out);
        epoch::write_line(self.service.as_deref(), attempt, out);
        owned::write_lines(self.service.as_deref(), self.exchange.owner_epoch(), out);
        if let Some(course) = &self.course {
            course.write_lines(&attempt.node, out);
        }
    }

    fn sending(&mut self, facts: &Facts<'_>, head: &[u8]) {
        let mirror = self.course.as_ref().and_then(|course| course.mirror.as_ref());
        if let Some(mirror) = mirror.filter(|_| self.exchange.attempts() == 1) {
            self.worker.copier.copy_bytes(mirror, self.id.read(facts).as_ref(), self.origin, head);
        }
    }

    fn page(&mut self, reason: &Reason, facts: &Facts<'_>, page: &mut Page) {
        let why = Why::Reason(reason);
        self.refused = Some(label(why));
        self.reason = Some(reason.clone());
        fill(page, why, self.id.read(facts).as_ref());
    }

    fn flaw_page(&mut self, flaw: Flaw, facts: &Facts<'_>, page: &mut Page) {
        let why = Why::Flaw { status: flaw.status(), sentence: flaw.sentence() };
        self.refused = Some(label(why));
        fill(page, why, self.id.read(facts).as_ref());
    }

    fn tunnel(&mut self, _: &Attempt) {
        self.note(Outcome::Answered(SWITCHING));
        self.pass = None;
        if let Some(service) = self.service.take() {
            self.tunnel = Some(Box::new(Tunnel::of(&service)));
        }
    }

    fn passed(&mut self, up: u64, down: u64) {
        if let Some(tunnel) = &self.tunnel {
            tunnel.books.open.passed(up, down);
        }
    }

    fn poll_leave(&mut self, context: &mut Context<'_>, node: &Node) -> Poll<Leave> {
        let until = self.worker.stopping.until();
        self.tunnel.as_deref_mut().map_or(Poll::Pending, |tunnel| tunnel.poll_leave(context, node, until))
    }

    fn finish(mut self, facts: &Facts<'_>, receipt: Receipt) {
        match receipt.ending {
            Ending::CutOff => self.note(Outcome::Failed(FailureClass::Reset)),
            _ if receipt.replied.is_some() => self.note(Outcome::Answered(receipt.status)),
            _ => {}
        }
        let metrics = self.metrics();
        let took = receipt.ended.saturating_sub(receipt.began);
        let upstream = receipt.replied.map(|replied| replied.saturating_sub(self.started));
        metrics.request(receipt.status, took);
        if let Some(upstream) = upstream {
            metrics.upstream(upstream);
        }
        let refused =
            self.refused.or((receipt.ending == Ending::ClientGone && receipt.status == 0).then_some("client-gone"));
        if let Some(label) = refused {
            metrics.refused(label);
        }
        if self.worker.shared.log.on() {
            self.write_line(facts, &receipt, took, upstream, refused);
        }
    }
}

impl Errand {
    /// Writes down how the last attempt went, unless that was done.
    fn note(&mut self, outcome: Outcome) {
        if let (Some(service), Some((node, _)), false) = (&self.service, &self.last, self.noted) {
            note(service, node, outcome);
        }
        self.noted = true;
    }
}
