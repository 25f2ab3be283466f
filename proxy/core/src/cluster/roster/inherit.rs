//! What a process before this one knew of the nodes.

use super::{Condition, Roster};
use crate::cluster::node::Address;

impl Roster {
    /// Takes the word of the process before this one for a node that was not checked here: it is up, without a warm-up, or
    /// down. False: there is no such node at that address, or it was checked.
    pub fn inherit(&mut self, id: &str, address: &Address, up: bool) -> bool {
        let Some((id, ordinal)) = self.places.get_key_value(id) else { return false };
        let place = super::Place(*ordinal, std::sync::Arc::clone(id));
        let Some(entry) = self.entries.get_mut(&place) else { return false };
        if entry.node.spec.address != *address || entry.condition != Condition::Unchecked {
            return false;
        }
        entry.condition = if up { Condition::Up } else { Condition::Down };
        entry.passed = up;
        let ordinal = entry.node.spec.ordinal.filter(|_| up);
        self.high_water = self.high_water.max(ordinal.unwrap_or(0));
        self.dirty = true;
        true
    }
}
