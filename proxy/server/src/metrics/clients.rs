//! What is counted of clients' connections.

use prometheus::{IntCounterVec, Registry};

use super::counters;

/// Connections that the proxy closed.
pub struct ClientMetrics {
    refused: IntCounterVec,
    http2_closed: IntCounterVec,
}

impl ClientMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            refused: counters(
                registry,
                "pointsman_connections_refused_total",
                "Client connections closed before they could ask for anything.",
                &["reason"],
            ),
            http2_closed: counters(
                registry,
                "pointsman_http2_connections_closed_total",
                "HTTP/2 connections that the proxy closed before their clients did.",
                &["cause"],
            ),
        }
    }

    /// A connection was closed at once (`reason`: one of a fixed list).
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// A connection of HTTP/2 was closed (`cause`: one of a fixed list).
    pub fn http2_closed(&self, cause: &str) {
        self.http2_closed.with_label_values(&[cause]).inc();
    }
}
