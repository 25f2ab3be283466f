//! What is counted of TLS.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges};

/// Handshakes and certificates.
pub struct TlsMetrics {
    handshakes: IntCounterVec,
    reloads: IntCounterVec,
    expiries: IntGaugeVec,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            handshakes: counters(
                registry,
                "pointsman_tls_handshakes_total",
                "TLS handshakes with clients.",
                &["result"],
            ),
            reloads: counters(
                registry,
                "pointsman_certificate_reloads_total",
                "Times that changed files of certificates were read.",
                &["outcome"],
            ),
            expiries: gauges(
                registry,
                "pointsman_certificate_expiry_timestamp_seconds",
                "When a certificate that clients are shown expires, in seconds since 1970.",
                &["file"],
            ),
        }
    }

    /// A handshake ended (`result`: `done`, or why not, one of a fixed list).
    pub fn handshake(&self, result: &str) {
        self.handshakes.with_label_values(&[result]).inc();
    }

    /// Changed files of certificates were read (`outcome`: `swapped`, `refused`).
    pub fn certificates_read(&self, outcome: &str) {
        self.reloads.with_label_values(&[outcome]).inc();
    }

    /// The certificates in force, by file, with the seconds since 1970 at which they expire.
    pub fn certificates_expire(&self, all: impl Iterator<Item = (String, i64)>) {
        self.expiries.reset();
        for (file, at) in all {
            self.expiries.with_label_values(&[&file]).set(at);
        }
    }
}
