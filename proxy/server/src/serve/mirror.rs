//! Sends copies of requests to another service and throws the answers away (`mirror` of a route).
//!
//! A copy is what the first node was sent, with one field more. It is made when that is sent, on the same worker, and goes
//! its own way from there: nobody waits for it, and what becomes of it is only counted.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Action, Event, FailureClass};
use pointsman_core::origin::Origin;
use tokio::sync::watch;

use super::behind;
use super::head::Head;
use super::manner::Manners;
use super::owned::OWNER_EPOCH;
use super::trip::Trip;
use super::{Shared, ahead, epoch, outcome};
use crate::metrics::{NO_SERVICE, ServiceMetrics};
use crate::world::Mirror;
use crate::world::mirror::Place;

/// What tells a copy from a request that somebody waits for.
pub(super) const MARK: &str = "x-pointsman-mirror";

/// Bytes of an answer that are read so that its connection can be used again; a longer one ends it.
const READ: usize = 1 << 20;

/// Copies of one worker.
#[derive(Clone)]
pub(super) struct Copier(Arc<Desk>);

struct Desk {
    worker: usize,
    shared: Shared,
    unrouted: Arc<ServiceMetrics>,
    connector: Connector,
    manners: watch::Receiver<Arc<Manners>>,
}

impl Copier {
    pub(super) fn new(worker: usize, shared: Shared, manners: watch::Receiver<Arc<Manners>>) -> Self {
        let unrouted = shared.metrics.service(NO_SERVICE, NO_SERVICE);
        Self(Arc::new(Desk { worker, shared, unrouted, connector: Connector::new(None), manners }))
    }

    /// A node is sent this head, as bytes. `id`: the request's.
    pub(super) fn copy_bytes(&self, mirror: &Arc<Mirror>, id: &str, origin: Origin, head: &[u8]) {
        if mirror.chooses(id)
            && let Some(head) = read(head)
        {
            self.copy(mirror, head, origin, false);
        }
    }

    /// A node is sent this head. `body`: something follows it.
    pub(super) fn copy_head(&self, mirror: &Arc<Mirror>, id: &str, origin: Origin, head: &RequestHeader, body: bool) {
        if mirror.chooses(id) {
            self.copy(mirror, head.clone(), origin, body);
        }
    }

    /// Makes connections to nodes.
    pub(super) fn connector(&self) -> &Connector {
        &self.0.connector
    }

    fn copy(&self, mirror: &Arc<Mirror>, head: RequestHeader, origin: Origin, body: bool) {
        // What might change something must not run twice, wherever that is.
        if !head.method.is_safe() {
            return;
        }
        let fields = &head.headers;
        let length = fields.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
        if body || length || fields.contains_key(TRANSFER_ENCODING) || fields.contains_key(UPGRADE) {
            return self.became(mirror, "unfit");
        }
        let Some(place) = Mirror::enter(mirror) else { return self.became(mirror, "busy") };
        let desk = Arc::clone(&self.0);
        tokio::spawn(async move {
            let result = desk.send(&place, head, origin).await;
            desk.shared.metrics.clients().mirrored(&place.mirror().service.state.name, result);
        });
    }

    fn became(&self, mirror: &Mirror, result: &str) {
        self.0.shared.metrics.clients().mirrored(&mirror.service.state.name, result);
    }
}

impl Desk {
    /// What became of the copy.
    async fn send(&self, place: &Place, mut head: RequestHeader, origin: Origin) -> &'static str {
        let service = &place.mirror().service;
        let mut trip = Trip::new();
        trip.origin = Some(origin);
        trip.take(Arc::clone(service));
        ahead::without(&mut trip, self.worker, &Head::copied(&head, origin));
        // One node, at once: a copy that has to wait or fails is not worth another attempt.
        match trip.step(self.worker, &Head::copied(&head, origin), Event::Start) {
            Action::Connect(attempt) => trip.begin(attempt),
            Action::Wait { .. } => return "busy",
            Action::Answer(_) | Action::PassOn => return "no-node",
        }
        let Some(peer) = behind::peer(&trip, behind::known(&self.manners, &trip).await) else { return "no-node" };
        head.remove_header(&CONNECTION);
        // The epochs of another service say nothing here.
        head.remove_header(OWNER_EPOCH);
        let owner = trip.exchange.owner_epoch();
        let told = owner.map_or(Ok(()), |epoch| head.insert_header(OWNER_EPOCH, epoch.to_string()));
        let told = told.and_then(|()| head.insert_header(MARK, "1"));
        if told.and_then(|()| epoch::tell(trip.epoch(), &mut head)).is_err() {
            return "failed";
        }
        trip.sending();
        let limit = service.plan.timeouts.connect + service.plan.timeouts.response;
        let idle = service.plan.timeouts.idle;
        let answered = tokio::time::timeout(limit, self.exchange(&peer, head, &mut trip, idle)).await;
        let (status, class) = match answered {
            Ok(Ok(status)) => (status, None),
            Ok(Err(error)) => (0, Some(outcome::class_of(&error, false))),
            Err(_) => (0, Some(FailureClass::Timeout)),
        };
        if let Some(class) = class {
            trip.note(Outcome::Failed(class));
        }
        trip.close(status, &self.unrouted);
        if class.is_none() { "answered" } else { "failed" }
    }

    async fn exchange(
        &self,
        peer: &HttpPeer,
        head: RequestHeader,
        trip: &mut Trip,
        idle: Duration,
    ) -> pingora_error::Result<u16> {
        let (mut session, _) = self.connector.get_http_session(peer).await?;
        session.write_request_header(Box::new(head)).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let status = session.response_header().map_or(0, |head| head.status.as_u16());
        trip.answered(status);
        let mut read = 0;
        while let Some(piece) = session.read_response_body().await? {
            read += piece.len();
            if read > READ {
                session.shutdown().await;
                return Ok(status);
            }
        }
        self.connector.release_http_session(session, peer, Some(idle)).await;
        Ok(status)
    }
}

/// A head that the lane wrote itself.
fn read(bytes: &[u8]) -> Option<RequestHeader> {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let mut fields = vec![httparse::EMPTY_HEADER; lines];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(bytes).ok()?;
    let mut head = RequestHeader::build(parsed.method?, parsed.path?.as_bytes(), Some(lines)).ok()?;
    for field in parsed.headers.iter() {
        head.append_header(field.name.to_owned(), field.value).ok()?;
    }
    Some(head)
}
