//! Why a connection leaves the lane.

/// Why a connection leaves the lane. All are sound requests; malformed ones are refused, never handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandOver {
    /// An upgrade is asked for with a body, or to one of several protocols (RFC 9110 §7.8).
    Upgrade,
    /// CONNECT (RFC 9110 §9.3.6).
    Connect,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.4).
    Http2,
    /// HTTP/1.0, whose connections persist by other rules (RFC 9112 §9.3).
    Http10,
    /// Sound, but with something that the lane does not do: TRACE or OPTIONS with Max-Forwards (RFC 9110 §7.6.2).
    Unsure,
    /// All but upgrades is to be carried by others ([`crate::Options::upgrades_only`]).
    Off,
    /// The nodes of the request's service are spoken to in a way that the lane does not: over TLS, in HTTP/2.
    Node,
}

impl HandOver {
    /// All of them, for whoever counts.
    pub const ALL: [Self; 7] =
        [Self::Upgrade, Self::Connect, Self::Http2, Self::Http10, Self::Unsure, Self::Off, Self::Node];

    /// Name for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Connect => "connect",
            Self::Http2 => "http2",
            Self::Http10 => "http10",
            Self::Unsure => "unsure",
            Self::Off => "off",
            Self::Node => "node",
        }
    }
}
