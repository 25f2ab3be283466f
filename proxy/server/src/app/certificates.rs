//! Keeps the listeners' certificates as new as their files, and tells operators.

use std::sync::Arc;
use std::time::Duration;

use super::room;
use crate::metrics::Metrics;
use crate::serve::{Renewed, Workers};
use crate::world::bus::Bus;

/// How often files are looked at. A change is taken at the second look that finds it.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for changes for as long as the process lives.
pub(super) fn watch(workers: &Arc<Workers>, bus: &Bus, metrics: &Arc<Metrics>) {
    let (workers, bus, metrics) = (Arc::clone(workers), bus.clone(), Arc::clone(metrics));
    room::spawn("certificates", move || async move {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            if let Some(renewed) = workers.renew_if_changed() {
                metrics.tls().certificates_read(if renewed.problems.is_empty() { "swapped" } else { "refused" });
                report(&renewed, &bus);
            }
        }
    });
}

/// Tells operators what became of certificates.
pub(super) fn report(renewed: &Renewed, bus: &Bus) {
    for file in &renewed.new {
        bus.tell("certificate-renewed", "", "", format!("clients are shown the new one in {}", file.display()));
    }
    for problem in &renewed.problems {
        log::error!("a certificate is not taken, what was in force before serves on:\n{problem}");
        bus.tell("certificate-refused", "", "", &problem.message);
    }
}
