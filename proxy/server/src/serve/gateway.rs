//! Carries out over pingora what the exchange decides.
//!
//! pingora gives hooks, and a loop that asks for a peer again when an error is marked as one to retry. The exchange
//! decides; the mark only passes its decision on. One gateway a worker.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pointsman_config::plan::{Protocol, RetryOn};
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Action, Event, FailureClass, Reason};
use pointsman_lane::flaw::Flaw;
use tokio::sync::watch;

use super::behind;
use super::entry::{Asked, Sent};
use super::head::{self, Head};
use super::manner::Manners;
use super::mirror::Copier;
use super::outcome::{REFUSED, TRY_ELSEWHERE};
use super::stopping::Stopping;
use super::trip::Trip;
use super::{Shared, ahead, answer, broadcast, course, forwarded, guard, identity, outcome, owned, sticky};
use crate::metrics::{NO_SERVICE, ServiceMetrics};
use crate::refusal::{Why, label};
use crate::world::{Course, Service};

/// How long the rest of a request's body is read after an answer, so that its connection can be used again.
const DRAIN: Duration = Duration::from_secs(5);

/// Why no attempt is made.
enum Stop {
    /// Nobody serves it.
    Reason(Reason),
    /// The client is sent elsewhere.
    Elsewhere,
    /// It goes to every node.
    Everywhere(Arc<Course>),
    /// Nobody waits for it any more.
    Gone(Box<Error>),
}

/// Between the client and the nodes, on one worker.
pub(super) struct Gateway {
    worker: usize,
    shared: Shared,
    /// Counts requests that no route takes.
    unrouted: Arc<ServiceMetrics>,
    manners: watch::Receiver<Arc<Manners>>,
    copier: Copier,
    stopping: Arc<Stopping>,
}

impl Gateway {
    pub(super) fn new(
        worker: usize,
        shared: Shared,
        manners: watch::Receiver<Arc<Manners>>,
        copier: Copier,
        stopping: Arc<Stopping>,
    ) -> Self {
        let unrouted = shared.metrics.service(NO_SERVICE, NO_SERVICE);
        Self { worker, shared, unrouted, manners, copier, stopping }
    }

    /// Finds the service. `Err`: nobody serves it.
    fn find(&self, session: &Session, trip: &mut Trip) -> Result<Arc<Service>, Stop> {
        let world = self.shared.world.load();
        let index = world.router.find(&Head::of(session, trip.origin));
        let route = index.and_then(|index| world.by_route.get(index)).ok_or(Stop::Reason(Reason::NoRoute))?;
        trip.course.clone_from(&route.course);
        route.service().cloned().ok_or(Stop::Elsewhere)
    }

    /// Finds the first node, too.
    async fn route(&self, session: &mut Session, trip: &mut Trip) -> Result<(), Stop> {
        let service = self.find(session, trip)?;
        // A client that neither sends nor reads holds a node's place: it gets as long as a node does.
        session.set_read_timeout(Some(service.plan.timeouts.idle));
        session.set_write_timeout(Some(service.plan.timeouts.idle));
        trip.take(service);
        if let Some(course) = trip.course.as_ref().filter(|course| course.plan().broadcast.is_some()) {
            return Err(Stop::Everywhere(Arc::clone(course)));
        }
        trip.enter();
        ahead::read(session, trip, self.worker).await.map_err(Stop::Gone)?;
        let action = trip.step(self.worker, &Head::of(session, trip.origin), Event::Start);
        self.carry_out(session, trip, action).await
    }

    /// Waits as long as the exchange says. `Ok`: an attempt is under way.
    async fn carry_out(&self, session: &mut Session, trip: &mut Trip, mut action: Action) -> Result<(), Stop> {
        loop {
            match action {
                Action::Connect(attempt) => {
                    trip.begin(attempt);
                    return Ok(());
                }
                Action::Wait { until } => {
                    outcome::wait(session, trip, until).await.map_err(Stop::Gone)?;
                    action = trip.step(self.worker, &Head::of(session, trip.origin), Event::Wake);
                }
                Action::Answer(reason) => return Err(Stop::Reason(reason)),
                // Answers a status only, and that is carried out where the status was seen.
                Action::PassOn => return Err(Stop::Reason(Reason::Reset)),
            }
        }
    }

    async fn broadcast(&self, session: &mut Session, trip: &mut Trip, course: &Course) -> Result<()> {
        let Some(rule) = &course.plan().broadcast else { return Ok(()) };
        session.set_total_drain_timeout(Some(DRAIN));
        broadcast::Desk { shared: &self.shared, manners: &self.manners, copier: &self.copier }
            .carry(session, trip, rule)
            .await
    }

    fn failed(&self, session: &Session, trip: &mut Trip, class: FailureClass) -> bool {
        let replayable = !session.as_ref().retry_buffer_truncated();
        trip.fail(self.worker, &Head::of(session, trip.origin), class, replayable)
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Trip;

    fn new_ctx(&self) -> Trip {
        Trip::new()
    }

    /// pingora's own modules (compression, gRPC) are not asked for.
    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, trip: &mut Trip) -> Result<bool> {
        head::join_cookies(session)?;
        trip.id = identity::of(session.req_header());
        let peer = head::peer(session);
        let world = self.shared.world.load();
        trip.origin = Some(forwarded::origin_of(&world, session, peer));
        trip.told = world.plan.forwarded_headers;
        drop(world);
        if let Some(flaw) =
            guard::flaw(session).or_else(|| head::over_bounds(session)).or_else(|| self.shared.memory.flaw())
        {
            let why = answer::flawed(flaw);
            if !guard::is_headless(session)
                && let Ok(service) = self.find(session, trip)
            {
                trip.take(service);
            }
            trip.refused(label(why));
            // Where the next request begins is anybody's guess.
            session.set_keepalive(None);
            answer::send(session, why, &trip.id).await?;
            return Ok(true);
        }
        let reason = match self.route(session, trip).await {
            Ok(()) => return Ok(false),
            Err(Stop::Gone(error)) => return Err(error),
            Err(Stop::Elsewhere) => return course::redirect(session, trip).await.map(|()| true),
            Err(Stop::Everywhere(course)) => return self.broadcast(session, trip, &course).await.map(|()| true),
            Err(Stop::Reason(reason)) => reason,
        };
        session.set_total_drain_timeout(Some(DRAIN));
        let why = Why::Reason(&reason);
        trip.refused(label(why));
        answer::send(session, why, &trip.id).await?;
        trip.refuse(reason);
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, trip: &mut Trip) -> Result<Box<HttpPeer>> {
        if let Some(action) = trip.take_next() {
            match self.carry_out(session, trip, action).await {
                Ok(()) => {}
                Err(Stop::Gone(error)) => return Err(error),
                Err(Stop::Elsewhere | Stop::Everywhere(_)) => return Err(Error::new_in(REFUSED)),
                Err(Stop::Reason(reason)) => {
                    trip.refuse(reason);
                    return Err(Error::new_in(REFUSED));
                }
            }
        }
        let behind = behind::known(&self.manners, trip).await;
        behind::peer(trip, behind).map(Box::new).ok_or_else(|| Error::new_in(REFUSED))
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        _reused: bool,
        _: &HttpPeer,
        socket: RawFd,
        _: Option<&Digest>,
        trip: &mut Trip,
    ) -> Result<()> {
        // Over HTTP/2 the connection is not this request's alone.
        if trip.service().is_some_and(|service| service.plan.protocol == Protocol::Http1) {
            trip.connected(socket);
            let whole = session.as_mut().is_body_done();
            if let Some(limits) = guard::over_http2(session).filter(|_| !whole) {
                trip.waiting(limits.body_timeout);
            }
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        trip: &mut Trip,
    ) -> Result<()> {
        course::introduce(session, trip, request)?;
        if let Some((mirror, origin)) = trip.copied() {
            let body = !session.as_mut().is_body_empty();
            self.copier.copy_head(mirror, trip.id.to_str().unwrap_or_default(), origin, request, body);
        }
        trip.sending();
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        bytes: &mut Option<Bytes>,
        end: bool,
        trip: &mut Trip,
    ) -> Result<()> {
        trip.ahead.give(bytes);
        trip.received += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if trip.service().is_some() && !guard::has_room(session, trip.received) {
            return Err(Error::new_down(ahead::TOO_LARGE));
        }
        trip.passed(bytes.as_ref().map_or(0, Bytes::len), 0);
        if end {
            trip.sent();
        } else if let Some(limits) = guard::over_http2(session) {
            // Of HTTP/1 pingora sees to it, of HTTP/2 it waits for ever.
            trip.waiting(limits.body_timeout);
        }
        trip.passing();
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        trip: &mut Trip,
    ) -> Result<()> {
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let status = response.status.as_u16();
        trip.answered(status);
        let named = trip.service().is_some_and(|service| service.plan.retry.on.contains(&RetryOn::Status(status)));
        if named && self.failed(session, trip, FailureClass::Status(status)) {
            return Err(Error::new_up(TRY_ELSEWHERE));
        }
        owned::passes(trip, response);
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // In a tunnel either side may be silent while the other talks; `deadline` watches both.
            session.set_read_timeout(None);
            trip.let_go();
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        bytes: &mut Option<Bytes>,
        end: bool,
        trip: &mut Trip,
    ) -> Result<Option<Duration>> {
        trip.passed(0, bytes.as_ref().map_or(0, Bytes::len));
        owned::passes_body(trip, bytes.as_deref().unwrap_or_default(), end);
        if trip.late() {
            // A body that ends with its connection would look whole.
            return Err(Error::new_up(ErrorType::ReadTimedout));
        }
        if end {
            trip.read_whole();
        } else {
            trip.passing();
        }
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        trip: &mut Trip,
    ) -> Result<()> {
        course::on_response(trip, response)?;
        sticky::on_response(session, trip, response)?;
        // From an Upgrade on nobody judged what the client sent, since it could have been another protocol's.
        let refused = session.is_upgrade_req() && response.status != StatusCode::SWITCHING_PROTOCOLS;
        if refused || self.stopping.until().is_some() {
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        trip: &mut Trip,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(self.failed(session, trip, FailureClass::Connect));
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        trip: &mut Trip,
        reused: bool,
    ) -> Box<Error> {
        let late = trip.late();
        if reused && !late {
            // The node may have closed an idle connection just as it was used: that says nothing of how it is.
            trip.excuse();
        }
        let slow = late && trip.waits_for_client();
        trip.read_whole();
        if slow && !answer::begun(session) {
            trip.excuse();
            (error.etype, error.esource) = (ErrorType::ReadTimedout, ErrorSource::Downstream);
        }
        // The node is to blame, the client has not seen anything yet, and nothing was decided before.
        let ours = error.esource() == &ErrorSource::Upstream && !answer::begun(session);
        if ours && !trip.goes_on() {
            self.failed(session, trip, outcome::class_of(&error, late));
        } else if error.esource() == &ErrorSource::Upstream {
            trip.note(Outcome::Failed(outcome::class_of(&error, late)));
        }
        error.set_retry(trip.goes_on());
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, trip: &mut Trip) -> FailToProxy {
        session.set_keepalive(None);
        let flaw = if error.etype() == &ahead::TOO_LARGE { Some(Flaw::BodyTooLarge) } else { guard::flaw(session) };
        let why = match outcome::blame(error, trip.reason(), flaw) {
            Ok(why) => why,
            Err(nobody) => {
                trip.refused(nobody);
                return FailToProxy { error_code: 0, can_reuse_downstream: false };
            }
        };
        let name = label(why);
        let sent = answer::send(session, why, &trip.id).await.ok().flatten();
        if sent.is_some() {
            trip.refused(name);
        }
        FailToProxy { error_code: sent.unwrap_or(0), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, trip: &mut Trip) {
        let status = answer::status(session);
        trip.close(status, &self.unrouted);
        guard::finished(session);
        if self.shared.log.on() {
            let asked = Asked::of(session, trip.origin);
            let error = error.map(ToString::to_string);
            let bytes = session.body_bytes_sent() as u64;
            self.shared.log.write(&trip.line(&asked, &Sent { status, bytes, error: error.as_deref() }));
        }
    }

    /// The access log says what went wrong, once a request.
    fn suppress_error_log(&self, _: &Session, _: &Trip, _: &Error) -> bool {
        true
    }

    /// Retries are counted, and the access log says how many attempts there were.
    fn suppress_proxy_warn_log(&self, _: &Session, _: &Trip, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
