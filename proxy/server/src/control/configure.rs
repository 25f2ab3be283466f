//! A plan meets the nodes that joined.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::plan::{self, Plan};
use pointsman_core::cluster::node::NodeSpec;
use pointsman_core::cluster::roster::{Conflict, EjectionRule, Ramp, Rules, Taken};
use pointsman_registry::Change;

use super::desk::Desk;
use super::service::Service;
use crate::world::control::{Clash, Feed};

impl Desk {
    /// Puts a plan in force, or refuses it whole.
    ///
    /// The first plan after a start cannot be refused over a node that the registry kept: nobody could take the node
    /// out while the proxy does not run. The configuration wins, and the node is told so when it next renews.
    pub(super) fn configure(&mut self, plan: &Plan, now: Duration) -> Result<BTreeMap<String, Arc<Feed>>, Vec<Clash>> {
        let conflicts = self.conflicts(plan);
        if self.configured && !conflicts.is_empty() {
            return Err(conflicts.iter().map(|(service, conflict)| clash(service, conflict)).collect());
        }
        let mut changes = Vec::new();
        for (name, conflict) in &conflicts {
            changes.extend(self.evict(name, conflict));
        }
        for (name, planned) in &plan.services {
            let service = self.services.entry(name.clone()).or_insert_with(|| {
                Service::new(name, &pointsman_registry::Service::default(), &self.incarnations, now)
            });
            changes.extend(put_in_force(service, planned, now));
        }
        for (name, left) in std::mem::take(&mut self.legacy).services {
            if let Some(service) = self.services.get_mut(&name) {
                service.inherit(&left);
            }
        }
        for service in self.services.values_mut() {
            if !plan.services.contains_key(&*service.name) {
                service.plan = None;
            }
            service.sync_checks(&self.checker);
        }
        self.storage.owe(changes, now);
        self.show(now);
        self.configured = true;
        self.expect_first_checks();
        let named = self.services.iter().filter(|(_, service)| service.plan.is_some());
        Ok(named.map(|(name, service)| (name.clone(), Arc::clone(&service.feed))).collect())
    }

    fn conflicts(&self, plan: &Plan) -> Vec<(String, Conflict)> {
        let mut all = Vec::new();
        for (name, planned) in &plan.services {
            if let Some(service) = self.services.get(name) {
                all.extend(service.roster.prove(&specs(planned)).into_iter().map(|c| (name.clone(), c)));
            }
        }
        all
    }

    fn evict(&mut self, name: &str, conflict: &Conflict) -> Option<Change> {
        let change = self.services.get_mut(name)?.drop_node(&conflict.joined)?;
        let message = format!("node `{}`, which had joined, is out: {}", conflict.joined, claim(conflict));
        self.bus.tell("node-left", name, &conflict.joined, message);
        Some(change)
    }

    fn expect_first_checks(&mut self) {
        self.unchecked.clear();
        for (name, service) in &self.services {
            let ids = service.roster.entries().map(|e| &e.node().spec.id).filter(|id| service.awaits_check(id));
            self.unchecked.extend(ids.map(|id| (name.clone(), id.clone())));
        }
    }
}

fn put_in_force(service: &mut Service, planned: &plan::Service, now: Duration) -> Option<Change> {
    let rules = Rules {
        checked: planned.health.is_some(),
        slow_start: planned.slow_start.map(ramp),
        all_down: planned.all_down,
        permits: planned.limits.connections_per_node,
        eject: planned.eject.as_ref().map(ejection),
        primary: planned.primary.map(|primary| primary.takeover_after),
    };
    let before = service.roster.high_water();
    service.take_checks(planned.health.as_ref());
    if let Err(conflicts) = service.roster.configure(rules, specs(planned), now) {
        // Proven above, on the same thread: this cannot be, and if it is, the service keeps what it had.
        log::error!("service `{}` kept its nodes: {} clash(es) were not foreseen", service.name, conflicts.len());
    }
    service.plan = Some(planned.clone());
    service.take_office(rules.primary, now);
    service.mark_since(before)
}

fn ramp(rule: plan::SlowStart) -> Ramp {
    let thousandths = (rule.floor * 1000.0).round() as u16;
    Ramp { window: rule.window, floor: thousandths.min(1000) }
}

fn ejection(rule: &plan::Eject) -> EjectionRule {
    let plan::Eject { failures, share, requests, window, time, max_time, max_share, on: _ } = *rule;
    EjectionRule { failures, share, requests, window, time, max_time, max_share }
}

fn specs(planned: &plan::Service) -> Vec<NodeSpec> {
    let spec = |node: &plan::StaticNode| {
        let plan::StaticNode { id, ordinal, address, weight, zone, labels } = node.clone();
        NodeSpec { id, ordinal, address, weight, zone, labels }
    };
    planned.nodes.iter().map(spec).collect()
}

fn clash(service: &str, conflict: &Conflict) -> Clash {
    let message = format!(
        "{}; give the static node another, or take the other out (DELETE /v1/services/{service}/nodes/{})",
        claim(conflict),
        conflict.joined
    );
    Clash { service: service.to_owned(), node: conflict.node.clone(), message }
}

fn claim(conflict: &Conflict) -> String {
    let Conflict { node, joined, taken } = conflict;
    match taken {
        Taken::Id => format!("the id of static node `{node}` belongs to a node that joined"),
        Taken::Ordinal(ordinal) => {
            format!("ordinal {ordinal} of static node `{node}` belongs to node `{joined}`, which joined")
        }
    }
}
