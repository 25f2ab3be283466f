//! Random schedules of joins, heartbeats, leaves, checks, drains, reloads and pauses, each from its seed, against what
//! must always hold. The harness ties roster, leases and health together the way the server's control thread does.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::cluster::health::Health;
use crate::cluster::lease::{Leases, TICK};
use crate::cluster::primary::Change;

const IDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

struct Life {
    health: Health,
    passed: bool,
}

struct Simulation {
    random: StdRng,
    now: Duration,
    roster: Roster,
    leases: Leases<String>,
    lives: HashMap<Incarnation, Life>,
    rules: Rules,
    version: u64,
    epoch: u64,
    serving: Arc<Membership>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let all_down = if random.gen_bool(0.3) { AllDown::TryAny } else { AllDown::Fail };
        let ramp = |window| Ramp { window: Duration::from_millis(window), floor: 100 };
        let slow_start = random.gen_bool(0.3).then(|| ramp(random.gen_range(1..3_000)));
        let eject = random.gen_bool(0.5).then_some(EjectionRule {
            failures: 3,
            share: 0.5,
            requests: 10,
            window: Duration::from_secs(2),
            time: Duration::from_millis(500),
            max_time: Duration::from_secs(4),
            max_share: 0.5,
        });
        let primary = random.gen_bool(0.7).then(|| Duration::from_millis(random.gen_range(0..1_000)));
        let rules = Rules { checked: random.gen_bool(0.5), slow_start, all_down, permits: None, eject, primary };
        let mut roster = Roster::new(Incarnations::default(), vec![], BTreeSet::new(), 0);
        roster.configure(rules, vec![], Duration::ZERO).expect("nothing to clash with");
        let serving = Arc::clone(roster.published());
        let leases = Leases::new(Duration::ZERO);
        Self {
            random,
            now: Duration::ZERO,
            roster,
            leases,
            lives: HashMap::new(),
            rules,
            version: 0,
            epoch: 0,
            serving,
        }
    }

    fn spec(&mut self) -> NodeSpec {
        let ordinal = self.random.gen_range(0..6);
        NodeSpec {
            id: (*IDS.choose(&mut self.random).expect("ids")).to_owned(),
            ordinal: (ordinal > 0).then_some(ordinal),
            address: ([127, 0, 0, 1], self.random.gen_range(1..4)).into(),
            weight: self.random.gen_range(1..3),
            zone: String::new(),
            labels: BTreeMap::default(),
        }
    }

    fn step(&mut self) {
        let id = *IDS.choose(&mut self.random).expect("ids");
        match self.random.gen_range(0..100) {
            0..20 => self.join(),
            20..40 => self.heartbeat(id),
            40..46 => {
                if self.roster.leave(id).is_ok() {
                    assert!(self.leases.end(id), "a node that joined had a lease");
                }
            }
            46..76 => self.check(id),
            76..78 => drop(self.roster.drain(id, true)),
            78..80 => self.requests(id),
            80..84 => drop(self.roster.drain(id, false)),
            84..88 => self.reload(),
            88..99 => (0..self.random.gen_range(1..12)).for_each(|_| self.tick(TICK)),
            _ => {
                let gap = Duration::from_millis(self.random.gen_range(201..60_000));
                let before = self.leases.len();
                self.tick(gap);
                assert_eq!(self.leases.len(), before, "our absence alone costs nobody a lease");
            }
        }
        self.publish();
        self.check_invariants();
    }

    fn join(&mut self) {
        let spec = self.spec();
        let id = spec.id.clone();
        let ttl = Duration::from_millis(self.random.gen_range(300..2_000));
        if self.roster.join(spec, self.now).is_ok() {
            self.leases.grant(id, ttl, self.now);
        }
    }

    fn heartbeat(&mut self, id: &str) {
        let alive = self.leases.get(id).is_some_and(|l| l.until > self.now);
        assert_eq!(self.leases.renew(id, self.now), alive);
    }

    fn check(&mut self, id: &str) {
        let Some(entry) = self.roster.get(id) else { return };
        let node = Arc::clone(entry.node());
        if node.source == Source::Static && !self.rules.checked {
            return;
        }
        let life = self.lives.entry(node.incarnation);
        let life = life.or_insert_with(|| Life { health: Health::new(2, 2), passed: false });
        let pass = self.random.gen_bool(0.7);
        life.passed |= pass;
        let news = if pass { life.health.passed() } else { life.health.failed("refused", self.now) };
        if let Some(to) = news.and_then(|n| n.transition) {
            assert!(self.roster.turned(id, node.incarnation, to, self.now));
        }
    }

    /// Some requests to a node, most of which fail.
    fn requests(&mut self, id: &str) {
        let Some(entry) = self.roster.get(id) else { return };
        let load = Arc::clone(&entry.node().load);
        for _ in 0..self.random.gen_range(1..8) {
            drop(load.enter(0));
            if self.random.gen_bool(0.2) { load.record.passed() } else { load.record.failed(self.random.gen_bool(0.5)) }
        }
    }

    fn reload(&mut self) {
        let mut nodes: Vec<NodeSpec> = (0..self.random.gen_range(0..4)).map(|_| self.spec()).collect();
        // The configuration's own checks refuse a file in which an id or an ordinal stands twice.
        let (mut ids, mut ordinals) = (BTreeSet::new(), BTreeSet::new());
        nodes.retain(|n| ids.insert(n.id.clone()) && n.ordinal.is_none_or(|o| ordinals.insert(o)));
        let clash = nodes.iter().any(|n| {
            self.roster
                .entries()
                .filter(|e| e.node.source == Source::Joined)
                .any(|e| e.node.spec.id == n.id || (n.ordinal.is_some() && e.node.spec.ordinal == n.ordinal))
        });
        assert_eq!(self.roster.configure(self.rules, nodes, self.now).is_err(), clash);
    }

    fn tick(&mut self, step: Duration) {
        self.now += step;
        for id in self.leases.tick(self.now).lapsed {
            assert!(self.roster.lapse(&id), "a lease belongs to a node that joined");
        }
        self.roster.tick(self.now);
        let vouched = self.random.gen_bool(0.2);
        self.roster.judge(self.now, |_| vouched);
        self.publish();
        self.check_invariants();
    }

    fn publish(&mut self) {
        // A writer that could not write the change down keeps the office as it was, and tries again.
        while let Some(change) = self.elect() {
            assert!(self.rules.primary.is_some(), "{change:?} where nobody wants a primary");
        }
        if let Some(next) = self.roster.publish(self.now) {
            assert_eq!(next.version(), self.version + 1, "versions rise by one");
            self.version = next.version();
            self.serving = next;
        }
    }

    fn elect(&mut self) -> Option<Change> {
        let before = self.roster.election().clone();
        let change = self.roster.elect(self.now)?;
        if self.random.gen_bool(0.1) {
            self.roster.put_back(before);
            return None;
        }
        if let Change::Elected { epoch, .. } = change {
            assert_eq!(epoch, self.epoch + 1, "epochs rise by one");
            self.epoch = epoch;
        }
        Some(change)
    }

    fn check_primary(&self) {
        assert_eq!(self.serving.epoch(), self.epoch);
        let Some(index) = self.serving.primary() else { return };
        let member = self.serving.get(index).expect("the primary is a member");
        let (id, incarnation) = (&member.node.spec.id, member.node.incarnation);
        let holder = self.roster.election().holder().expect("somebody holds the office");
        assert_eq!((&holder.id, holder.incarnation), (id, incarnation));
        assert!(!self.roster.drained(id), "a drained node is no primary");
        let entry = self.roster.get(id).expect("a primary is there");
        assert!(entry.condition() == Condition::Up, "{:?}", entry.condition());
    }

    fn check_invariants(&self) {
        self.check_primary();
        let members = self.serving.members();
        let order: Vec<_> =
            members.iter().map(|m| (m.node.spec.ordinal.unwrap_or(u64::MAX), &m.node.spec.id)).collect();
        assert!(order.is_sorted());
        let ordinals: Vec<u64> = members.iter().filter_map(|m| m.node.spec.ordinal).collect();
        assert!(ordinals.windows(2).all(|w| w[0] < w[1]), "ordinals are unique: {ordinals:?}");
        let eligible = members.iter().filter(|m| m.eligible()).filter_map(|m| m.node.spec.ordinal);
        assert!(eligible.max().unwrap_or(0) <= self.serving.high_water(), "who serves counts");
        assert_eq!(members.len(), self.roster.entries().count(), "a node that left is no member");
        let up = |e: &&Entry| e.condition() == Condition::Up && !self.roster.drained(&e.node().spec.id);
        let up = self.roster.entries().filter(up).count();
        assert!(up == 0 || !self.serving.eligible().is_empty(), "somebody serves while anybody is up");
        for member in members {
            let node = &member.node;
            let life = self.lives.get(&node.incarnation);
            assert!((100..=1000).contains(&member.share));
            if member.eligible() {
                assert!(!self.roster.drained(&node.spec.id), "a drained node takes nothing");
            }
            if node.source == Source::Joined {
                let lease = self.leases.get(node.spec.id.as_str()).expect("a member holds a lease");
                assert!(lease.until + TICK > self.now, "a lapsed lease does not serve");
                assert!(!member.eligible() || life.is_some_and(|l| l.passed), "no traffic before the first pass");
            } else if self.rules.checked && member.standing == super::super::membership::Standing::Up {
                assert!(life.is_some_and(|l| l.passed), "no static node is up before its first pass");
            }
        }
    }
}

#[test]
fn what_must_always_hold_does_under_thousands_of_schedules() {
    let mut published = 0;
    for seed in 0..2_000 {
        let mut simulation = Simulation::new(seed);
        for _ in 0..150 {
            simulation.step();
        }
        published += simulation.version;
    }
    assert!(published > 60_000, "the schedules did too little: {published} versions");
}
