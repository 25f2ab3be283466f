//! A membership in the words of the contract.

use pointsman_core::cluster::membership::{self, Membership};

use crate::bindings::exports::pointsman::policy::routing as wire;

/// Buffers for how the nodes stand, kept from one change to the next.
#[derive(Debug, Default)]
pub(super) struct Standing {
    state: Vec<u8>,
    share: Vec<u16>,
}

impl Standing {
    /// How the nodes of a membership stand, as parallel lists.
    pub(super) fn of(&mut self, membership: &Membership) -> wire::Standing<'_> {
        self.state.clear();
        self.share.clear();
        for member in membership.members() {
            self.state.push(match member.standing {
                membership::Standing::Up => 0,
                membership::Standing::Degraded => 1,
                membership::Standing::Draining => 2,
                membership::Standing::Down => 3,
            });
            self.share.push(member.share);
        }
        wire::Standing {
            state: &self.state,
            share: &self.share,
            primary: membership.primary(),
            high_water: membership.high_water(),
        }
    }
}

/// The labels of each node; [`nodes`] borrows them.
pub(super) fn labels(membership: &Membership) -> Vec<Vec<(&str, &str)>> {
    let members = membership.members().iter();
    members.map(|m| m.node.spec.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()).collect()
}

/// The nodes of a membership.
pub(super) fn nodes<'a>(membership: &'a Membership, labels: &'a [Vec<(&'a str, &'a str)>]) -> Vec<wire::Node<'a>> {
    let of = |(member, labels): (&'a membership::Member, &'a Vec<(&'a str, &'a str)>)| {
        let spec = &member.node.spec;
        wire::Node { id: &spec.id, ordinal: spec.ordinal, weight: spec.weight, zone: &spec.zone, labels }
    };
    membership.members().iter().zip(labels).map(of).collect()
}
