//! Bounds and times of the lane, each with its default.

use std::time::Duration;

/// How much of a message the lane is willing to hold or to walk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, first line and empty line included; more is 431. Default 64 KiB.
    pub head_bytes: usize,
    /// Bytes of a request line; more is 414. Default 16 KiB (RFC 9112 §3 asks for 8,000 at least).
    pub line_bytes: usize,
    /// Field lines of a head; more is 431. Default 100.
    pub fields: usize,
    /// Bytes of a trailer section. Default 8 KiB.
    pub trailer_bytes: usize,
    /// Bytes of one chunk extension. Default 256.
    pub extension_bytes: usize,
    /// Bytes of all chunk extensions of one message: without a bound a client makes a proxy read gigabytes that carry
    /// one byte a chunk of payload (CVE-2023-39326). Default 16 KiB.
    pub extensions_bytes: usize,
    /// Bytes of a request's body; more is 413. Default: no bound.
    pub body_bytes: u64,
    /// Interim (1xx) responses to one request. Default 16.
    pub interim: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            line_bytes: 16 * 1024,
            fields: 100,
            trailer_bytes: 8 * 1024,
            extension_bytes: 256,
            extensions_bytes: 16 * 1024,
            body_bytes: u64::MAX,
            interim: 16,
        }
    }
}

/// Everything about the lane that does not depend on a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// See there.
    pub limits: Limits,
    /// From the first byte of a head to its last; then 408. Default 10 s.
    pub head_timeout: Duration,
    /// Between two pieces of a request's body; then 408. Default 60 s.
    pub body_timeout: Duration,
    /// How long a client may leave our bytes lying. Default 60 s.
    pub send_timeout: Duration,
    /// How long a connection may idle between two requests. Default 75 s.
    pub keep_alive: Duration,
    /// How long input is thrown away after a last response, so that the response is not lost to a reset (RFC 9112 §9.6).
    /// Default 2 s.
    pub linger: Duration,
    /// Whether HTTP/2 is spoken on the same socket by prior knowledge. What is no request line then may be a preface gone
    /// wrong, and is not answered: HTTP/1.1 would be read as a frame (RFC 9113 §3.4). Default false.
    pub prior_knowledge: bool,
    /// Whether only upgrades are carried, and all else handed over. Default false.
    pub upgrades_only: bool,
    /// Idle connections kept per node and worker thread. Default 512.
    pub pool_per_node: usize,
    /// Idle connections kept per worker thread. Default 2,048: eight workers stay below 20,000 descriptors.
    pub pool_per_worker: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            linger: Duration::from_secs(2),
            prior_knowledge: false,
            upgrades_only: false,
            pool_per_node: 512,
            pool_per_worker: 2048,
        }
    }
}
