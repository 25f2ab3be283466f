//! The single writer of a service's nodes: configuration, joins, drains and health come in, one [`Membership`] per
//! change goes out.
//!
//! A roster changes at once and in place; readers see nothing until [`Roster::publish`]. So a batch of changes can be
//! applied, written down, and taken back ([`Roster::save`], [`Roster::restore`]) when it could not be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pointsman_config::plan::AllDown;

use super::health::{Failure, Transition};
use super::load::NodeLoad;
use super::membership::Membership;
use super::node::{Incarnation, Node, NodeSpec, Source};
use super::primary::Election;

mod conflict;
mod ejection;
mod inherit;
mod mark;
mod office;
mod standing;

pub use conflict::{Conflict, Denial, Taken};
use ejection::Docket;
pub use ejection::{Cause, EjectionRule, Judgement, Sentence};
pub use standing::{Condition, Ramp};

/// Numbers lives of nodes, over all services of a process. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Incarnations(Arc<AtomicU64>);

impl Incarnations {
    fn next(&self) -> Incarnation {
        Incarnation(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What the configuration says of a service, as far as it concerns who may serve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Whether static nodes are checked. Joined nodes always are.
    pub checked: bool,
    /// Ramp of a node that comes up.
    pub slow_start: Option<Ramp>,
    /// What happens when no node is up.
    pub all_down: AllDown,
    /// Requests that may be under way at one node; `None`: no bound.
    pub permits: Option<u32>,
    /// When a node is taken out because requests fail; `None`: never.
    pub eject: Option<EjectionRule>,
    /// Whether there is a primary, and how long the service stays without one between two.
    pub primary: Option<Duration>,
}

/// One node and what is known of it.
#[derive(Debug, Clone)]
pub struct Entry {
    node: Arc<Node>,
    condition: Condition,
    /// Whether this incarnation ever passed a check.
    passed: bool,
    /// When its ramp began, while it lasts.
    warming: Option<Duration>,
    failure: Option<Failure>,
    /// What its requests say against it.
    docket: Docket,
}

impl Entry {
    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What its checks say.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Why its last failed check failed.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

/// What [`Roster::join`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// A node that was not there.
    Created,
    /// It stands at another address now: a new incarnation.
    Moved,
    /// Its description changed; it keeps its incarnation.
    Described,
    /// Nothing changed.
    Same,
}

/// What there was of one node before a change.
#[derive(Debug)]
pub struct Saved {
    id: String,
    entry: Option<Entry>,
    drained: bool,
    high_water: u64,
}

/// Where a node stands in the order of members: by ordinal (none last), then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64, Arc<str>);

/// The nodes of one service.
#[derive(Debug)]
pub struct Roster {
    incarnations: Incarnations,
    rules: Rules,
    entries: BTreeMap<Place, Entry>,
    places: HashMap<Arc<str>, u64>,
    drains: BTreeSet<String>,
    high_water: u64,
    configured: bool,
    dirty: bool,
    next_step: Option<Duration>,
    /// When the window began in which failures are counted.
    window: Duration,
    election: Election,
    published: Arc<Membership>,
}

impl Roster {
    /// A service of which nothing is known but what the registry kept: nodes that had joined (unchecked now), drains,
    /// and the highest ordinal ever.
    pub fn new(incarnations: Incarnations, joined: Vec<NodeSpec>, drains: BTreeSet<String>, high_water: u64) -> Self {
        let mut roster = Self {
            incarnations,
            rules: Rules {
                checked: true,
                slow_start: None,
                all_down: AllDown::Fail,
                permits: None,
                eject: None,
                primary: None,
            },
            entries: BTreeMap::new(),
            places: HashMap::new(),
            drains,
            high_water,
            configured: false,
            dirty: true,
            next_step: None,
            window: Duration::ZERO,
            election: Election::default(),
            published: Arc::new(Membership::new(0, 0, Vec::new(), None)),
        };
        for spec in joined {
            roster.put(spec, Source::Joined, Duration::ZERO);
        }
        roster
    }

    /// Puts a configuration in force. Nodes that it leaves unchanged keep their incarnation, standing, load and
    /// warm-up. Nothing is changed when it clashes with nodes that joined; every clash is told.
    pub fn configure(&mut self, rules: Rules, nodes: Vec<NodeSpec>, now: Duration) -> Result<(), Vec<Conflict>> {
        let conflicts = self.prove(&nodes);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        self.rules = rules;
        self.dirty = true;
        self.entries.values().for_each(|e| e.node.load.set_permits(rules.permits));
        if rules.eject.is_none() {
            self.pardon();
        }
        let keep: BTreeSet<&str> = nodes.iter().map(|n| n.id.as_str()).collect();
        let gone: Vec<Arc<str>> = self
            .entries
            .values()
            .filter(|e| e.node.source == Source::Static && !keep.contains(e.node.spec.id.as_str()))
            .map(|e| e.node.spec.id.as_str().into())
            .collect();
        for id in gone {
            self.remove(&id);
        }
        for spec in nodes {
            self.put(spec, Source::Static, now);
        }
        if !rules.checked {
            for entry in self.entries.values_mut().filter(|e| e.node.source == Source::Static) {
                entry.condition = Condition::Up;
            }
        }
        self.configured = true;
        Ok(())
    }

    /// A node joins, or says again that it is there.
    pub fn join(&mut self, spec: NodeSpec, now: Duration) -> Result<Join, Denial> {
        self.may_join(&spec)?;
        Ok(self.put(spec, Source::Joined, now))
    }

    /// A node that joined leaves. Its drain ends with it.
    pub fn leave(&mut self, id: &str) -> Result<(), Denial> {
        self.joined(id)?;
        self.remove(id);
        self.drains.remove(id);
        Ok(())
    }

    /// A node's lease has lapsed. Its drain stays: an operator who drained a node that then crashed still wants it
    /// drained when it is back. False: it is not there.
    pub fn lapse(&mut self, id: &str) -> bool {
        self.joined(id).is_ok() && self.remove(id).is_some()
    }

    /// Drains a node, or ends that. Answers whether anything changed.
    pub fn drain(&mut self, id: &str, drain: bool) -> Result<bool, Denial> {
        if !self.places.contains_key(id) && !self.drains.contains(id) {
            return Err(Denial::NoNode);
        }
        self.dirty = true;
        Ok(if drain { self.drains.insert(id.to_owned()) } else { self.drains.remove(id) })
    }

    /// A node changed sides. False: that life of it is over, and the news is dropped.
    pub fn turned(&mut self, id: &str, incarnation: Incarnation, to: Transition, now: Duration) -> bool {
        let ramp = self.rules.slow_start.is_some();
        let Some(entry) = self.life(id, incarnation) else { return false };
        let first = !entry.passed && to == Transition::Up;
        match to {
            Transition::Up if entry.condition == Condition::Up => return true,
            Transition::Up => {
                entry.condition = Condition::Up;
                entry.passed = true;
                entry.acquit();
                entry.warming = ramp.then_some(now);
            }
            Transition::Down => {
                entry.condition = Condition::Down;
                entry.warming = None;
            }
        }
        let ordinal = entry.node.spec.ordinal.filter(|_| first);
        self.high_water = self.high_water.max(ordinal.unwrap_or(0));
        self.dirty = true;
        true
    }

    /// Keeps why a check failed. False: that life of the node is over.
    pub fn failed(&mut self, id: &str, incarnation: Incarnation, failure: Failure) -> bool {
        self.life(id, incarnation).map(|entry| entry.failure = Some(failure)).is_some()
    }

    /// Moves warm-ups on.
    pub fn tick(&mut self, now: Duration) {
        self.dirty |= self.next_step.is_some_and(|at| at <= now);
    }

    /// A new membership if anything that readers can see has changed since the last; its version is one higher.
    pub fn publish(&mut self, now: Duration) -> Option<Arc<Membership>> {
        if !std::mem::take(&mut self.dirty) || !self.configured {
            return None;
        }
        let desperate = self.desperate();
        let members = self.members(desperate, now);
        let old = self.published.members();
        let same_list =
            members.len() == old.len() && members.iter().zip(old).all(|(a, b)| Arc::ptr_eq(&a.node, &b.node));
        let primary = self.primary();
        let same = same_list
            && self.published.version() > 0
            && (self.published.primary(), self.published.epoch()) == (primary, self.election.epoch())
            && self.published.high_water() == self.high_water
            && self.published.desperate() == desperate
            && members.iter().zip(old).all(|(a, b)| a.standing == b.standing && a.share == b.share);
        if same {
            return None;
        }
        let version = self.published.version() + 1;
        let roster = if same_list && version > 1 { self.published.roster() } else { version };
        let next = Membership::new(version, roster, members, primary).with_epoch(self.election.epoch());
        self.published = Arc::new(next.with_high_water(self.high_water).with_desperate(desperate));
        Some(Arc::clone(&self.published))
    }

    /// The membership that was published last.
    pub fn published(&self) -> &Arc<Membership> {
        &self.published
    }

    /// What there is of a node now, to take back what follows.
    pub fn save(&self, id: &str) -> Saved {
        let entry = self.get(id).cloned();
        Saved { id: id.to_owned(), entry, drained: self.drains.contains(id), high_water: self.high_water }
    }

    /// Takes back what was done to a node since it was saved. Several are taken back last first.
    pub fn restore(&mut self, saved: Saved) {
        self.remove(&saved.id);
        if let Some(entry) = saved.entry {
            self.insert(entry);
        }
        if saved.drained {
            self.drains.insert(saved.id);
        } else {
            self.drains.remove(&saved.id);
        }
        self.high_water = saved.high_water;
        self.dirty = true;
    }

    /// A node.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        let (id, ordinal) = self.places.get_key_value(id)?;
        self.entries.get(&Place(*ordinal, Arc::clone(id)))
    }

    /// Every node, in member order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Whether a node is drained.
    pub fn drained(&self, id: &str) -> bool {
        self.drains.contains(id)
    }

    fn life(&mut self, id: &str, incarnation: Incarnation) -> Option<&mut Entry> {
        let (id, ordinal) = self.places.get_key_value(id)?;
        self.entries.get_mut(&Place(*ordinal, Arc::clone(id))).filter(|e| e.node.incarnation == incarnation)
    }

    fn put(&mut self, spec: NodeSpec, source: Source, now: Duration) -> Join {
        let known = self.get(&spec.id).filter(|e| e.node.spec.address == spec.address && e.node.source == source);
        let (entry, what) = match known.cloned() {
            Some(entry) if entry.node.spec == spec => return Join::Same,
            Some(entry) => {
                let node = Node { spec, load: Arc::clone(&entry.node.load), ..*entry.node };
                (Entry { node: Arc::new(node), ..entry }, Join::Described)
            }
            None => {
                let what = if self.places.contains_key(spec.id.as_str()) { Join::Moved } else { Join::Created };
                (self.new_life(spec, source, now), what)
            }
        };
        let id = entry.node.spec.id.clone();
        self.remove(&id);
        self.insert(entry);
        what
    }

    fn new_life(&self, spec: NodeSpec, source: Source, now: Duration) -> Entry {
        let trusted = source == Source::Static && !self.rules.checked;
        // Nodes that the first configuration names were there before we were: no ramp for them.
        let warming = (trusted && self.configured && self.rules.slow_start.is_some()).then_some(now);
        let load = Arc::new(NodeLoad::with_permits(self.rules.permits));
        let node = Node { spec, incarnation: self.incarnations.next(), source, load };
        let condition = if trusted { Condition::Up } else { Condition::Unchecked };
        Entry { node: Arc::new(node), condition, passed: trusted, warming, failure: None, docket: Docket::default() }
    }

    fn insert(&mut self, entry: Entry) {
        self.high_water = self.mark_with(&entry);
        let id: Arc<str> = entry.node.spec.id.as_str().into();
        let ordinal = entry.node.spec.ordinal.unwrap_or(u64::MAX);
        self.places.insert(Arc::clone(&id), ordinal);
        self.entries.insert(Place(ordinal, id), entry);
        self.dirty = true;
    }

    fn remove(&mut self, id: &str) -> Option<Entry> {
        let (id, ordinal) = self.places.remove_entry(id)?;
        self.dirty = true;
        self.entries.remove(&Place(ordinal, id))
    }

    fn takes_traffic(&self, entry: &Entry) -> bool {
        entry.condition == Condition::Up && !self.drains.contains(&entry.node.spec.id)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
