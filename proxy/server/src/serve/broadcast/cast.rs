//! One node's copy of a broadcast, on a connection of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri, Version};
use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pointsman_config::plan::Protocol;
use pointsman_core::cluster::load::Permit;
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Attempt, FailureClass};
use pointsman_core::pick::picker::By;

use super::tally::Became;
use crate::serve::outcome;
use crate::serve::trip::Trip;
use crate::world::Service;

/// The node has seen nothing of it.
const NOT_CONNECTED: ErrorType = ErrorType::Custom("not connected");

/// The membership by which it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) epoch: u64,
}

/// What a node is sent.
pub(super) struct Copy {
    /// With the node as its last.
    pub(super) trip: Trip,
    pub(super) peer: HttpPeer,
    pub(super) head: RequestHeader,
    pub(super) body: Bytes,
    /// Bytes of its answer that are read.
    pub(super) limit: u64,
}

impl Copy {
    /// Sends it, once: who did not answer may have done it.
    pub(super) async fn send(mut self, service: &Service, connector: &Connector, seen: Seen) -> Became {
        if self.enter(service, seen).await.is_none() {
            return Became::Failed("busy");
        }
        let began = Instant::now();
        let limit = service.plan.timeouts.connect + service.plan.timeouts.response;
        let answered = tokio::time::timeout(limit, self.exchange(service, connector)).await;
        let class = match answered {
            Ok(Ok((status, content_type, Some(body)))) => {
                self.trip.note(Outcome::Answered(status));
                return Became::Answered { status, content_type, body, took: began.elapsed() };
            }
            Ok(Ok((status, _, None))) => {
                self.trip.note(Outcome::Answered(status));
                return Became::Failed("too-large");
            }
            Ok(Err(error)) if error.etype() == &NOT_CONNECTED => FailureClass::Connect,
            Ok(Err(error)) => outcome::class_of(&error, false),
            Err(_) => FailureClass::Timeout,
        };
        self.trip.note(Outcome::Failed(class));
        Became::Failed(match class {
            FailureClass::Connect => "connect",
            FailureClass::Timeout => "timeout",
            FailureClass::Malformed => "malformed",
            FailureClass::Reset | FailureClass::Status(_) => "reset",
        })
    }

    /// Takes a permit of the node, after whoever waits for one already.
    async fn enter(&mut self, service: &Service, seen: Seen) -> Option<()> {
        let node = Arc::clone(self.trip.node()?);
        let in_flight = node.load.enter(service.plan.limits.queue)?;
        let waits = poll_fn(|task| in_flight.poll(task.waker()));
        tokio::time::timeout(service.plan.limits.queue_timeout, waits).await.ok()?;
        let held = in_flight.permit() == Permit::Held;
        let Seen { version, epoch } = seen;
        let attempt = Attempt { node, in_flight, number: 1, version, epoch, by: By::Policy, waited: None };
        held.then(|| self.trip.begin(attempt))
    }

    /// Status, type and body of the answer; no body where it is longer than is read.
    async fn exchange(
        &mut self,
        service: &Service,
        connector: &Connector,
    ) -> Result<(u16, Option<HeaderValue>, Option<Bytes>)> {
        let session = connector.get_http_session(&self.peer).await;
        let (mut session, _) = session.map_err(|error| Error::because(NOT_CONNECTED, "no connection", error))?;
        if service.plan.protocol == Protocol::Http2 {
            address_http2(&mut self.head, self.peer.is_tls());
        }
        self.trip.sending();
        session.write_request_header(Box::new(self.head.clone())).await?;
        if !self.body.is_empty() {
            session.write_request_body(self.body.clone(), true).await?;
        }
        session.finish_request_body().await?;
        loop {
            session.read_response_header().await?;
            if session.response_header().is_none_or(|head| !head.status.is_informational()) {
                break;
            }
        }
        let (status, kind) = session
            .response_header()
            .map_or((0, None), |head| (head.status.as_u16(), head.headers.get(CONTENT_TYPE).cloned()));
        let mut body = BytesMut::new();
        while let Some(piece) = session.read_response_body().await? {
            if body.len() as u64 + piece.len() as u64 > self.limit {
                session.shutdown().await;
                return Ok((status, kind, None));
            }
            body.extend_from_slice(&piece);
        }
        Ok((status, kind, Some(body.freeze())))
    }
}

/// HTTP/2 names the host in the target (RFC 9113 §8.3.1).
fn address_http2(head: &mut RequestHeader, secure: bool) {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
    if let Ok(uri) = Uri::builder().scheme(scheme).authority(host).path_and_query(target).build() {
        head.set_uri(uri);
        head.set_version(Version::HTTP_2);
    }
}
