//! The nodes of a service and how they stand, kept for the author between calls.

use std::collections::BinaryHeap;

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// May be picked.
    Up,
    /// May be picked; policies that weigh count it less.
    Degraded,
    /// Finishes what it holds, takes nothing new.
    Draining,
    /// Not to be picked.
    Down,
}

impl State {
    /// From the contract's number; a number it does not know counts as down.
    pub fn from_wire(number: u8) -> Self {
        match number {
            0 => Self::Up,
            1 => Self::Degraded,
            2 => Self::Draining,
            _ => Self::Down,
        }
    }

    /// The contract's number.
    pub fn to_wire(self) -> u8 {
        self as u8
    }

    /// Whether a node in this state may be picked.
    #[inline]
    pub fn eligible(self) -> bool {
        matches!(self, Self::Up | Self::Degraded)
    }
}

/// One server of the service. Its index is how a verdict names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Unique in its service.
    pub id: String,
    /// Its number where the service numbers its nodes (1, 2, 3, ...).
    pub ordinal: Option<u64>,
    /// Relative capacity, 1 or more.
    pub weight: u32,
    /// Failure domain; empty when not given.
    pub zone: String,
    /// Free labels.
    pub labels: Vec<(String, String)>,
}

/// How each node stands, as parallel lists in member order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// 0 up, 1 degraded, 2 draining, 3 down.
    pub state: Vec<u8>,
    /// Warm-up share in thousandths.
    pub share: Vec<u16>,
    /// Index of the primary, where the service has one.
    pub primary: Option<u32>,
    /// The highest ordinal that the service ever had, 0 when none.
    pub high_water: u64,
}

/// Every node of the service with its standing. Indices run from 0 to `len() - 1`.
#[derive(Debug, Clone, Default)]
pub struct Members {
    nodes: Vec<Node>,
    states: Vec<State>,
    shares: Vec<u16>,
    primary: Option<u32>,
    eligible: Vec<u32>,
    ordinals: Vec<(u64, u32)>,
    high_water: u64,
}

impl Members {
    /// Takes a whole list of nodes. A node that the standing does not reach counts as down.
    pub fn replace(&mut self, nodes: Vec<Node>, standing: &Standing) {
        self.ordinals.clear();
        self.ordinals.extend((0u32..).zip(&nodes).filter_map(|(index, node)| Some((node.ordinal?, index))));
        if !self.ordinals.is_sorted() {
            // A heap sorts in a tenth of the code of `sort`; hosts list nodes in order of their ordinals anyway.
            self.ordinals = BinaryHeap::from(std::mem::take(&mut self.ordinals)).into_sorted_vec();
        }
        self.nodes = nodes;
        self.stand(standing);
    }

    /// Takes a new standing of the same nodes.
    pub fn stand(&mut self, standing: &Standing) {
        let count = self.nodes.len();
        self.states.clear();
        self.states.extend(standing.state.iter().take(count).map(|&number| State::from_wire(number)));
        self.states.resize(count, State::Down);
        self.shares.clear();
        self.shares.extend(standing.share.iter().take(count));
        self.shares.resize(count, 1000);
        self.primary = standing.primary.filter(|&index| (index as usize) < count);
        self.high_water = standing.high_water.max(self.ordinals.last().map_or(0, |&(ordinal, _)| ordinal));
        self.eligible.clear();
        self.eligible.extend((0u32..).zip(&self.states).filter(|(_, state)| state.eligible()).map(|(index, _)| index));
    }

    /// How many nodes there are, whatever their standing.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, by index.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at an index.
    pub fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    /// How the node at an index stands; an index that is not there is down.
    #[inline]
    pub fn state(&self, index: u32) -> State {
        self.states.get(index as usize).copied().unwrap_or(State::Down)
    }

    /// Warm-up share of the node at an index, in thousandths; 1000 is a full share.
    #[inline]
    pub fn share(&self, index: u32) -> u16 {
        self.shares.get(index as usize).copied().unwrap_or(0)
    }

    /// Indices of the nodes that may be picked, ascending.
    #[inline]
    pub fn eligible(&self) -> &[u32] {
        &self.eligible
    }

    /// Whether the node at an index may be picked.
    #[inline]
    pub fn is_eligible(&self, index: u32) -> bool {
        self.state(index).eligible()
    }

    /// The eligible node whose turn it is: `turn mod` the number of eligible nodes. A strict round robin over every
    /// worker, since all see the same turns and none skips a dead node (which would double its neighbour's share).
    #[inline]
    pub fn at_turn(&self, turn: u64) -> Option<u32> {
        let count = self.eligible.len() as u64;
        if count == 0 { None } else { self.eligible.get((turn % count) as usize).copied() }
    }

    /// Index of the primary, where the service has one.
    #[inline]
    pub fn primary(&self) -> Option<u32> {
        self.primary
    }

    /// Index of the node with an ordinal. Constant time where ordinals run 1, 2, 3, ... without a gap.
    #[inline]
    pub fn by_ordinal(&self, ordinal: u64) -> Option<u32> {
        let guess = usize::try_from(ordinal.wrapping_sub(1)).ok().and_then(|at| self.ordinals.get(at));
        match guess {
            Some(&(found, index)) if found == ordinal => Some(index),
            _ => self.ordinals.binary_search_by_key(&ordinal, |&(o, _)| o).ok().map(|at| self.ordinals[at].1),
        }
    }

    /// `(ordinal, index)` of every node that has an ordinal, ascending.
    pub fn ordinals(&self) -> &[(u64, u32)] {
        &self.ordinals
    }

    /// The highest ordinal that the service ever had, 0 when none: a modulus taken from it does not shrink when a node
    /// leaves.
    #[inline]
    pub fn high_water(&self) -> u64 {
        self.high_water
    }
}
