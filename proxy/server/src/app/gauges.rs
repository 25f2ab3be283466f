//! Gauges of nodes, read when somebody scrapes rather than kept up to date by every request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pointsman_core::cluster::membership::Standing;
use pointsman_core::owners::OwnerTable;

use crate::metrics::{Metrics, OwnerMetrics};
use crate::world::WorldCell;

pub(super) fn at_each_scrape(metrics: &Arc<Metrics>, world: &WorldCell) {
    let world = Arc::clone(world);
    metrics.on_scrape(move |gauges| {
        for service in world.load().services.values() {
            let name = &service.plan.name;
            if let Some(owners) = &service.state.owners {
                count(gauges.owners(), name, owners);
            }
            let membership = service.state.members().load_full();
            gauges.registry(name, membership.members().len());
            let elects = service.plan.primary.is_some();
            if elects {
                gauges.epoch(name, membership.epoch());
            }
            for (index, member) in (0..).zip(membership.members()) {
                if elects {
                    gauges.primary(name, &member.node.spec.id, membership.primary() == Some(index));
                }
                let load = &member.node.load;
                gauges.node(name, &member.node.spec.id, load.in_flight(), load.queued(), number(member.standing));
            }
        }
    });
}

fn count(figures: &OwnerMetrics, service: &str, owners: &OwnerTable) {
    figures.owners(service, owners.len(), owners.bytes());
    let counts = owners.counts();
    for (change, count) in [
        ("claimed", &counts.claimed),
        ("moved", &counts.moved),
        ("released", &counts.released),
        ("expired", &counts.expired),
        ("evicted", &counts.evicted),
        ("refused", &counts.refused),
    ] {
        figures.changes(service, change, count.load(Ordering::Relaxed));
    }
}

/// As in the help text of the family, and in the policy contract.
fn number(standing: Standing) -> u8 {
    match standing {
        Standing::Up => 0,
        Standing::Degraded => 1,
        Standing::Draining => 2,
        Standing::Down => 3,
    }
}
