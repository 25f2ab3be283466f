//! What a route changes, made on what pingora carries. The lane writes the same as bytes.

use http::uri::PathAndQuery;
use http::{HeaderName, StatusCode, Uri, header};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use pointsman_config::plan::{Edits, Told};

use super::head::{self, Head};
use super::identity::REQUEST_ID;
use super::trip::Trip;
use super::{epoch, forwarded, owned};

/// What the node of this attempt is told besides what the client says.
pub(super) fn introduce(session: &Session, trip: &Trip, request: &mut RequestHeader) -> Result<()> {
    if let Some(origin) = &trip.origin {
        forwarded::introduce(session, trip.told, origin, request)?;
    }
    epoch::tell(trip.epoch(), request)?;
    if trip.told.tell(Told::RequestId) {
        request.insert_header(REQUEST_ID, &trip.id)?;
    }
    if let Some(node) = trip.node() {
        head::mend(session, request, &node.spec.address)?;
    }
    trip.ahead.on_request(request);
    on_request(trip, request)
}

/// Other fields and another path for the node.
fn on_request(trip: &Trip, request: &mut RequestHeader) -> Result<()> {
    owned::introduce(trip, request)?;
    let Some(course) = &trip.course else { return Ok(()) };
    let Edits { set, add, remove } = &course.plan().request_headers;
    for name in remove {
        request.remove_header(name.as_str());
    }
    for (name, value) in set {
        request.insert_header(field(name)?, value)?;
    }
    for (name, value) in add {
        request.append_header(field(name)?, value)?;
    }
    if let Some(node) = trip.node().filter(|_| course.changes_host()) {
        let mut host = Vec::new();
        course.host(node, &mut host);
        // HTTP/2 says it in the target.
        if request.uri.authority().is_some() {
            let mut parts = request.uri.clone().into_parts();
            parts.authority = Some(host.as_slice().try_into().or_err(ErrorType::InternalError, "a host")?);
            request.set_uri(Uri::from_parts(parts).or_err(ErrorType::InternalError, "a host")?);
        }
        request.insert_header(header::HOST, host)?;
    }
    if course.changes_path() {
        let mut path = Vec::new();
        course.path(request.uri.path(), &mut path);
        if let Some(query) = request.uri.query() {
            path.push(b'?');
            path.extend_from_slice(query.as_bytes());
        }
        let wrong = || "a path that was rewritten";
        let mut parts = request.uri.clone().into_parts();
        let path = PathAndQuery::from_maybe_shared(path).or_err_with(ErrorType::InternalError, wrong)?;
        parts.path_and_query = Some(path);
        request.set_uri(Uri::from_parts(parts).or_err_with(ErrorType::InternalError, wrong)?);
    }
    Ok(())
}

/// Other fields for the client.
pub(super) fn on_response(trip: &Trip, response: &mut ResponseHeader) -> Result<()> {
    let Some(course) = &trip.course else { return Ok(()) };
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let Edits { set, add, remove } = &course.plan().response_headers;
    for name in remove {
        response.remove_header(name.as_str());
    }
    for (name, value) in set {
        response.insert_header(field(name)?, value)?;
    }
    for (name, value) in add {
        response.append_header(field(name)?, value)?;
    }
    Ok(())
}

fn field(name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).or_err(ErrorType::InternalError, "the name of a header")
}

/// Sends the client where its route says.
pub(super) async fn redirect(session: &mut Session, trip: &Trip) -> Result<()> {
    let secure = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    let course = trip.course.as_ref().and_then(|course| course.redirect(&Head::of(session, trip.origin), secure));
    let (status, location) = course.ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
    let mut head = ResponseHeader::build(status, Some(3))?;
    head.insert_header(header::LOCATION, location)?;
    head.insert_header(header::CONTENT_LENGTH, 0)?;
    head.insert_header(REQUEST_ID, &trip.id)?;
    session.write_response_header(Box::new(head), true).await
}
