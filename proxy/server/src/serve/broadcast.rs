//! Sends one request to every node of a service (`broadcast` of a route) and tells the client what they said.
//!
//! The body is read whole first. Each node gets its copy on a connection of its own, once: nobody knows what a node has done
//! that did not answer, and a broadcast changes things. Who has its answer early goes; the copies go on.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use pointsman_config::plan::{Broadcast, Gather, Recipients, Sender};
use pointsman_core::barrier::Pass;
use pointsman_core::cluster::membership::{Member, Membership, Standing};
use pointsman_core::exchange::Reason;
use pointsman_core::facts::{HeaderValue as Field, RequestFacts};
use pointsman_lane::flaw::Flaw;
use tokio::sync::{mpsc, watch};

use super::epoch::{self, EPOCH};
use super::head::Head;
use super::manner::Manners;
use super::mirror::Copier;
use super::trip::Trip;
use super::{Shared, answer, behind, course, guard, identity};
use crate::refusal::{Why, label};
use crate::world::{Service, clock};
use cast::{Copy, Seen};
use tally::{Became, Tally};

mod cast;
mod tally;

/// Connections of broadcasts, apart from all others.
const OWN: u64 = u64::MAX;
/// Whose answer is passed on.
const NODE: &str = "pointsman-node";
/// Fields that concern one hop (RFC 9110 §7.6.1) or are written anew.
const HOP: [HeaderName; 9] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where a broadcast is sent from.
pub(super) struct Desk<'a> {
    pub(super) shared: &'a Shared,
    pub(super) manners: &'a watch::Receiver<Arc<Manners>>,
    /// Has the connections.
    pub(super) copier: &'a Copier,
}

/// What the client is told.
enum End {
    Refused(Reason),
    Flawed(Flaw),
    Told(Tally, bool, Vec<(String, Became)>, Vec<String>),
}

impl Desk<'_> {
    /// Carries a request that goes to every node, to its end.
    pub(super) async fn carry(&self, session: &mut Session, trip: &mut Trip, rule: &Broadcast) -> Result<()> {
        let Some(service) = trip.service().cloned() else {
            return Error::e_explain(ErrorType::InternalError, "no service");
        };
        match self.cast(session, trip, &service, rule).await? {
            End::Refused(reason) => {
                refuse(session, trip, Why::Reason(&reason)).await?;
                trip.refuse(reason);
                Ok(())
            }
            End::Flawed(flaw) => {
                session.set_keepalive(None);
                refuse(session, trip, answer::flawed(flaw)).await
            }
            End::Told(tally, well, results, pending) => {
                tell(session, trip, rule, (tally, well), results, &pending).await
            }
        }
    }

    async fn cast(
        &self,
        session: &mut Session,
        trip: &mut Trip,
        service: &Arc<Service>,
        rule: &Broadcast,
    ) -> Result<End> {
        if rule.from == Sender::Primary && !is_primary(session, &service.state.members().load()) {
            return Ok(End::Refused(Reason::NotPrimary));
        }
        if let Some(Err(wait)) =
            service.rate.as_ref().map(|rate| rate.admit(&Head::of(session, trip.origin), clock::now()))
        {
            let retry_after = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            return Ok(End::Refused(Reason::RateLimited { retry_after }));
        }
        let Some(body) = body(session, rule.limit).await? else { return Ok(End::Flawed(Flaw::BodyTooLarge)) };
        // Those that come later wait for this one.
        match rule.barrier {
            Some(longest) => match wait_for_earlier(session, service, longest).await? {
                Some(pass) => trip.admit(pass),
                None => return Ok(End::Refused(Reason::Barrier)),
            },
            None => trip.enter(),
        }
        let membership = service.state.members().load_full();
        if rule.from == Sender::Primary && !is_primary(session, &membership) {
            return Ok(End::Refused(Reason::NotPrimary));
        }
        let members = recipients(&membership, rule.to);
        if members.is_empty() {
            return Ok(End::Refused(Reason::NoNode));
        }
        let mut tally = Tally::new(rule.answer, members.len());
        let mut answers = self.send(session, trip, service, &membership, &members, (body, rule.limit)).await?;
        let mut pending: Vec<String> = members.iter().map(|member| member.node.spec.id.clone()).collect();
        let mut results = Vec::new();
        let well = loop {
            if let Some(well) = tally.decided() {
                break well;
            }
            // Every copy tells what became of it.
            let Some((node, became)) = answers.recv().await else { break false };
            self.shared.metrics.clients().broadcast(&service.state.name, became.label());
            tally.count(became.is_good());
            pending.retain(|waiting| *waiting != node);
            results.push((node, became));
        };
        self.count_rest(service, answers, pending.len());
        Ok(End::Told(tally, well, results, pending))
    }

    /// Sends every node its copy. What became of each is received in the order in which that is known.
    async fn send(
        &self,
        session: &Session,
        trip: &Trip,
        service: &Arc<Service>,
        membership: &Membership,
        members: &[&Member],
        (body, limit): (Bytes, u64),
    ) -> Result<mpsc::UnboundedReceiver<(String, Became)>> {
        let (told, answers) = mpsc::unbounded_channel();
        let seen = Seen { version: membership.version(), epoch: membership.epoch() };
        let known = behind::known(self.manners, trip).await;
        for member in members {
            let (told, id) = (told.clone(), member.node.spec.id.clone());
            if member.standing == Standing::Down {
                // Whoever waits for it reads all of them before it goes.
                let _ = told.send((id, Became::Failed("down")));
                continue;
            }
            let mut own = Trip::copy_of(trip, service);
            own.enter();
            own.aim(&member.node);
            let mut head = head_of(session)?;
            course::introduce(session, &own, &mut head)?;
            epoch::tell(service.plan.primary.map(|_| membership.epoch()), &mut head)?;
            let Some(mut peer) = behind::peer(&own, known.clone()) else {
                let _ = told.send((id, Became::Failed("connect")));
                continue;
            };
            // No connection that was used before: its node may be about to close it.
            peer.group_key = OWN;
            peer.options.max_h2_streams = 1;
            head.insert_header(header::CONTENT_LENGTH, body.len())?;
            let copy = Copy { trip: own, peer, head, body: body.clone(), limit };
            let (service, copier, seen) = (Arc::clone(service), self.copier.clone(), seen);
            tokio::spawn(async move {
                let became = copy.send(&service, copier.connector(), seen).await;
                let _ = told.send((id, became));
            });
        }
        Ok(answers)
    }

    /// Nobody waits for them any more, but what became of them is counted.
    fn count_rest(&self, service: &Service, mut answers: mpsc::UnboundedReceiver<(String, Became)>, pending: usize) {
        if pending > 0 {
            let (metrics, name) = (Arc::clone(&self.shared.metrics), Arc::clone(&service.state.name));
            tokio::spawn(async move {
                while let Some((_, became)) = answers.recv().await {
                    metrics.clients().broadcast(&name, became.label());
                }
            });
        }
    }
}

/// Whether the sender shows the epoch of the primary that there is.
fn is_primary(session: &Session, membership: &Membership) -> bool {
    let shown = match Head::of(session, None).header(EPOCH) {
        Field::One(epoch) => epoch.parse::<u64>().ok(),
        Field::Absent | Field::Ambiguous => None,
    };
    membership.primary().is_some() && shown == Some(membership.epoch())
}

fn recipients(membership: &Membership, to: Recipients) -> Vec<&Member> {
    let primary = membership.primary().filter(|_| to == Recipients::Backups);
    let others =
        membership.members().iter().enumerate().filter(|(index, _)| primary.is_none_or(|p| p as usize != *index));
    others.map(|(_, member)| member).collect()
}

/// The body, whole; `None` if it is longer than may be.
async fn body(session: &mut Session, limit: u64) -> Result<Option<Bytes>> {
    let patience = guard::over_http2(session).map(|limits| limits.body_timeout);
    if session.req_header().headers.contains_key(header::EXPECT) && !session.as_mut().is_body_empty() {
        session.as_mut().write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    loop {
        let piece = session.as_mut().read_request_body();
        let piece = match patience {
            // Of HTTP/1 pingora sees to it, of HTTP/2 it waits for ever.
            Some(patience) => tokio::time::timeout(patience, piece)
                .await
                .unwrap_or_else(|_| Err(Error::new_down(ErrorType::ReadTimedout))),
            None => piece.await,
        };
        let Some(piece) = piece.map_err(|error| error.into_down())? else { return Ok(Some(body.freeze())) };
        let length = body.len() as u64 + piece.len() as u64;
        if length > limit || !guard::has_room(session, length) {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
}

/// Waits until every request of the service that came before has ended, and enters. `None`: they did not in time.
async fn wait_for_earlier(session: &mut Session, service: &Service, longest: Duration) -> Result<Option<Pass>> {
    let mut wait = service.state.barrier.wait();
    let over = poll_fn(|task| wait.poll(task.waker()));
    tokio::select! {
        biased;
        ended = tokio::time::timeout(longest, over) => Ok(ended.ok()),
        gone = session.as_mut().read_body_or_idle(true) => match gone {
            Err(error) => Err(error.into_down()),
            Ok(_) => Error::err_down(ErrorType::ConnectionClosed),
        },
    }
}

/// The head without what concerns this hop alone.
fn head_of(session: &Session) -> Result<RequestHeader> {
    let came = session.req_header();
    let target = came.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut head = RequestHeader::build(came.method.clone(), target.as_bytes(), Some(came.headers.len()))?;
    let named: Vec<String> = came
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for (name, value) in &came.headers {
        let hop = HOP.contains(name) || name.as_str().starts_with("proxy-") || named.iter().any(|n| n == name.as_str());
        if !hop {
            head.append_header(name.clone(), value)?;
        }
    }
    // The client is told of all of them in one document.
    head.insert_header(header::ACCEPT_ENCODING, "identity")?;
    if let Some(authority) = came.uri.authority() {
        head.insert_header(header::HOST, authority.as_str())?;
    }
    Ok(head)
}

async fn refuse(session: &mut Session, trip: &mut Trip, why: Why<'_>) -> Result<()> {
    trip.refused(label(why));
    answer::send(session, why, &trip.id).await.map(|_| ())
}

async fn tell(
    session: &mut Session,
    trip: &Trip,
    rule: &Broadcast,
    (tally, well): (Tally, bool),
    mut results: Vec<(String, Became)>,
    pending: &[String],
) -> Result<()> {
    let first = results.iter().position(|(_, became)| well && rule.answer == Gather::First && became.is_good());
    let first = first.map(|index| results.swap_remove(index));
    let (status, kind, body, node) = match first {
        Some((node, Became::Answered { status, content_type, body, .. })) => (status, content_type, body, Some(node)),
        _ => {
            let document = tally.document(well, results, pending, trip.id.to_str().unwrap_or_default());
            let status = if well { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
            (status.as_u16(), Some(HeaderValue::from_static("application/json")), document.into(), None)
        }
    };
    let mut head = ResponseHeader::build(status, Some(6))?;
    if let Some(kind) = kind {
        head.insert_header(header::CONTENT_TYPE, kind)?;
    }
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(identity::REQUEST_ID, &trip.id)?;
    if let Some(node) = node {
        head.insert_header(NODE, node)?;
    }
    course::on_response(trip, &mut head)?;
    let bodiless = session.req_header().method == http::Method::HEAD || matches!(status, 204 | 304);
    session.write_response_header(Box::new(head), bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}
