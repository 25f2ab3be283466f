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

/// Whether a method may be sent twice without harm (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
