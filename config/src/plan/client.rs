//! What one listener grants its clients.

use std::time::Duration;

use serde::Serialize;

use crate::units::serialize_duration;

/// Bounds of connections, heads and bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ClientLimits {
    /// Bytes of a request's head.
    pub head: u64,
    /// Field lines of a head.
    pub fields: u32,
    /// From the first byte of a head to its last.
    #[serde(serialize_with = "serialize_duration")]
    pub head_timeout: Duration,
    /// Bytes of a request's body; `None`: no bound.
    pub body: Option<u64>,
    /// Between two pieces of a body.
    #[serde(serialize_with = "serialize_duration")]
    pub body_timeout: Duration,
    /// How long a client may leave an answer lying without taking a byte.
    #[serde(serialize_with = "serialize_duration")]
    pub send_timeout: Duration,
    /// How long a connection may idle between two requests.
    #[serde(serialize_with = "serialize_duration")]
    pub keep_alive: Duration,
    /// Connections in all; `None`: no bound.
    pub connections: Option<u32>,
    /// Connections of one client: an IPv4 address, or an IPv6 network of 64 bits; `None`: no bound.
    pub connections_per_client: Option<u32>,
    /// What one connection of HTTP/2 may ask for.
    pub http2: Http2Limits,
}

/// Bounds of a connection of HTTP/2: streams at once, and frames of no use within ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Http2Limits {
    /// Requests under way.
    pub streams: u32,
    /// Requests that the client takes back (`RST_STREAM`).
    pub resets: u32,
    /// Streams that had to be reset because the client broke a rule.
    pub errors: u32,
    /// Frames of each kind that carry no message, beyond two for each frame that does.
    pub control: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self { streams: 100, resets: 500, errors: 100, control: 1000 }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            head: 64 << 10,
            fields: 100,
            head_timeout: Duration::from_secs(10),
            body: Some(1 << 30),
            body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            connections: Some(100_000),
            connections_per_client: Some(20_000),
            http2: Http2Limits::default(),
        }
    }
}
