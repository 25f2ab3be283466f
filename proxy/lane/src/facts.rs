//! What routing sees of a request: a view over the bytes that were read, without a copy.

use std::net::IpAddr;

use pointsman_core::facts::{HeaderValue, RequestFacts, without_port};

use crate::head::RequestHead;
use crate::stream::Peer;

/// A request's head where it was read.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
    peer: &'a Peer,
}

/// Text of bytes that were checked when the head was read; only the parser decides what passes, so anything else is
/// shown as empty.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl<'a> Facts<'a> {
    /// A view of `head` over the bytes it was read from.
    pub fn new(head: &'a RequestHead, bytes: &'a [u8], peer: &'a Peer) -> Self {
        Self { head, bytes, peer }
    }

    /// The address of whoever holds the connection; `None` over a Unix socket.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer.address.map(|address| address.ip())
    }

    /// The subject of the certificate that the client proved to hold, if it had to.
    pub fn subject(&self) -> Option<&'a str> {
        self.peer.subject.as_deref()
    }

    /// Whether the client's bytes come ciphered.
    pub fn is_secure(&self) -> bool {
        self.peer.secure
    }

    /// Host and port as the request names them.
    pub fn authority(&self) -> &'a str {
        text(self.head.authority().of(self.bytes))
    }

    /// The values of a field in the order sent, as bytes; `name` in any case.
    pub fn values(&self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let Self { head, bytes, .. } = *self;
        head.lines()
            .iter()
            .filter(move |line| line.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(move |line| line.value.of(bytes))
    }
}

impl RequestFacts for Facts<'_> {
    fn method(&self) -> &str {
        text(self.head.method().of(self.bytes))
    }

    fn host(&self) -> &str {
        without_port(self.authority())
    }

    fn path(&self) -> &str {
        match text(self.head.path().of(self.bytes)) {
            "" => "/",
            path => path,
        }
    }

    fn query(&self) -> Option<&str> {
        self.head.query().map(|query| text(query.of(self.bytes)))
    }

    fn header(&self, name: &str) -> HeaderValue<'_> {
        let mut found = self
            .head
            .lines()
            .iter()
            .filter(|line| line.name.of(self.bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(|line| line.value.of(self.bytes));
        match (found.next(), found.next()) {
            (None, _) => HeaderValue::Absent,
            (Some(value), None) => std::str::from_utf8(value).map_or(HeaderValue::Ambiguous, HeaderValue::One),
            _ => HeaderValue::Ambiguous,
        }
    }

    fn client(&self) -> Option<IpAddr> {
        self.peer()
    }

    fn tls_subject(&self) -> Option<&str> {
        self.subject()
    }
}
