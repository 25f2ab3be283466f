//! What is counted of clients' connections and copies.

use prometheus::{IntCounterVec, Registry};

use super::counters;

/// Connections that the proxy closed, and copies of requests.
pub struct ClientMetrics {
    refused: IntCounterVec,
    http2_closed: IntCounterVec,
    http2_reset: IntCounterVec,
    mirrored: IntCounterVec,
    broadcast: IntCounterVec,
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
            http2_reset: counters(
                registry,
                "pointsman_http2_streams_reset_total",
                "HTTP/2 streams that the proxy reset because their client broke a rule.",
                &["code"],
            ),
            mirrored: counters(
                registry,
                "pointsman_mirrored_total",
                "Copies of requests by what became of them.",
                &["service", "result"],
            ),
            broadcast: counters(
                registry,
                "pointsman_broadcast_total",
                "Copies of broadcasts, one a node, by what became of them.",
                &["service", "result"],
            ),
        }
    }

    /// A connection was closed at once (`reason`: one of a fixed list).
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// A request was to be copied to that service (`result`: one of a fixed list).
    pub fn mirrored(&self, service: &str, result: &str) {
        self.mirrored.with_label_values(&[service, result]).inc();
    }

    /// A node was to be sent a broadcast of that service (`result`: one of a fixed list).
    pub fn broadcast(&self, service: &str, result: &str) {
        self.broadcast.with_label_values(&[service, result]).inc();
    }

    /// A connection of HTTP/2 was closed (`cause`: one of a fixed list).
    pub fn http2_closed(&self, cause: &str) {
        self.http2_closed.with_label_values(&[cause]).inc();
    }

    /// Streams of HTTP/2 were reset (`code`: one of a fixed list).
    pub fn http2_reset(&self, code: &str, count: u32) {
        self.http2_reset.with_label_values(&[code]).inc_by(count.into());
    }
}
