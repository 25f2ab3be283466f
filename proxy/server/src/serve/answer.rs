//! Sends what the proxy itself has to say.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use pointsman_lane::flaw::Flaw;
use pointsman_lane::traffic::Page;

use super::identity::REQUEST_ID;
use crate::refusal::{CONTENT_TYPE, Why, refuse};

/// Answers with a problem document. Answers the status, or `None` when a response has begun already: then the client
/// must see it cut off, not a second head.
pub(super) async fn send(session: &mut Session, why: Why<'_>, id: &http::HeaderValue) -> Result<Option<u16>> {
    if begun(session) {
        return Ok(None);
    }
    let refusal = refuse(why, id.to_str().unwrap_or_default());
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = ResponseHeader::build(status, Some(5))?;
    head.insert_header(header::CONTENT_TYPE, CONTENT_TYPE)?;
    head.insert_header(header::CONTENT_LENGTH, refusal.body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(REQUEST_ID, id)?;
    if let Some(seconds) = refusal.retry_after {
        head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    if let Some(methods) = refusal.allow {
        head.insert_header(header::ALLOW, methods)?;
    }
    let bodiless = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), bodiless).await?;
    if !bodiless {
        let body = Bytes::from(refusal.body);
        session.write_response_body(Some(body), true).await?;
    }
    Ok(Some(refusal.status))
}

/// Whether a final response head has gone to the client (RFC 9110 §15.2: 1xx is not final, but 101 is).
pub(super) fn begun(session: &Session) -> bool {
    session
        .response_written()
        .is_some_and(|head| !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS)
}

/// The status that the client got; 0: none.
pub(super) fn status(session: &Session) -> u16 {
    session.response_written().filter(|_| begun(session)).map_or(0, |head| head.status.as_u16())
}

/// Writes a problem document as the lane's page.
pub(super) fn fill(page: &mut Page, why: Why<'_>, id: &str) {
    let refusal = refuse(why, id);
    page.status = refusal.status;
    let head = format!("Content-Type: {CONTENT_TYPE}\r\nCache-Control: no-store\r\n{REQUEST_ID}: {id}\r\n");
    page.fields.extend_from_slice(head.as_bytes());
    if let Some(seconds) = refusal.retry_after {
        page.fields.extend_from_slice(format!("Retry-After: {seconds}\r\n").as_bytes());
    }
    if let Some(methods) = refusal.allow {
        page.fields.extend_from_slice(format!("Allow: {methods}\r\n").as_bytes());
    }
    page.body.extend_from_slice(refusal.body.as_bytes());
}

/// Why a message with this flaw is refused.
pub(super) fn flawed(flaw: Flaw) -> Why<'static> {
    Why::Flaw { status: flaw.status(), sentence: flaw.sentence() }
}
