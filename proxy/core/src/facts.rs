//! The one view of a request that routing has, whatever carries it.

use std::net::IpAddr;

/// What routing may know of a request. Implemented by each lane over its own representation, without copying.
pub trait RequestFacts {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// Host without port, as sent; empty when there is none.
    fn host(&self) -> &str;
    /// Path without query, as sent (not decoded).
    fn path(&self) -> &str;
    /// Query without `?`.
    fn query(&self) -> Option<&str>;
    /// The value of a header (`name` in lower case) when it stands there exactly once and is visible ASCII or UTF-8.
    fn header(&self, name: &str) -> HeaderValue<'_>;
    /// The client's address.
    fn client(&self) -> Option<IpAddr>;
    /// The subject of the certificate that the client has shown, as RFC 4514 writes it.
    fn tls_subject(&self) -> Option<&str> {
        None
    }
    /// What stands at a place in the body that the key rule names, as far as the body was read for it
    /// ([`crate::key::body::BodyReader`]).
    fn body_value(&self, _place: usize) -> BodyValue<'_> {
        BodyValue::Unread
    }
}

/// What was found at a place in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyValue<'a> {
    /// The body was not read, or not far enough to say.
    Unread,
    /// This text, decoded; never empty.
    Found(&'a str),
    /// Nothing, or an empty text.
    Missing,
    /// The body, or what stands there, cannot be read.
    Malformed,
    /// More than one value.
    Ambiguous,
    /// The body is longer than is read for a key, and what was read does not say.
    TooLarge,
}

/// What stands under a header's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// No such header.
    Absent,
    /// Once, with this value (surrounding white space removed).
    One(&'a str),
    /// Several times, or not text: nobody may guess which is meant.
    Ambiguous,
}

/// What a policy reads under a name: a header that stands there once; `:method` and `:path`, which no header can be called,
/// are those of the request.
pub fn named<'f>(facts: &'f impl RequestFacts, name: &str) -> Option<&'f str> {
    match name {
        ":method" => Some(facts.method()),
        ":path" => Some(facts.path()),
        _ => match facts.header(name) {
            HeaderValue::One(value) => Some(value),
            HeaderValue::Absent | HeaderValue::Ambiguous => None,
        },
    }
}

/// Whether a method asks for nothing to be changed (RFC 9110 §9.2.1).
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Whether a method may be sent twice without harm (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Facts that stand on their own: for tests, benches and the operator's question "where would this go?".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plain {
    /// Method.
    pub method: String,
    /// Host without port.
    pub host: String,
    /// Path without query.
    pub path: String,
    /// Query without `?`.
    pub query: Option<String>,
    /// (lower-case name, value).
    pub headers: Vec<(String, String)>,
    /// Client's address.
    pub client: Option<IpAddr>,
    /// Subject of the client's certificate.
    pub tls_subject: Option<String>,
}

impl RequestFacts for Plain {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header(&self, name: &str) -> HeaderValue<'_> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (None, _) => HeaderValue::Absent,
            (Some((_, value)), None) => HeaderValue::One(value.trim_matches([' ', '\t'])),
            _ => HeaderValue::Ambiguous,
        }
    }

    fn client(&self) -> Option<IpAddr> {
        self.client
    }

    fn tls_subject(&self) -> Option<&str> {
        self.tls_subject.as_deref()
    }
}

/// Host of a `Host` field or authority without its port: `a.com:80` is `a.com`, `[::1]:80` is `[::1]`.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !is_bare_v6(name) => name,
        _ => host,
    }
}

/// An IPv6 address without brackets, whose colons part groups, not a port.
fn is_bare_v6(name: &str) -> bool {
    name.contains(':') && !name.ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_have_names_of_their_own() {
        let headers = vec![("method".into(), "a".into()), ("x".into(), "1".into()), ("x".into(), "2".into())];
        let facts = Plain { method: "PUT".into(), path: "/a".into(), headers, ..Plain::default() };
        let read = |name| named(&facts, name);
        assert_eq!(
            [":method", ":path", "method", "x", ":host"].map(read),
            [Some("PUT"), Some("/a"), Some("a"), None, None]
        );
    }

    #[test]
    fn a_port_is_taken_off_a_name_and_an_address() {
        for (host, name) in [
            ("a.com", "a.com"),
            ("a.com:8080", "a.com"),
            ("a.com:", "a.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("fe80::1:80", "fe80::1:80"),
            ("a.com:http", "a.com:http"),
            (":80", ":80"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }
}
