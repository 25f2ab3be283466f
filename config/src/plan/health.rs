//! Active health checks.

use std::time::Duration;

use serde::Serialize;

use super::NodeTls;
use crate::units::serialize_duration;

/// An active health check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// How it is asked over TLS; that of the service.
    pub tls: Option<NodeTls>,
    /// Time between two checks of one node (100 ms and up).
    #[serde(serialize_with = "serialize_duration")]
    pub interval: Duration,
    /// Time that one check may take.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Duration,
    /// Failures in a row that take a node down.
    pub fall: u32,
    /// Successes in a row that bring it up.
    pub rise: u32,
    /// Share of the interval by which checks are spread, 0 to 1.
    pub jitter: f64,
}

/// What an active health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Probe {
    /// A TCP connection that is accepted.
    Tcp,
    /// `grpc.health.v1.Health/Check` over HTTP/2.
    Grpc {
        /// The service asked about; empty: the node as a whole.
        service: String,
    },
    /// An HTTP/1.1 GET.
    Http {
        /// Path and query.
        path: String,
        /// Inclusive ranges of statuses that pass.
        expect: Vec<(u16, u16)>,
        /// Host header; the node's address when absent.
        host: Option<String>,
        /// Further headers.
        headers: Vec<(String, String)>,
    },
}
