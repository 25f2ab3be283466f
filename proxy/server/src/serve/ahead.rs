//! What is read of a request's body before anybody is asked where it goes, since its key stands there.
//!
//! The lane keeps what it reads in its buffer. Of pingora's requests those of HTTP/1 are looked at in the guard's stream,
//! before pingora reads them ([`guard::look`]). Those of HTTP/2 nobody but pingora can read, and what it has read it sends
//! only out of its retry buffer, which holds 64 KiB. So the first piece is read into that buffer, which makes pingora
//! send something before anything else whenever an attempt begins; the rest is read past it, held here, and put behind
//! that first piece as it passes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pointsman_core::facts::RequestFacts;
use pointsman_core::key::body::{BodyReader, Progress};

use super::guard;
use super::head::Head;
use super::trip::Trip;
use crate::world::Service;

/// What a body over the listener's bound is called in pingora's words; never shown to a client.
pub(super) const TOO_LARGE: ErrorType = ErrorType::Custom("body too large");

/// What a request that pingora carries keeps of that.
#[derive(Default)]
pub(super) struct Ahead {
    pub(super) reader: Option<BodyReader>,
    /// Whether the client was told to send its body, so that no node has to say it.
    pub(super) told_to_go_on: bool,
    /// What pingora has read and does not send by itself.
    held: Bytes,
    /// How much of it stands at the front of pingora's retry buffer.
    seed: usize,
    /// Whether the attempt was given it.
    given: bool,
}

impl Ahead {
    /// An attempt begins.
    pub(super) fn again(&mut self) {
        self.given = false;
    }

    /// What the node is asked.
    pub(super) fn on_request(&self, request: &mut RequestHeader) {
        if self.told_to_go_on {
            request.remove_header(&header::EXPECT);
        }
    }

    /// Puts what is held into the first piece that pingora sends, in place of its beginning.
    pub(super) fn give(&mut self, piece: &mut Option<Bytes>) {
        if self.held.is_empty() || std::mem::replace(&mut self.given, true) {
            return;
        }
        let read = piece.take().unwrap_or_default();
        let behind = read.get(self.seed..).unwrap_or_default();
        *piece = Some(if behind.is_empty() { self.held.clone() } else { [&self.held, behind].concat().into() });
    }
}

/// Reads on. `end`: the body is over behind these bytes. Whether more is wanted.
pub(super) fn feed(reader: &mut BodyReader, service: &Service, bytes: &[u8], end: bool) -> bool {
    let more = reader.feed(&service.plan.places, bytes) == Progress::More;
    if more && end {
        reader.end(&service.plan.places);
    }
    more && !end
}

/// Reads as much of the body as the rules of the service want to see. An error: the request ends here.
pub(super) async fn read(session: &mut Session, trip: &mut Trip, worker: usize) -> Result<()> {
    if !trip.looks_ahead(worker, &Head::of(session, trip.origin)) {
        return Ok(());
    }
    let Some(service) = trip.service().cloned() else { return Ok(()) };
    let patience = guard::granted(session).body_timeout;
    let (mut held, mut came, mut more) = (BytesMut::new(), 0, true);
    while more {
        let (bytes, end) = match here(session).await {
            Some(piece) => piece?,
            None => {
                if came == 0 && !trip.ahead.told_to_go_on && expects_word(session) {
                    trip.ahead.told_to_go_on = true;
                    tell_to_go_on(session).await?;
                }
                let silent = |_| Error::new_down(ErrorType::ReadTimedout);
                tokio::time::timeout(patience, piece(session)).await.map_err(silent)??
            }
        };
        came += bytes.len() as u64;
        if !guard::has_room(session, came) {
            return Err(Error::new_down(TOO_LARGE));
        }
        more = trip.ahead.reader.as_mut().is_some_and(|reader| feed(reader, &service, &bytes, end));
        if session.is_http2() {
            held.extend_from_slice(&bytes);
        }
    }
    trip.ahead.seed = session.as_ref().get_retry_buffer().map_or(0, |seed| seed.len());
    trip.ahead.held = held.freeze();
    Ok(())
}

/// The request has no body, and is known not to have one.
pub(super) fn without(trip: &mut Trip, worker: usize, head: &impl RequestFacts) {
    let wanted = trip.looks_ahead(worker, head);
    if let (true, Some(service)) = (wanted, trip.service().cloned())
        && let Some(reader) = &mut trip.ahead.reader
    {
        feed(reader, &service, &[], true);
    }
}

/// Whether the client waits to be told that its body is wanted (RFC 9110 §10.1.1). Over HTTP/2 pingora cannot tell it;
/// it waits no longer than it likes, and the node is not asked either.
fn expects_word(session: &Session) -> bool {
    let head = session.req_header();
    let expected = head.headers.get(header::EXPECT).map(http::HeaderValue::as_bytes);
    head.version > Version::HTTP_10 && expected.is_some_and(|said| said.eq_ignore_ascii_case(b"100-continue"))
}

async fn tell_to_go_on(session: &mut Session) -> Result<()> {
    // To pingora this is an answer before the request's end, after which it would not use the connection again.
    session.set_close_on_response_before_downstream_finish(false);
    let told = session.write_continue_response().await;
    session.set_close_on_response_before_downstream_finish(true);
    told.map_err(Error::into_down)
}

/// The next piece, if it is here.
async fn here(session: &mut Session) -> Option<Result<(Bytes, bool)>> {
    let mut piece = pin!(piece(session));
    poll_fn(|task| match piece.as_mut().poll(task) {
        Poll::Ready(piece) => Poll::Ready(Some(piece)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The next piece of the body, and whether that is the last. Dropped before it is ready it takes nothing with it.
async fn piece(session: &mut Session) -> Result<(Bytes, bool)> {
    let seeded = session.as_ref().get_retry_buffer().is_some();
    let ServerSession::H2(stream) = session.as_mut() else {
        let shown = guard::look(session).await?;
        return Ok((shown.bytes.into(), shown.end));
    };
    if stream.is_body_done() {
        return Ok((Bytes::new(), true));
    }
    stream.enable_retry_buffering();
    let read = if seeded {
        let past = poll_fn(|task| stream.poll_read_body_bytes(task)).await;
        past.transpose().or_err(ErrorType::ReadError, "reading a body").map_err(Error::into_down)?
    } else {
        stream.read_body_bytes().await.map_err(Error::into_down)?
    };
    let end = read.is_none() || stream.is_body_done();
    Ok((read.unwrap_or_default(), end))
}
