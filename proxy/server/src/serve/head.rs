//! What routing may know of a request that pingora has read.

use std::net::IpAddr;

use http::header;
use pingora_error::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pointsman_config::plan::Address;
use pointsman_core::facts::{HeaderValue, RequestFacts, without_port};
use pointsman_core::origin::Origin;
use pointsman_lane::flaw::Flaw;
use pointsman_lane::head::is_disguised;

use super::guard;

/// A view of a request's head; copies nothing.
pub(super) struct Head<'s> {
    head: &'s RequestHeader,
    client: Option<IpAddr>,
    subject: Option<&'s str>,
}

impl<'s> Head<'s> {
    pub(super) fn of(session: &'s Session, origin: Option<Origin>) -> Self {
        let client = origin.and_then(|origin| origin.client);
        Self { head: session.req_header(), client, subject: guard::subject(session) }
    }

    /// Of a copy, which nodes see as it is.
    pub(super) fn copied(head: &'s RequestHeader, origin: Origin) -> Self {
        Self { head, client: origin.client, subject: None }
    }
}

/// What pingora leaves to be done to a request on its way to a node.
pub(super) fn mend(session: &Session, request: &mut RequestHeader, node: &Address) -> Result<()> {
    let disguised: Vec<_> =
        request.headers.keys().filter(|name| is_disguised(name.as_str().as_bytes())).cloned().collect();
    for name in disguised {
        request.remove_header(&name);
    }
    // h2c would be a tunnel through which requests pass unseen.
    let upgrade = request.headers.get(header::UPGRADE).map(|value| value.as_bytes().to_ascii_lowercase());
    if upgrade.is_some_and(|protocols| protocols.windows(3).any(|part| part == b"h2c")) {
        for name in ["upgrade", "connection", "http2-settings"] {
            request.remove_header(name);
        }
    }
    // A Connection field may name the length, but the body stays as long as it says. Written anew: to some a leading
    // zero means octal.
    let length = session.req_header().headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length
        && !request.headers.contains_key(header::TRANSFER_ENCODING)
    {
        request.insert_header(header::CONTENT_LENGTH, length)?;
    }
    // An HTTP/1.0 client need not name the host, but a node that is asked in HTTP/1.1 must be told one (RFC 9112 §3.2).
    if !request.headers.contains_key(header::HOST) && request.uri.authority().is_none() {
        request.insert_header(header::HOST, node.authority().to_string())?;
    }
    Ok(())
}

/// Over HTTP/2 a client may part its cookies; whoever reads them, and a node that is asked in HTTP/1.1, gets them in one
/// field (RFC 9113 §8.2.3).
pub(super) fn join_cookies(session: &mut Session) -> Result<()> {
    let fields = session.req_header().headers.get_all(header::COOKIE);
    if guard::over_http2(session).is_none() || fields.iter().nth(1).is_none() {
        return Ok(());
    }
    let joined = fields.iter().map(header::HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    session.req_header_mut().insert_header(header::COOKIE, joined)
}

/// What of a head or the body that it announces is over a bound. Of HTTP/1 the guard has seen to that.
pub(super) fn over_bounds(session: &Session) -> Option<Flaw> {
    let head = session.req_header();
    if guard::over_http2(session).is_some_and(|limits| head.headers.len() > limits.fields as usize) {
        return Some(Flaw::TooManyFields);
    }
    let length = head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    (!guard::has_room(session, length)).then_some(Flaw::BodyTooLarge)
}

/// The address of whoever holds the connection; `None` over a Unix socket.
pub(super) fn peer(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
}

/// The value of a field, as rules see it.
pub(super) fn value<'h>(headers: &'h http::HeaderMap, name: &str) -> HeaderValue<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => HeaderValue::Absent,
        (Some(value), None) => std::str::from_utf8(value.as_bytes())
            .map_or(HeaderValue::Ambiguous, |text| HeaderValue::One(text.trim_matches([' ', '\t']))),
        _ => HeaderValue::Ambiguous,
    }
}

impl RequestFacts for Head<'_> {
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The authority of the target wins over `Host` (RFC 9112 §3.2.2); HTTP/2 has only the former.
    fn host(&self) -> &str {
        match self.head.uri.authority() {
            Some(authority) => without_port(authority.as_str().rsplit('@').next().unwrap_or_default()),
            None => match self.header("host") {
                HeaderValue::One(host) => without_port(host),
                HeaderValue::Absent | HeaderValue::Ambiguous => "",
            },
        }
    }

    fn path(&self) -> &str {
        self.head.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    fn header(&self, name: &str) -> HeaderValue<'_> {
        value(&self.head.headers, name)
    }

    fn client(&self) -> Option<IpAddr> {
        self.client
    }

    fn tls_subject(&self) -> Option<&str> {
        self.subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the lane has it, or a key would depend on who carries the request.
    #[test]
    fn a_value_loses_blanks_and_no_other_white_space() {
        let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
        let value = http::HeaderValue::from_bytes("\t \u{a0}7\u{2003} ".as_bytes()).expect("a value");
        head.append_header("x-key", value).expect("appended");
        let head = Head { head: &head, client: None, subject: None };
        assert_eq!(head.header("x-key"), HeaderValue::One("\u{a0}7\u{2003}"));
    }
}
