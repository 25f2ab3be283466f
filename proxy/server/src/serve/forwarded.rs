//! What a node is told of who asks: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded` (RFC 7239).
//!
//! A node believes these fields, so what a client sends of them is left out and written anew; what a trusted proxy sends is
//! carried on. The lane writes lines, pingora takes values: both are made here. `forwarded_headers` says which.

use std::io::Write;
use std::net::IpAddr;

use http::HeaderName;
use http::uri::Authority;
use pingora_error::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pointsman_config::plan::{ForwardedHeaders, Told as Field, TrustedHeader};
use pointsman_core::facts::{HeaderValue, RequestFacts};
use pointsman_core::origin::Origin;
use pointsman_lane::traffic::Facts;

use super::epoch::EPOCH;
use super::identity::REQUEST_ID;
use super::mirror::MARK;
use super::owned::OWNER_EPOCH;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";
const FORWARDED: &str = "forwarded";
/// Fields beside those four by which proxies tell nodes of clients begin so, or are this.
const FAMILY: &str = "x-forwarded-";
const REAL: &str = "x-real-ip";

/// A request of the lane with the client that is behind its peer.
pub(super) struct Seen<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) client: Option<IpAddr>,
}

impl RequestFacts for Seen<'_> {
    fn method(&self) -> &str {
        self.facts.method()
    }

    fn host(&self) -> &str {
        self.facts.host()
    }

    fn path(&self) -> &str {
        self.facts.path()
    }

    fn query(&self) -> Option<&str> {
        self.facts.query()
    }

    fn header(&self, name: &str) -> HeaderValue<'_> {
        self.facts.header(name)
    }

    fn client(&self) -> Option<IpAddr> {
        self.client
    }

    fn tls_subject(&self) -> Option<&str> {
        self.facts.subject()
    }
}

/// Whom a request of the lane comes from.
pub(super) fn origin(world: &crate::world::World, facts: &Facts<'_>) -> Origin {
    let (trusted, peer) = (&world.plan.trusted_proxies, facts.peer());
    match world.plan.trusted_header {
        TrustedHeader::XForwardedFor => Origin::of(trusted, peer, facts.values(FOR)),
        TrustedHeader::Forwarded => Origin::of_forwarded(trusted, peer, facts.values(FORWARDED)),
    }
}

/// Whom a request that pingora carries comes from.
pub(super) fn origin_of(world: &crate::world::World, session: &Session, peer: Option<IpAddr>) -> Origin {
    let values = |name| session.req_header().headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
    match world.plan.trusted_header {
        TrustedHeader::XForwardedFor => Origin::of(&world.plan.trusted_proxies, peer, values(FOR)),
        TrustedHeader::Forwarded => Origin::of_forwarded(&world.plan.trusted_proxies, peer, values(FORWARDED)),
    }
}

/// Whether a field that came is left out of what the node gets: because it is written anew, or because only a trusted
/// proxy may say so. To some nodes an underscore is a hyphen.
pub(super) fn leaves_out(name: &[u8], trusted: bool) -> bool {
    let is = |known: &str| name.len() == known.len() && begins(name, known);
    match name.len() {
        9 if is(REAL) => !trusted,
        9 => is(FORWARDED),
        12 if is(REQUEST_ID) => true,
        15 if is(EPOCH) => true,
        18 if is(MARK) => !trusted,
        21 if is(OWNER_EPOCH) => true,
        12.. if begins(name, FAMILY) => !trusted || is(FOR) || is(PROTO) || is(HOST),
        _ => false,
    }
}

fn begins(name: &[u8], known: &str) -> bool {
    let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-');
    name.len() >= known.len() && name.iter().zip(known.as_bytes()).all(same)
}

/// Appends the lines of the lane.
pub(super) fn write_lines(fields: ForwardedHeaders, origin: &Origin, facts: &Facts<'_>, out: &mut Vec<u8>) {
    // Nearly every client is a stranger, and then nothing is looked for.
    let before = |name| origin.trusted.then(|| facts.values(name)).into_iter().flatten();
    let told = Told { peer: origin.peer, proto: scheme(facts.is_secure()), host: facts.authority().as_bytes() };
    let start = out.len();
    if fields.tell(Field::For) {
        out.extend_from_slice(b"x-forwarded-for: ");
        if told.write_for(before(FOR), out) {
            out.extend_from_slice(b"\r\n");
        } else {
            out.truncate(start);
        }
    }
    if fields.tell(Field::Proto) {
        out.extend_from_slice(b"x-forwarded-proto: ");
        told.write_proto(before(PROTO), out);
        out.extend_from_slice(b"\r\n");
    }
    if fields.tell(Field::Host) {
        out.extend_from_slice(b"x-forwarded-host: ");
        told.write_host(before(HOST), out);
        out.extend_from_slice(b"\r\n");
    }
    if fields.tell(Field::Forwarded) {
        out.extend_from_slice(b"forwarded: ");
        told.write_forwarded(before(FORWARDED), out);
        out.extend_from_slice(b"\r\n");
    }
}

/// The same for pingora.
pub(super) fn introduce(
    session: &Session,
    fields: ForwardedHeaders,
    origin: &Origin,
    request: &mut RequestHeader,
) -> Result<()> {
    let came = session.req_header();
    let secure = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    let field = came.headers.get(http::header::HOST).map(http::HeaderValue::as_bytes);
    let host = came.uri.authority().map(Authority::as_str).map(str::as_bytes).or(field).unwrap_or_default();
    let told = Told { peer: origin.peer, proto: scheme(secure), host };
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    for name in names.iter().filter(|name| leaves_out(name.as_str().as_bytes(), origin.trusted)) {
        request.remove_header(name);
    }
    let before = |name| came.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).filter(|_| origin.trusted);
    let mut value = Vec::new();
    if fields.tell(Field::For) && told.write_for(before(FOR), &mut value) {
        request.insert_header(FOR, std::mem::take(&mut value))?;
    }
    if fields.tell(Field::Proto) {
        told.write_proto(before(PROTO), &mut value);
        request.insert_header(PROTO, std::mem::take(&mut value))?;
    }
    if fields.tell(Field::Host) {
        told.write_host(before(HOST), &mut value);
        // HTTP/1.0 need not name one.
        if !value.is_empty() {
            request.insert_header(HOST, std::mem::take(&mut value))?;
        }
    }
    if fields.tell(Field::Forwarded) {
        told.write_forwarded(before(FORWARDED), &mut value);
        request.insert_header(FORWARDED, value)?;
    }
    Ok(())
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// What this proxy itself sees.
struct Told<'a> {
    /// `None`: over a Unix socket.
    peer: Option<IpAddr>,
    proto: &'static str,
    /// Host and port as the request names them.
    host: &'a [u8],
}

impl Told<'_> {
    /// One line, since not every node joins several. A peer without an address adds nothing; whether anything was written.
    fn write_for<'v>(&self, before: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        join(before, out);
        match self.peer {
            Some(peer) => write_address(peer, out),
            None => out.truncate(start.max(out.len().saturating_sub(BETWEEN.len()))),
        }
        out.len() > start
    }

    /// What the client spoke to the first proxy.
    fn write_proto<'v>(&self, before: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        let told =
            only(before).filter(|told| told.eq_ignore_ascii_case(b"http") || told.eq_ignore_ascii_case(b"https"));
        out.extend_from_slice(told.unwrap_or(self.proto.as_bytes()));
    }

    /// What the client asked the first proxy for.
    fn write_host<'v>(&self, before: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        out.extend_from_slice(only(before).filter(|told| !told.is_empty()).unwrap_or(self.host));
    }

    /// One element more (RFC 7239 §4). What is no token stands in quotes, and neither an address nor a host holds one.
    fn write_forwarded<'v>(&self, before: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        join(before, out);
        out.extend_from_slice(b"for=");
        match self.peer {
            Some(peer @ IpAddr::V6(_)) => {
                out.extend_from_slice(b"\"[");
                write_address(peer, out);
                out.extend_from_slice(b"]\"");
            }
            Some(peer) => write_address(peer, out),
            // RFC 7239 §6.2.
            None => out.extend_from_slice(b"unknown"),
        }
        let quotable = |b: &u8| (b' '..=b'~').contains(b) && !matches!(b, b'"' | b'\\');
        if !self.host.is_empty() && self.host.iter().all(quotable) {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(self.host);
            out.push(b'"');
        }
        out.extend_from_slice(b";proto=");
        out.extend_from_slice(self.proto.as_bytes());
    }
}

/// What parts the members of a list (RFC 9110 §5.6.1).
const BETWEEN: &[u8] = b", ";

fn join<'v>(values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
    for value in values.filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(BETWEEN);
    }
}

fn only<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(client) => {
            for (index, octet) in client.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(octet, out);
            }
        }
        // Rarer, and its text has rules of its own (RFC 5952). Writing to a Vec cannot fail.
        IpAddr::V6(client) => {
            let _ = write!(out, "{client}");
        }
    }
}

fn decimal(octet: u8, out: &mut Vec<u8>) {
    if octet >= 100 {
        out.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        out.push(b'0' + octet / 10 % 10);
    }
    out.push(b'0' + octet % 10);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_formatter_would() {
        for octet in 0..=u8::MAX {
            let mut out = Vec::new();
            decimal(octet, &mut out);
            assert_eq!(out, octet.to_string().into_bytes());
        }
    }

    #[test]
    fn a_client_may_not_say_who_it_is_in_any_disguise() {
        for name in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "FORWARDED",
            "x-forwarded-proto",
            "X-Forwarded_Host",
            "x-request-id",
            "Pointsman_Epoch",
            "Pointsman_Owner-Epoch",
        ] {
            assert!(leaves_out(name.as_bytes(), false) && leaves_out(name.as_bytes(), true), "{name}");
        }
        for name in ["X-Real-IP", "x_real_ip", "X-Forwarded-Port", "x-forwarded-", "X-Pointsman-Mirror"] {
            assert!(leaves_out(name.as_bytes(), false) && !leaves_out(name.as_bytes(), true), "{name}");
        }
        for name in ["x-forwarded", "forwarder", "forwarded-for", "x-request-ip", "accept", "traceparent", "tracestate"]
        {
            assert!(!leaves_out(name.as_bytes(), false), "{name}");
        }
    }

    #[test]
    fn who_has_no_address_adds_none() {
        let line = |before: &[&str]| {
            let mut out = b"x-forwarded-for: ".to_vec();
            let told = Told { peer: None, proto: "http", host: b"a.b" };
            told.write_for(before.iter().map(|value| value.as_bytes()), &mut out).then_some(())?;
            String::from_utf8(out).ok()
        };
        assert_eq!(line(&[]), None);
        assert_eq!(line(&[""]), None);
        assert_eq!(line(&["192.0.2.1"]).as_deref(), Some("x-forwarded-for: 192.0.2.1"));
        assert_eq!(
            line(&["192.0.2.1, 10.0.0.1", "10.0.0.2"]).as_deref(),
            Some("x-forwarded-for: 192.0.2.1, 10.0.0.1, 10.0.0.2")
        );
    }

    #[test]
    fn an_element_is_written_so_that_it_can_be_read_again() {
        let element = |peer: &str, host: &str| {
            let peer = (!peer.is_empty()).then(|| peer.parse().expect("an address"));
            let mut out = Vec::new();
            let told = Told { peer, proto: "http", host: host.as_bytes() };
            told.write_forwarded([&b"for=1.1.1.1"[..], b""].into_iter(), &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(element("192.0.2.1", "a.b"), "for=1.1.1.1, for=192.0.2.1;host=\"a.b\";proto=http");
        assert_eq!(
            element("2001:db8::1", "[::1]:80"),
            "for=1.1.1.1, for=\"[2001:db8::1]\";host=\"[::1]:80\";proto=http"
        );
        assert_eq!(element("", "a.b"), "for=1.1.1.1, for=unknown;host=\"a.b\";proto=http");
        assert_eq!(element("192.0.2.1", ""), "for=1.1.1.1, for=192.0.2.1;proto=http");
        assert_eq!(element("192.0.2.1", "a\"b"), "for=1.1.1.1, for=192.0.2.1;proto=http");
    }
}
