//! Nodes that drain and still hold something: operators are told when nothing is left.

use std::collections::BTreeSet;

use pointsman_core::cluster::membership::Standing;

use super::desk::Desk;

/// Nodes whose drain began here, by service and id, until nothing is left at them.
#[derive(Debug, Default)]
pub(super) struct Finishing(BTreeSet<(String, String)>);

impl Finishing {
    /// A drain began, or ended.
    pub(super) fn turn(&mut self, service: &str, id: &str, drains: bool) {
        let node = (service.to_owned(), id.to_owned());
        if drains {
            self.0.insert(node);
        } else {
            self.0.remove(&node);
        }
    }
}

impl Desk {
    /// Looks which of them have finished.
    pub(super) fn tell_who_finished(&mut self) {
        let (services, bus) = (&self.services, &self.bus);
        self.finishing.0.retain(|(name, id)| {
            let members = services.get(name.as_str()).map(|service| service.roster.published().members());
            let member = members.and_then(|members| members.iter().find(|member| member.node.spec.id == *id));
            // One that has left is nobody's concern any more.
            let Some(member) = member.filter(|member| member.standing == Standing::Draining) else { return false };
            let holds = member.node.load.in_flight() > 0;
            if !holds {
                bus.tell("node-drained", name, id, format!("node `{id}` holds nothing any more"));
            }
            holds
        });
    }
}
