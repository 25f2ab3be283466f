//! Primaries that came and went.

use prometheus::{IntCounterVec, Registry};

use super::counters;

/// Changes of primaries.
pub struct PrimaryMetrics {
    changes: IntCounterVec,
}

impl PrimaryMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let help = "Primaries that were elected or deposed.";
        Self { changes: counters(registry, "pointsman_primary_changes_total", help, &["service", "change"]) }
    }

    /// One was elected (`change`: `elected`, `resumed`) or deposed (`gone`, `drained`, `down`, `reborn`, `abolished`).
    pub fn changed(&self, service: &str, change: &str) {
        self.changes.with_label_values(&[service, change]).inc();
    }
}
