//! One service at the control thread: its roster, leases and checks, and the feed through which requests see it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pointsman_config::plan::{self, HealthCheck, Probe};
use pointsman_core::cluster::lease::{Lease, Leases};
use pointsman_core::cluster::membership::Standing;
use pointsman_core::cluster::node::{Incarnation, NodeSpec, Source};
use pointsman_core::cluster::roster::{
    Condition, Denial, Entry, Incarnations, Join, Judgement, Roster, Saved, Sentence,
};
use pointsman_registry::{Change, Kept};

use super::checks::{Checker, Pulse, Target};
use super::office::Office;
use crate::world::control::{Denied, Feed, ReportedLoad};

/// How a node that joined is checked where the service says nothing: whoever joins must at least be reachable. Two
/// seconds without a connection take it out, well within the default lease of ten.
fn reachable() -> HealthCheck {
    HealthCheck {
        tls: None,
        probe: Probe::Tcp,
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
        fall: 2,
        rise: 1,
        jitter: 0.1,
    }
}

/// A node under check.
struct Watched {
    incarnation: Incarnation,
    check: Arc<HealthCheck>,
    pulse: Arc<Pulse>,
}

/// What there was of a node before an order.
pub(super) struct Before {
    saved: Saved,
    id: String,
    lease: Option<Lease>,
}

pub(super) struct Service {
    pub(super) name: Arc<str>,
    pub(super) roster: Roster,
    pub(super) leases: Leases<String>,
    pub(super) feed: Arc<Feed>,
    /// `None`: the configuration does not name it (any more). Its nodes are kept for as long as their leases last, so
    /// that a service taken out by mistake comes back with them.
    pub(super) plan: Option<plan::Service>,
    pub(super) loads: HashMap<String, ReportedLoad>,
    pub(super) office: Office,
    static_check: Option<Arc<HealthCheck>>,
    joined_check: Arc<HealthCheck>,
    watched: HashMap<String, Watched>,
}

impl Service {
    /// A service with what the registry kept of it; the leases of kept nodes do not run before [`Leases::run`].
    pub(super) fn new(
        name: &str,
        kept: &pointsman_registry::Service,
        incarnations: &Incarnations,
        now: Duration,
    ) -> Self {
        let mut leases = Leases::new(now);
        for node in kept.nodes.values() {
            leases.grant(node.id.clone(), node.ttl(), now);
            leases.hold();
        }
        let joined = kept.nodes.values().map(Kept::spec).collect();
        let roster = Roster::new(incarnations.clone(), joined, kept.drains.clone(), kept.high_water);
        let mut service = Self {
            name: name.into(),
            roster,
            leases,
            feed: Arc::new(Feed::new(Arc::default())),
            plan: None,
            loads: HashMap::new(),
            office: Office::default(),
            static_check: None,
            joined_check: Arc::new(reachable()),
            watched: HashMap::new(),
        };
        service.keep_office(&kept.office);
        service
    }

    /// Takes over how nodes are checked. A check that did not change stays the same value, so that nothing restarts.
    pub(super) fn take_checks(&mut self, health: Option<&HealthCheck>) {
        if self.static_check.as_deref() != health {
            self.static_check = health.cloned().map(Arc::new);
        }
        let joined = health.cloned().unwrap_or_else(reachable);
        if *self.joined_check != joined {
            self.joined_check = Arc::new(joined);
        }
    }

    /// What there is of a node, to be put back by [`Service::undo`].
    pub(super) fn before(&self, id: &str) -> Before {
        Before { saved: self.roster.save(id), id: id.to_owned(), lease: self.leases.get(id) }
    }

    pub(super) fn undo(&mut self, before: Before) {
        self.roster.restore(before.saved);
        self.leases.put_back(before.id, before.lease);
    }

    /// A node joins. The change is to be written unless nothing of it is new.
    pub(super) fn join(&mut self, spec: NodeSpec, ttl: Duration, now: Duration) -> Result<(Join, Vec<Change>), Denied> {
        let id = spec.id.clone();
        let kept = Kept::new(&spec, ttl);
        if self.leases.get(&id).is_some() && !self.leases.alive(&id, now) {
            // It lapsed since the last tick: what joins is a new life.
            self.roster.lapse(&id);
        }
        let mark = self.roster.high_water();
        let join = self.roster.join(spec, now).map_err(|denial| self.denied(&id, denial))?;
        let same = join == Join::Same && self.leases.get(&id).is_some_and(|lease| lease.ttl == ttl);
        self.leases.grant(id, ttl, now);
        let put = (!same).then(|| Change::Put { service: self.name.to_string(), node: kept });
        Ok((join, put.into_iter().chain(self.mark_since(mark)).collect()))
    }

    /// What is to be written of a mark that was `before`.
    pub(super) fn mark_since(&self, before: u64) -> Option<Change> {
        let ordinal = self.roster.high_water();
        (ordinal > before).then(|| Change::Ordinal { service: self.name.to_string(), ordinal })
    }

    pub(super) fn heartbeat(&mut self, id: &str, load: Option<ReportedLoad>, now: Duration) -> Result<(), Denied> {
        if self.leases.renew(id, now) {
            if let Some(load) = load {
                self.loads.insert(id.to_owned(), load);
            }
            return Ok(());
        }
        let fixed = self.roster.get(id).is_some_and(|e| e.node().source == Source::Static);
        Err(self.denied(id, if fixed { Denial::Static } else { Denial::NoNode }))
    }

    /// A node leaves; its drain ends with it.
    pub(super) fn leave(&mut self, id: &str) -> Result<Vec<Change>, Denied> {
        let drained = self.roster.drained(id);
        self.roster.leave(id).map_err(|denial| self.denied(id, denial))?;
        self.leases.end(id);
        let (service, id) = (self.name.to_string(), id.to_owned());
        let undrain = drained.then(|| Change::Drain { service: service.clone(), id: id.clone(), on: false });
        Ok([Change::Remove { service, id }].into_iter().chain(undrain).collect())
    }

    pub(super) fn drain(&mut self, id: &str, on: bool) -> Result<Option<Change>, Denied> {
        let changed = self.roster.drain(id, on).map_err(|denial| self.denied(id, denial))?;
        Ok(changed.then(|| Change::Drain { service: self.name.to_string(), id: id.to_owned(), on }))
    }

    /// Takes out a node whose lease is over, or whose place the configuration takes.
    pub(super) fn drop_node(&mut self, id: &str) -> Option<Change> {
        self.leases.end(id);
        let gone = self.roster.lapse(id);
        gone.then(|| Change::Remove { service: self.name.to_string(), id: id.to_owned() })
    }

    /// Shows readers what changed since the last time. [`Desk::show`](super::desk::Desk::show) elects before.
    pub(super) fn publish(&mut self, now: Duration) {
        if let Some(next) = self.roster.publish(now) {
            let before = self.feed.cell.load_full();
            self.feed.publish(Arc::clone(&next));
            next.send_away(&before);
        }
    }

    /// Brings the checks of one node in line with the roster.
    pub(super) fn sync_check(&mut self, id: &str, checker: &Checker) {
        let wanted = self.roster.get(id).and_then(|entry| Some((entry, self.check_of(entry)?)));
        let Some((entry, check)) = wanted else {
            if self.roster.get(id).is_none() {
                self.loads.remove(id);
            }
            if self.watched.remove(id).is_some() {
                checker.forget(&self.name, id);
            }
            return;
        };
        let incarnation = entry.node().incarnation;
        let same = |w: &Watched| w.incarnation == incarnation && Arc::ptr_eq(&w.check, &check);
        if self.watched.get(id).is_some_and(same) {
            return;
        }
        // The time of the last failure outlives a change of the check, not the node's life.
        let kept = self.watched.remove(id).filter(|w| w.incarnation == incarnation).map(|w| w.pulse);
        let pulse = kept.unwrap_or_default();
        let up = match entry.condition() {
            Condition::Unchecked => None,
            Condition::Up => Some(true),
            Condition::Down => Some(false),
        };
        checker.watch(Target {
            service: Arc::clone(&self.name),
            node: id.into(),
            incarnation,
            address: entry.node().spec.address.clone(),
            check: Arc::clone(&check),
            up,
            pulse: Arc::clone(&pulse),
        });
        self.watched.insert(id.to_owned(), Watched { incarnation, check, pulse });
    }

    /// Brings the checks of all nodes in line, those that are gone included.
    pub(super) fn sync_checks(&mut self, checker: &Checker) {
        let mut ids: Vec<String> = self.watched.keys().cloned().collect();
        ids.extend(self.roster.entries().map(|e| e.node().spec.id.clone()).filter(|id| !self.watched.contains_key(id)));
        ids.iter().for_each(|id| self.sync_check(id, checker));
    }

    /// Whether a node waits for its first check.
    pub(super) fn awaits_check(&self, id: &str) -> bool {
        self.watched.contains_key(id) && self.roster.get(id).is_some_and(|e| e.condition() == Condition::Unchecked)
    }

    /// When the last check of a node failed, on the clock of `now`.
    pub(super) fn failed_at(&self, id: &str) -> Option<Duration> {
        self.watched.get(id).and_then(|w| w.pulse.failed_at())
    }

    /// Takes out nodes that fail the requests they get, and brings them back. Looks only where a request has failed, or
    /// time may have changed something.
    pub(super) fn judge(&mut self, now: Duration) -> Vec<Judgement> {
        let failed = self.feed.failed.load(Ordering::Relaxed) && self.feed.failed.swap(false, Ordering::Relaxed);
        if !failed && !self.roster.has_cases(now) {
            return Vec::new();
        }
        let watched = &self.watched;
        let said = self.roster.judge(now, |entry| {
            let watched = watched.get(&entry.node().spec.id);
            watched.is_some_and(|w| w.pulse.passes() >= w.check.rise.max(1))
        });
        for judgement in said.iter().filter(|judgement| matches!(judgement.what, Sentence::Ejected(..))) {
            if let Some(watched) = watched.get(&judgement.id) {
                watched.pulse.count_anew();
            }
        }
        said
    }

    /// How a node stands to readers.
    pub(super) fn standing(&self, id: &str) -> Option<Standing> {
        let members = self.roster.published().members();
        members.iter().find(|m| m.node.spec.id == id).map(|m| m.standing)
    }

    pub(super) fn denied(&self, id: &str, denial: Denial) -> Denied {
        let service = self.name.to_string();
        match denial {
            Denial::NoNode => Denied::NoNode { service, id: id.to_owned() },
            Denial::Static => Denied::Static { id: id.to_owned() },
            Denial::OrdinalTaken { ordinal, by } => Denied::OrdinalTaken { service, ordinal, by },
        }
    }

    fn check_of(&self, entry: &Entry) -> Option<Arc<HealthCheck>> {
        self.plan.as_ref()?;
        match entry.node().source {
            Source::Static => self.static_check.clone(),
            Source::Joined => Some(Arc::clone(&self.joined_check)),
        }
    }
}
