//! Gauges of nodes, read when somebody scrapes rather than kept up to date by every request.

use std::sync::Arc;

use pointsman_core::cluster::membership::Standing;

use crate::metrics::Metrics;
use crate::world::WorldCell;

pub(super) fn at_each_scrape(metrics: &Arc<Metrics>, world: &WorldCell) {
    let world = Arc::clone(world);
    metrics.on_scrape(move |gauges| {
        for service in world.load().services.values() {
            let name = &service.plan.name;
            let membership = service.state.members().load_full();
            gauges.registry(name, membership.members().len());
            for member in membership.members() {
                let load = &member.node.load;
                gauges.node(name, &member.node.spec.id, load.in_flight(), load.queued(), number(member.standing));
            }
        }
    });
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
