//! Brings clients back to their nodes: the cookie on what pingora carries, and over both ways alike.

use http::{HeaderValue, header};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use pointsman_core::cluster::node::{Incarnation, Node};
use pointsman_core::exchange::Event;
use pointsman_core::facts::RequestFacts;
use pointsman_core::origin::Origin;

use super::head::Head;
use super::trip::Trip;
use crate::world::{Service, Sticky};

/// The node that the client comes back to.
pub(super) fn node(service: &Service, facts: &impl RequestFacts, event: Event) -> Option<Incarnation> {
    let sticky = service.sticky.as_ref()?;
    sticky.node(facts, &service.state.members().load(), event == Event::Start)
}

/// Whether the client may be told not to send its cookie in clear: what a proxy before this one says counts where it is
/// believed.
fn secure(facts: &impl RequestFacts, ciphered: bool, origin: Option<Origin>) -> bool {
    let told = || facts.header("x-forwarded-proto") == pointsman_core::facts::HeaderValue::One("https");
    ciphered || origin.is_some_and(|origin| origin.trusted) && told()
}

/// Appends the lane's line.
pub(super) fn write_line(
    sticky: &Sticky,
    facts: &impl RequestFacts,
    ciphered: bool,
    origin: Origin,
    node: &Node,
    out: &mut Vec<u8>,
) {
    let before = out.len();
    out.extend_from_slice(b"Set-Cookie: ");
    if sticky.issue(facts, &node.spec.id, secure(facts, ciphered, Some(origin)), out) {
        out.extend_from_slice(b"\r\n");
    } else {
        out.truncate(before);
    }
}

/// Adds the field to what a node has answered.
pub(super) fn on_response(session: &Session, trip: &Trip, response: &mut ResponseHeader) -> Result<()> {
    let (Some(sticky), Some(node)) = (&trip.sticky, trip.node()) else { return Ok(()) };
    if response.status.is_informational() && response.status != http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let facts = Head::of(session, trip.origin);
    let ciphered = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    let mut value = Vec::new();
    if sticky.issue(&facts, &node.spec.id, secure(&facts, ciphered, trip.origin), &mut value) {
        let value = HeaderValue::from_bytes(&value).or_err(ErrorType::InternalError, "a cookie")?;
        response.append_header(header::SET_COOKIE, value)?;
    }
    Ok(())
}
