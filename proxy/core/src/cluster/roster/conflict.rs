//! What may not stand side by side: an id or an ordinal belongs to one node of a service.

use std::sync::Arc;

use super::{Place, Roster};
use crate::cluster::node::{Node, NodeSpec, Source};

/// Why a node may not join, leave or be drained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// There is no such node.
    #[error("no such node")]
    NoNode,
    /// It stands in the configuration, which alone decides about it.
    #[error("the node stands in the configuration")]
    Static,
    /// The ordinal belongs to another node.
    #[error("ordinal {ordinal} is taken by node `{by}`")]
    OrdinalTaken {
        /// The ordinal asked for.
        ordinal: u64,
        /// Whose it is.
        by: String,
    },
}

/// What a static node would take from a node that joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its id.
    Id,
    /// Its ordinal.
    Ordinal(u64),
}

/// A static node of a new configuration that clashes with one that joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Id of the static node.
    pub node: String,
    /// Id of the node that joined.
    pub joined: String,
    /// What both claim.
    pub taken: Taken,
}

impl Roster {
    /// Every clash of these static nodes with nodes that joined.
    pub fn prove(&self, nodes: &[NodeSpec]) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for spec in nodes {
            let same_id = self.get(&spec.id).map(|e| e.node.as_ref()).filter(|n| n.source == Source::Joined);
            let same_ordinal = spec.ordinal.and_then(|ordinal| {
                let joined = self.at(ordinal).find(|n| n.source == Source::Joined)?;
                Some((joined, Taken::Ordinal(ordinal)))
            });
            let claims = [same_id.map(|n| (n, Taken::Id)), same_ordinal];
            for (joined, taken) in claims.into_iter().flatten() {
                conflicts.push(Conflict { node: spec.id.clone(), joined: joined.spec.id.clone(), taken });
            }
        }
        conflicts
    }

    /// Whether a node may join as described.
    pub(super) fn may_join(&self, spec: &NodeSpec) -> Result<(), Denial> {
        if self.get(&spec.id).is_some_and(|e| e.node.source == Source::Static) {
            return Err(Denial::Static);
        }
        let Some(ordinal) = spec.ordinal else { return Ok(()) };
        match self.at(ordinal).find(|n| n.spec.id != spec.id) {
            Some(by) => Err(Denial::OrdinalTaken { ordinal, by: by.spec.id.clone() }),
            None => Ok(()),
        }
    }

    /// A node that joined, and not one of the configuration.
    pub(super) fn joined(&self, id: &str) -> Result<&Arc<Node>, Denial> {
        let node = &self.get(id).ok_or(Denial::NoNode)?.node;
        if node.source == Source::Joined { Ok(node) } else { Err(Denial::Static) }
    }

    /// The nodes at an ordinal: one at most, but for a moment inside [`Roster::configure`].
    fn at(&self, ordinal: u64) -> impl Iterator<Item = &Node> {
        let held = self.entries.range(Place(ordinal, "".into())..).take_while(move |(place, _)| place.0 == ordinal);
        held.map(|(_, entry)| entry.node.as_ref()).filter(move |n| n.spec.ordinal == Some(ordinal))
    }
}
