//! What is counted of the operators' API.

use prometheus::{IntCounterVec, Registry};

use super::counters;

/// Who was turned away, and what was written down.
pub struct AdminMetrics {
    refused: IntCounterVec,
    audited: IntCounterVec,
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
            audited: counters(
                registry,
                "pointsman_audit_records_total",
                "Lines of the audit by what became of them.",
                &["outcome"],
            ),
        }
    }

    /// Somebody was turned away (`reason`: one of a fixed list).
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Lines of the audit were written, or not (`outcome`: `written`, `failed`, `lost`).
    pub fn audited(&self, outcome: &str, lines: u64) {
        self.audited.with_label_values(&[outcome]).inc_by(lines);
    }
}
