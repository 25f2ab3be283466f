use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const TAKEOVER: Duration = Duration::from_secs(3);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn up(id: &str, life: u64) -> Candidate<'_> {
    Candidate { id, incarnation: Incarnation(life), up: true, down: false, drained: false }
}

fn down(id: &str, life: u64) -> Candidate<'_> {
    Candidate { up: false, down: true, ..up(id, life) }
}

fn step(election: &mut Election, candidates: &[Candidate<'_>], at: u64) -> Option<Change> {
    election.step(Some(TAKEOVER), candidates.iter().copied(), secs(at))
}

fn holder(election: &Election) -> Option<&str> {
    election.holder().map(|holder| holder.id.as_str())
}

#[test]
fn the_first_that_is_up_is_elected_and_stays() {
    let mut election = Election::default();
    assert_eq!(step(&mut election, &[down("a", 1)], 0), None);
    assert!(matches!(
        step(&mut election, &[down("a", 1), up("b", 2), up("c", 3)], 1),
        Some(Change::Elected { epoch: 1, .. })
    ));
    assert_eq!(step(&mut election, &[up("a", 1), up("b", 2), up("c", 3)], 2), None, "who comes back waits");
    assert_eq!(holder(&election), Some("b"));
}

#[test]
fn the_next_takes_over_once_the_last_has_noticed() {
    for (change, why) in [
        (None, Fall::Gone),
        (Some(down("a", 1)), Fall::Down),
        (Some(up("a", 9)), Fall::Reborn),
        (Some(Candidate { drained: true, ..up("a", 1) }), Fall::Drained),
    ] {
        let mut election = Election::default();
        step(&mut election, &[up("a", 1), up("b", 2)], 0);
        let left: Vec<_> = change.into_iter().chain([up("b", 2)]).collect();
        let Some(Change::Deposed { epoch: 1, why: told, .. }) = step(&mut election, &left, 10) else {
            panic!("{why:?}")
        };
        assert_eq!(told, why);
        assert_eq!(step(&mut election, &left, 12), None);
        assert_eq!(holder(&election), None);
        let Some(Change::Elected { holder, epoch: 2, resumed: false }) = step(&mut election, &left, 13) else {
            panic!("{why:?}")
        };
        // Its own next life is the first again.
        assert_eq!(holder.id, if why == Fall::Reborn { "a" } else { "b" });
    }
}

#[test]
fn a_primary_outlives_the_process_that_elected_it() {
    let restored = || Election::restored(7, Some("b".into()), TAKEOVER, secs(100));
    let mut election = restored();
    assert_eq!(step(&mut election, &[up("a", 1), down("b", 2)], 101), None, "it may come yet");
    let resumed = step(&mut election, &[up("a", 1), up("b", 2)], 102);
    assert!(matches!(resumed, Some(Change::Elected { epoch: 7, resumed: true, .. })), "{resumed:?}");
    let mut election = restored();
    let next = step(&mut election, &[up("a", 1), down("b", 2)], 103);
    assert!(
        matches!(&next, Some(Change::Elected { epoch: 8, resumed: false, holder }) if holder.id == "a"),
        "{next:?}"
    );
    assert_eq!(step(&mut election, &[up("a", 1), up("b", 2)], 104), None, "it came too late");
    let mut nobody = Election::restored(7, None, TAKEOVER, secs(100));
    assert_eq!(step(&mut nobody, &[up("a", 1)], 102), None, "the last may still believe in its office");
    assert!(step(&mut nobody, &[up("a", 1)], 103).is_some());
}

#[test]
fn who_was_primary_goes_on_while_nobody_else_is_however_soon_the_next_could_be() {
    for (takeover_after, now) in [(Duration::ZERO, secs(100)), (Duration::ZERO, secs(109)), (TAKEOVER, secs(109))] {
        let mut election = Election::restored(7, Some("b".into()), takeover_after, secs(100));
        let resumed = election.step(Some(takeover_after), [up("a", 1), up("b", 2)].into_iter(), now);
        let Some(Change::Elected { epoch: 7, resumed: true, holder }) = resumed else { panic!("{resumed:?}") };
        assert_eq!(holder.id, "b");
    }
}

#[test]
fn an_office_that_is_abolished_keeps_its_epoch() {
    let mut election = Election::default();
    step(&mut election, &[up("a", 1)], 0);
    let abolished = election.step(None, [up("a", 1)].into_iter(), secs(1));
    assert!(matches!(abolished, Some(Change::Deposed { why: Fall::Abolished, .. })));
    assert_eq!(election.step(None, [up("a", 1)].into_iter(), secs(2)), None);
    assert!(matches!(step(&mut election, &[up("a", 1)], 9), Some(Change::Elected { epoch: 2, .. })));
}

/// A node of the simulation.
#[derive(Debug, Clone)]
struct Node {
    id: String,
    life: u64,
    there: bool,
    up: bool,
    drained: bool,
}

#[derive(Debug)]
struct Simulation {
    random: StdRng,
    now: Duration,
    lives: u64,
    nodes: Vec<Node>,
    takeover: Duration,
    election: Election,
    /// What the store knows.
    written: (u64, Option<String>),
    fell: Option<Duration>,
    reigns: Vec<(u64, String)>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let node = |n: u64| Node { id: format!("n{n}"), life: n, there: true, up: false, drained: false };
        let takeover = Duration::from_millis(random.gen_range(0..3) * 400);
        let nodes = (0..random.gen_range(1..6)).map(node).collect();
        Self {
            random,
            now: Duration::ZERO,
            lives: 100,
            nodes,
            takeover,
            election: Election::default(),
            written: (0, None),
            fell: None,
            reigns: Vec::new(),
        }
    }

    fn disturb(&mut self) {
        self.now += Duration::from_millis(self.random.gen_range(1..500));
        let index = self.random.gen_range(0..self.nodes.len());
        let node = &mut self.nodes[index];
        match self.random.gen_range(0..12) {
            0..=3 => node.up = true,
            4 | 5 => node.up = false,
            6 => node.drained = !node.drained,
            7 => node.there = !node.there,
            8 => {
                self.lives += 1;
                node.life = self.lives;
            }
            9 => {
                // The process is killed; every life is another to the next one.
                let (epoch, primary) = self.written.clone();
                self.election = Election::restored(epoch, primary, self.takeover, self.now);
                for node in &mut self.nodes {
                    self.lives += 1;
                    (node.life, node.up) = (self.lives, false);
                }
                self.fell = self.fell.or((self.written.0 > 0).then_some(self.now));
            }
            _ => {}
        }
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        let mut candidates = Vec::new();
        for node in self.nodes.iter().filter(|node| node.there) {
            let seen = if node.up { up(&node.id, node.life) } else { down(&node.id, node.life) };
            candidates.push(Candidate { drained: node.drained, ..seen });
        }
        candidates
    }

    fn elect(&mut self) {
        let mut changes = 0;
        loop {
            let before = self.election.clone();
            let candidates = self.candidates();
            let mut election = before.clone();
            let Some(change) = election.step(Some(self.takeover), candidates.iter().copied(), self.now) else { break };
            changes += 1;
            assert!(changes < 4, "it never settles");
            self.judge(&before, &change);
            if self.random.gen_bool(0.1) {
                // It could not be written down: nobody hears of it.
                break;
            }
            self.heed(&change);
            self.election = election;
            self.written = (self.election.epoch(), self.election.holder().map(|holder| holder.id.clone()));
        }
    }

    fn judge(&self, before: &Election, change: &Change) {
        match change {
            Change::Deposed { holder, epoch, .. } => {
                assert_eq!((before.holder(), before.epoch()), (Some(holder), *epoch));
            }
            Change::Elected { holder, epoch, resumed } => {
                assert_eq!(before.holder(), None, "never two");
                let able = |node: &&Node| node.there && node.up && !node.drained;
                let elected = self.nodes.iter().find(|node| node.id == holder.id).filter(able);
                assert!(elected.is_some(), "{holder:?} cannot serve");
                let last = self.reigns.last();
                if *resumed {
                    assert_eq!(last, Some(&(*epoch, holder.id.clone())), "the same goes on in the same epoch");
                    return;
                }
                assert!(last.is_none_or(|(highest, _)| highest < epoch), "{last:?} {epoch}");
                assert_eq!(self.nodes.iter().find(able).map(|node| &node.id), Some(&holder.id), "the first in order");
                let empty = self.fell.map(|fell| self.now.saturating_sub(fell));
                assert!(empty.is_none_or(|empty| empty >= self.takeover), "{empty:?} after the last");
            }
        }
    }

    fn heed(&mut self, change: &Change) {
        match change {
            Change::Deposed { .. } => self.fell = Some(self.now),
            Change::Elected { holder, epoch, resumed } => {
                self.fell = None;
                if !resumed {
                    self.reigns.push((*epoch, holder.id.clone()));
                }
            }
        }
    }
}

#[test]
fn there_is_never_a_second_and_soon_a_first() {
    let (mut elections, mut resumed) = (0, 0);
    for seed in 0..3_000 {
        let mut simulation = Simulation::new(seed);
        for _ in 0..60 {
            simulation.disturb();
            let reigns = simulation.reigns.len();
            let was = simulation.election.holder().is_some();
            simulation.elect();
            let is = simulation.election.holder().is_some();
            resumed += usize::from(!was && is && simulation.reigns.len() == reigns);
            if let Some(holder) = simulation.election.holder() {
                let epoch = simulation.election.epoch();
                assert_eq!(simulation.reigns.last(), Some(&(epoch, holder.id.clone())), "seed {seed}");
            }
        }
        elections += simulation.reigns.len();
        // Left in peace, the first that is up is primary once the last has noticed.
        for _ in 0..100 {
            simulation.now += simulation.takeover;
            simulation.elect();
        }
        let able = simulation.nodes.iter().any(|node| node.there && node.up && !node.drained);
        assert_eq!(simulation.election.holder().is_some(), able, "seed {seed}");
    }
    assert!(elections > 5_000 && resumed > 100, "too little happened: {elections}, {resumed}");
}
