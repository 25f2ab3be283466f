//! Owners of keys on disk.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{counters, gauges};

/// How owners are kept.
pub struct KeptMetrics {
    writable: IntGaugeVec,
    bytes: IntGaugeVec,
    dropped: IntCounterVec,
}

impl KeptMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauges = |name: &str, help: &str| gauges(registry, name, help, &["service"]);
        Self {
            writable: gauges(
                "pointsman_owners_disk_writable",
                "1 while changes of owners reach the disk, 0 while not.",
            ),
            bytes: gauges(
                "pointsman_owners_disk_bytes",
                "Bytes of owners on disk: the snapshot, and the logs behind it.",
            ),
            dropped: counters(
                registry,
                "pointsman_owners_disk_dropped_total",
                "Changes of owners that did not reach the log; the next snapshot has them.",
                &["service"],
            ),
        }
    }

    /// Whether the owners of a service can be written, and how many bytes they are.
    pub fn state(&self, service: &str, writable: bool, bytes: usize) {
        self.writable.with_label_values(&[service]).set(writable.into());
        self.bytes.with_label_values(&[service]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// So many changes more were dropped.
    pub fn dropped(&self, service: &str, changes: u64) {
        self.dropped.with_label_values(&[service]).inc_by(changes);
    }

    /// The service keeps no owners any more.
    pub fn forget(&self, service: &str) {
        // An error means that the series never was.
        let _ = self.writable.remove_label_values(&[service]);
        let _ = self.bytes.remove_label_values(&[service]);
    }
}
