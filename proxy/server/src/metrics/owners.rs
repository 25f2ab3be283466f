//! What services know of owners.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges};

/// Figures of owners, set when somebody looks.
pub struct OwnerMetrics {
    entries: IntGaugeVec,
    bytes: IntGaugeVec,
    changes: IntCounterVec,
}

impl OwnerMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let service = &["service"];
        Self {
            entries: gauges(registry, "pointsman_owners", "Keys that have an owner.", service),
            bytes: gauges(registry, "pointsman_owner_bytes", "Memory that owners take, spare places counted.", service),
            changes: counters(
                registry,
                "pointsman_owner_changes_total",
                "Keys that got, changed or lost their owner, and claims that were refused.",
                &["service", "change"],
            ),
        }
    }

    /// The owners of a service now, and the bytes that they take.
    pub fn owners(&self, service: &str, entries: usize, bytes: usize) {
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.entries.with_label_values(&[service]).set(number(entries));
        self.bytes.with_label_values(&[service]).set(number(bytes));
    }

    /// How often that happened since the service began to keep owners (`change`: `claimed`, `moved`, `released`,
    /// `expired`, `evicted`, `refused`).
    pub fn changes(&self, service: &str, change: &str, count: u64) {
        self.changes.with_label_values(&[service, change]).inc_by(count);
    }

    pub(super) fn reset(&self) {
        self.entries.reset();
        self.bytes.reset();
        self.changes.reset();
    }
}
