//! How the process came and goes.

use prometheus::{IntCounterVec, IntGauge, Registry};

use super::families::{counters, register};

/// Upgrades, and whether this process is on its way out.
pub struct ProcessMetrics {
    upgrades: IntCounterVec,
    stopping: IntGauge,
}

impl ProcessMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let upgrades = counters(
            registry,
            "pointsman_upgrades_total",
            "Upgrades: done (this process took over from another) or failed (another was to take over and did not).",
            &["outcome"],
        );
        for outcome in ["done", "failed"] {
            upgrades.with_label_values(&[outcome]);
        }
        let stopping =
            IntGauge::new("pointsman_stopping", "1 once the proxy is told to stop.").expect("a valid family");
        register(registry, stopping.clone());
        Self { upgrades, stopping }
    }

    /// An upgrade is over: this process took over (true), or another that was to take over did not.
    pub fn upgraded(&self, done: bool) {
        self.upgrades.with_label_values(&[if done { "done" } else { "failed" }]).inc();
    }

    /// The proxy was told to stop.
    pub fn stops(&self) {
        self.stopping.set(1);
    }
}
