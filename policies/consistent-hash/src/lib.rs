//! A ring of weighted points: each key belongs to the node of the next point, and when a node leaves, only its keys
//! move, spread over the others by their weights.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `replicas` | integer, 1 to 10000 | 100 | points on the ring for each unit of weight |
//! | `preference` | integer, 1 to 64 | all nodes | how many nodes, in ring order, may serve a key; the first live one does |
//! | `load_factor` | number, over 1 to 100 | off | no node takes more than so many times its share of all requests under way |
//! | `on_missing` | `refuse`, `round-robin` | `round-robin` | a request without a key: 400, or any node in turn |
//! | `park` | time, up to 1m | off | how long a request waits while none of the nodes that may serve its key is available |
//!
//! Where a key goes depends on the ids and weights of the nodes alone: not on their order, the process or the machine.
//! The ring holds 131,072 points at most; where nodes, weights and `replicas` ask for more, every node has half as many
//! (a quarter, ...), and crossing such a line moves keys of living nodes too. With the defaults the first is at a total
//! weight of 1,310.

mod ring;

use pointsman_policy::{KeyNeed, Members, Needs, Policy, Request, Verdict, Wait, export_policy};
use serde::Deserialize;

use crate::ring::Ring;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Points on the ring for each unit of weight.
    pub replicas: u32,
    /// How many nodes may serve a key; absent: all.
    pub preference: Option<u32>,
    /// How many times its share of the requests under way a node takes at most; absent: no bound.
    pub load_factor: Option<f64>,
    /// What becomes of a request without a key.
    pub on_missing: OnMissing,
    /// How long a request waits for one of the nodes that may serve its key; absent: not at all.
    pub park: Option<Wait>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { replicas: 100, preference: None, load_factor: None, on_missing: OnMissing::default(), park: None }
    }
}

/// What becomes of a request without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// 400.
    Refuse,
    /// Any eligible node in turn.
    #[default]
    RoundRobin,
}

/// The ring of the service's nodes.
#[derive(Debug)]
pub struct ConsistentHash {
    settings: Settings,
    ring: Ring,
    /// For each node all bits where it may be picked, none where it may not.
    live: Vec<u32>,
    /// What the nodes that may be picked weigh together.
    weights: u64,
}

impl Policy for ConsistentHash {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if !(1..=10_000).contains(&settings.replicas) {
            return Err("`replicas`: give a number of points from 1 to 10000".to_owned());
        }
        if settings.preference.is_some_and(|nodes| !(1..=64).contains(&nodes)) {
            return Err("`preference`: give a number of nodes from 1 to 64, or leave it out for all".to_owned());
        }
        if settings.load_factor.is_some_and(|factor| !(factor > 1.0 && factor <= 100.0)) {
            return Err("`load_factor`: give a number over 1 (1.25 is usual), up to 100".to_owned());
        }
        Ok(Self { settings, ring: Ring::default(), live: Vec::new(), weights: 0 })
    }

    fn needs(&self) -> Needs {
        Needs { key: KeyNeed::Hash, loads: self.settings.load_factor.is_some(), ..Needs::default() }
    }

    fn members(&mut self, members: &Members) {
        self.ring.take(members.nodes(), self.settings.replicas);
        self.standing_changed(members);
    }

    fn standing_changed(&mut self, members: &Members) {
        self.ring.lead(self.reach(), |node| members.is_eligible(node));
        self.live.clear();
        self.live.resize(members.len(), 0);
        for &node in members.eligible() {
            self.live[node as usize] = u32::MAX;
        }
        self.weights = members.eligible().iter().map(|&node| weight(node, members)).sum();
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        match (request.key_hash, self.settings.load_factor) {
            (None, _) => self.missing(request, members),
            (Some(hash), None) => match self.ring.leader(hash) {
                Some(node) => Verdict::Node(node),
                None => self.nobody(members),
            },
            (Some(hash), Some(factor)) => self.within_load(hash, factor, request, members, &[]),
        }
    }

    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        match (request.key_hash, self.settings.load_factor) {
            (None, _) => self.missing(request, members).without(tried, request.random, members),
            (Some(hash), None) => {
                let usable = |node: &u32| members.is_eligible(*node) && !tried.contains(node);
                match self.ring.preference(hash, self.reach()).find(usable) {
                    Some(node) => Verdict::Node(node),
                    None => self.nobody(members),
                }
            }
            (Some(hash), Some(factor)) => self.within_load(hash, factor, request, members, tried),
        }
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let verdict = self.pick(request, members).describe(members);
        let Some(hash) = request.key_hash else { return format!("no key: {verdict}") };
        let name = |node: u32| members.node(node).map_or("?", |node| node.id.as_str());
        // A ring has up to 131,072 points, and to walk all of them would cost more than a call may: the first few nodes.
        let most = members.len().min(8);
        let mut list: Vec<&str> = Vec::new();
        for node in self.ring.preference(hash, self.reach()).map(name) {
            if list.len() == most {
                break;
            }
            if !list.contains(&node) {
                list.push(node);
            }
        }
        format!("the key prefers {}: {verdict}", list.join(", "))
    }
}

impl ConsistentHash {
    /// How many nodes may serve a key.
    fn reach(&self) -> usize {
        self.settings.preference.map_or(usize::MAX, |nodes| nodes as usize)
    }

    /// The first preferred node with room for one more request (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing
    /// with Bounded Loads", 2018): a node's room is its weight's share of all requests under way, this one included,
    /// times the factor, rounded up. Where all that may serve the key are full, the first of them.
    fn within_load(&self, hash: u64, factor: f64, request: &Request<'_>, members: &Members, tried: &[u32]) -> Verdict {
        let loads = request.loads.iter().zip(&self.live).map(|(load, live)| u64::from(load & live));
        let each = factor * (loads.sum::<u64>() + 1) as f64 / self.weights as f64;
        let room = |node: u32| f64::from(request.load(node)) < (each * weight(node, members) as f64).ceil();
        let usable = |node: &u32| members.is_eligible(*node) && !tried.contains(node);
        let mut first = None;
        for node in self.ring.preference(hash, self.reach()).filter(usable) {
            if room(node) {
                return Verdict::Node(node);
            }
            first = first.or(Some(node));
        }
        first.map_or_else(|| self.nobody(members), Verdict::Node)
    }

    #[cold]
    fn nobody(&self, members: &Members) -> Verdict {
        match (self.settings.park, self.settings.preference) {
            (Some(wait), _) => wait.park(),
            (None, Some(nodes)) if !members.eligible().is_empty() => {
                Verdict::refuse(503, format!("none of the {nodes} nodes that may serve this key is available"))
            }
            _ => None.into(),
        }
    }

    #[cold]
    fn missing(&self, request: &Request<'_>, members: &Members) -> Verdict {
        match self.settings.on_missing {
            OnMissing::Refuse => Verdict::refuse(400, "the request carries no key"),
            OnMissing::RoundRobin => members.at_turn(request.turn).into(),
        }
    }
}

fn weight(node: u32, members: &Members) -> u64 {
    members.node(node).map_or(1, |node| u64::from(node.weight))
}

export_policy!(ConsistentHash);

#[cfg(test)]
mod tests;
