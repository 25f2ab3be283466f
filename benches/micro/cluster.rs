//! What the benches pick among: services of any size, and requests that do not repeat.

use std::sync::Arc;

use pointsman_core::cluster::membership::{Member, Membership, Standing};
use pointsman_core::cluster::node::{Incarnation, Node, NodeSpec, Source};
use pointsman_core::key::stable_hash;
use pointsman_core::pick::policy::Ask;

/// Different requests, asked in turn; more than the branch predictor learns by heart.
pub(crate) const REQUESTS: usize = 4096;

/// Nodes with ordinals from 1, weights from 1 to 5, a zone and two labels.
pub(crate) fn specs(count: usize) -> Vec<NodeSpec> {
    let spec = |i: usize| NodeSpec {
        id: format!("oms-{}", i + 1),
        ordinal: Some(i as u64 + 1),
        address: ([127, 0, 0, 1], 9000).into(),
        weight: (i % 5) as u32 + 1,
        zone: format!("zone-{}", i % 3),
        labels: [("rack".into(), format!("r{}", i % 40)), ("tier".into(), "hot".into())].into(),
    };
    (0..count).map(spec).collect()
}

/// A membership of so many nodes: one in eleven down, one in seven degraded, the rest up.
pub(crate) fn membership(version: u64, roster: u64, count: usize) -> Arc<Membership> {
    let member = |(i, spec): (usize, NodeSpec)| Member {
        node: Arc::new(Node { spec, incarnation: Incarnation(i as u64), source: Source::Static, load: Arc::default() }),
        standing: standing(i),
        share: 1000,
    };
    let members = specs(count).into_iter().enumerate().map(member).collect();
    Arc::new(Membership::new(version, roster, members, Some(0)).with_high_water(count as u64))
}

fn standing(i: usize) -> Standing {
    match i {
        i if i % 11 == 10 => Standing::Down,
        i if i % 7 == 6 => Standing::Degraded,
        _ => Standing::Up,
    }
}

/// A request: what a pick is asked, with a key of its own.
pub(crate) struct Question {
    key: String,
    hash: u64,
    random: u64,
}

/// The requests, the same on every run.
pub(crate) fn questions() -> Vec<Question> {
    let question = |i: u64| {
        let key = (i * 7_919 % 100_003).to_string();
        Question { hash: stable_hash(&key), random: stable_hash(&format!("chance {i}")), key }
    };
    (0..REQUESTS as u64).map(question).collect()
}

impl Question {
    /// Asked at some turn.
    pub(crate) fn at(&self, turn: u64) -> Ask<'_> {
        Ask {
            turn,
            random: self.random,
            now_ms: turn,
            key_hash: Some(self.hash),
            key: Some(&self.key),
            attempt: 1,
            ..Ask::default()
        }
    }
}
