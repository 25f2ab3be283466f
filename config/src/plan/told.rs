//! What nodes are told of who asks.

use serde::{Serialize, Serializer};

/// A field that the proxy itself writes into the requests that it sends to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Told {
    /// `X-Forwarded-For`.
    For = 1,
    /// `X-Forwarded-Proto`.
    Proto = 2,
    /// `X-Forwarded-Host`.
    Host = 4,
    /// `Forwarded` (RFC 7239).
    Forwarded = 8,
    /// `X-Request-Id`.
    RequestId = 16,
}

impl Told {
    /// Every field, by the name under which it is written.
    pub const ALL: [(&'static str, Self); 5] = [
        ("x-forwarded-for", Self::For),
        ("x-forwarded-proto", Self::Proto),
        ("x-forwarded-host", Self::Host),
        ("forwarded", Self::Forwarded),
        ("x-request-id", Self::RequestId),
    ];
}

/// Which of those fields are written. None of the others reaches a node either, whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedHeaders(u8);

impl ForwardedHeaders {
    /// Whether that field is written.
    pub fn tell(self, field: Told) -> bool {
        self.0 & field as u8 != 0
    }
}

impl Default for ForwardedHeaders {
    fn default() -> Self {
        Told::ALL.into_iter().map(|(_, field)| field).collect()
    }
}

impl FromIterator<Told> for ForwardedHeaders {
    fn from_iter<T: IntoIterator<Item = Told>>(fields: T) -> Self {
        Self(fields.into_iter().fold(0, |all, field| all | field as u8))
    }
}

impl Serialize for ForwardedHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Told::ALL.iter().filter(|(_, field)| self.tell(*field)).map(|(name, _)| name))
    }
}
