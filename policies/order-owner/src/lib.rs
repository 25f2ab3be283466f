//! An order goes to the node that owns it, and nowhere else; the settings say who takes a new one.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `new` | `round-robin`, `least-connections`, `hash`, `primary` | `round-robin` | who takes a request whose key has no owner |
//! | `on_missing` | `new`, `refuse` | `new` | a request without a key: as a new one (`hash`: any node in turn), or 400 |
//! | `park` | time, up to 1m | `2s` | an owner, or a primary, that could not be reached: how long to wait for a change |
//!
//! Owners are the host's (`owners`, or a signed cookie). What becomes of an order whose owner is gone, the host decides
//! (`owners.on_gone`); a request that finds the owner dying waits for that to be known and then goes where it says.
//! `hash` is rendezvous hashing of the service's key: two proxies that see the same new order at once send it to the
//! same node. Its time grows with the nodes.

use pointsman_policy::hash::{avalanche, xxh64};
use pointsman_policy::{KeyNeed, Members, Needs, NoPrimary, Policy, Request, Verdict, Wait, export_policy};
use serde::Deserialize;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Who takes a new order.
    pub new: New,
    /// What becomes of a request without a key.
    pub on_missing: OnMissing,
    /// How long a request waits whose owner could not be reached.
    pub park: Wait,
}

impl Default for Settings {
    fn default() -> Self {
        Self { new: New::default(), on_missing: OnMissing::default(), park: Wait::seconds(2) }
    }
}

/// Who takes a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum New {
    /// Any node in turn.
    #[default]
    RoundRobin,
    /// The node with the fewest requests under way.
    LeastConnections,
    /// The node that the key hashes to.
    Hash,
    /// The primary.
    Primary,
}

/// What becomes of a request without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// It counts as a new order.
    #[default]
    New,
    /// 400.
    Refuse,
}

/// The owner or nobody; for new orders, whoever takes them.
#[derive(Debug)]
pub struct OrderOwner {
    settings: Settings,
    /// What each node's id hashes to; only where new orders are hashed.
    seeds: Vec<u64>,
}

impl Policy for OrderOwner {
    type Settings = Settings;
    const PINS: bool = true;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings, seeds: Vec::new() })
    }

    fn needs(&self) -> Needs {
        let hashed = self.settings.new == New::Hash || self.settings.on_missing == OnMissing::Refuse;
        Needs { owner: true, key: if hashed { KeyNeed::Hash } else { KeyNeed::None }, ..Needs::default() }
    }

    fn members(&mut self, members: &Members) {
        if self.settings.new == New::Hash {
            self.seeds.clear();
            self.seeds.extend(members.nodes().iter().map(|node| xxh64(node.id.as_bytes(), 0)));
        }
    }

    fn standing_changed(&mut self, _: &Members) {}

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        match owner(request, members) {
            Some(owner) => Verdict::Only(owner),
            None => self.take_new(request, members, &[]),
        }
    }

    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        match owner(request, members) {
            Some(owner) if tried.contains(&owner) => self.settings.park.park(),
            Some(owner) => Verdict::Only(owner),
            None => self.take_new(request, members, tried).without(tried, request.random, members),
        }
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let verdict = self.pick(request, members).describe(members);
        let why = if owner(request, members).is_some() { "it has an owner" } else { "it has no owner" };
        format!("{why}: {verdict}")
    }
}

impl OrderOwner {
    fn take_new(&self, request: &Request<'_>, members: &Members, tried: &[u32]) -> Verdict {
        if request.key_hash.is_none() && self.settings.on_missing == OnMissing::Refuse {
            return Verdict::refuse(400, "the request carries no key");
        }
        match self.settings.new {
            New::Primary => NoPrimary::Park.send(self.settings.park, members, tried),
            New::LeastConnections if !members.eligible().is_empty() => Verdict::Lightest(Vec::new()),
            New::Hash if request.key_hash.is_some() => {
                let free = members.eligible().iter().copied().filter(|index| !tried.contains(index));
                let hash = request.key_hash.unwrap_or_default();
                free.max_by_key(|&index| avalanche(hash ^ self.seeds[index as usize])).into()
            }
            New::RoundRobin | New::LeastConnections | New::Hash => members.at_turn(request.turn).into(),
        }
    }
}

/// The owner, where it may be picked.
#[inline]
fn owner(request: &Request<'_>, members: &Members) -> Option<u32> {
    request.owner.filter(|&index| members.is_eligible(index))
}

export_policy!(OrderOwner);

#[cfg(test)]
mod tests;
