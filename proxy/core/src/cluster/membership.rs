//! One immutable, versioned value: every node of a service with its standing.

use std::sync::Arc;

use super::node::{Incarnation, Node};

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// May be picked.
    Up,
    /// May be picked; policies that weigh count it less.
    Degraded,
    /// Finishes what it holds, takes nothing new.
    Draining,
    /// Not to be picked.
    Down,
}

/// A node and how it stands.
#[derive(Debug, Clone)]
pub struct Member {
    /// The node.
    pub node: Arc<Node>,
    /// How it stands.
    pub standing: Standing,
    /// Warm-up share in thousandths; 1000 is a full share.
    pub share: u16,
}

impl Member {
    /// Requests under way as a policy that balances compares them: a node that warms up looks as much busier as its
    /// share is smaller, so that it is not the least loaded for being new.
    pub fn load(&self) -> u32 {
        seen_load(self.node.load.in_flight(), self.share)
    }

    /// Whether it may take new requests.
    pub fn eligible(&self) -> bool {
        matches!(self.standing, Standing::Up | Standing::Degraded)
    }
}

/// What `in_flight` requests weigh at a node with this share: one that is idle and has a tenth looks as if it had nine,
/// and so takes its first when the others have nine each.
pub fn seen_load(in_flight: u32, share: u16) -> u32 {
    if share >= 1000 {
        return in_flight;
    }
    let scaled = (u64::from(in_flight) + 1) * 1000 / u64::from(share.max(1)) - 1;
    // Half of the range: policies keep the topmost bit for themselves.
    u32::try_from(scaled).unwrap_or(u32::MAX).min(u32::MAX / 2)
}

/// Every node of a service at one moment. Readers never see the members of one moment with the health of another.
#[derive(Debug)]
pub struct Membership {
    version: u64,
    roster: u64,
    members: Box<[Member]>,
    eligible: Box<[u32]>,
    primary: Option<u32>,
    epoch: u64,
    high_water: u64,
    desperate: bool,
}

impl Membership {
    /// A membership; `roster` is the version at which the list of nodes (not their standing) last changed.
    pub fn new(version: u64, roster: u64, members: Vec<Member>, primary: Option<u32>) -> Self {
        let eligible = members.iter().enumerate().filter(|(_, m)| m.eligible()).map(|(i, _)| i as u32).collect();
        Self { version, roster, members: members.into(), eligible, primary, epoch: 0, high_water: 0, desperate: false }
    }

    /// The same membership, with the epoch of its primary, or of the last there was.
    #[must_use]
    pub fn with_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// The same membership, with the highest ordinal that the service ever had.
    #[must_use]
    pub fn with_high_water(mut self, ordinal: u64) -> Self {
        self.high_water = ordinal;
        self
    }

    /// The same membership, in which nobody is up and those that may be picked are guesses.
    #[must_use]
    pub fn with_desperate(mut self, desperate: bool) -> Self {
        self.desperate = desperate;
        self
    }

    /// Whether nobody is up, and those that may be picked are tried although their checks fail.
    pub fn desperate(&self) -> bool {
        self.desperate
    }

    /// The highest ordinal that the service ever had, 0 when none: a modulus taken from it does not shrink when a node
    /// dies.
    pub fn high_water(&self) -> u64 {
        self.high_water
    }

    /// Rises by one with each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version at which the list of nodes last changed: equal rosters differ in standing only.
    pub fn roster(&self) -> u64 {
        self.roster
    }

    /// All nodes, sorted by ordinal (those without one last), then id.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Indices of the nodes that may take new requests, ascending.
    pub fn eligible(&self) -> &[u32] {
        &self.eligible
    }

    /// Index of the primary, where the service has one. It may be that it takes no requests at this moment.
    pub fn primary(&self) -> Option<u32> {
        self.primary
    }

    /// The epoch of the primary, or of the last there was; 0: there never was one. Rises with each election.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The member at an index that a policy answered.
    pub fn get(&self, index: u32) -> Option<&Member> {
        self.members.get(index as usize)
    }

    /// Sends away who waits for a permit of a node that takes nothing new in this membership, which came after
    /// `before` and has been published: they ask it who is to serve them.
    pub fn send_away(&self, before: &Self) {
        for Member { node, .. } in before.members.iter().filter(|member| member.node.load.queued() > 0) {
            let now = self.index_of(node.incarnation).and_then(|index| self.get(index));
            if now.is_none_or(|member| !member.eligible()) {
                node.load.send_away();
            }
        }
    }

    /// Where an incarnation stands in this membership, if it still does.
    pub fn index_of(&self, incarnation: Incarnation) -> Option<u32> {
        self.members.iter().position(|m| m.node.incarnation == incarnation).map(|i| i as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_warms_up_looks_busier_by_its_share() {
        assert_eq!([0, 1, 7].map(|n| seen_load(n, 1000)), [0, 1, 7]);
        assert_eq!([0, 1, 2].map(|n| seen_load(n, 100)), [9, 19, 29]);
        assert_eq!([0, 1].map(|n| seen_load(n, 500)), [1, 3]);
        assert_eq!(seen_load(u32::MAX - 1, 1), u32::MAX / 2);
    }
}
