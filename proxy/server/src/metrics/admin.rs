//! What is counted of the operators' API.

use prometheus::{IntCounterVec, Registry};

use super::counters;

/// Who was turned away.
pub struct AdminMetrics {
    refused: IntCounterVec,
}

impl AdminMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            refused: counters(
                registry,
                "pointsman_admin_refused_total",
                "Requests to the admin API, and connections, that were turned away before they were looked at.",
                &["reason"],
            ),
        }
    }

    /// Somebody was turned away (`reason`: one of a fixed list).
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
