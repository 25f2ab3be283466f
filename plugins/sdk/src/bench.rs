//! A test bench for policies, for a plain native `cargo test`: no Wasm, no proxy, no network.
//!
//! ```
//! # use pointsman_policy::{Members, NoSettings, Policy, Request, Verdict};
//! # struct RoundRobin;
//! # impl Policy for RoundRobin {
//! #     type Settings = NoSettings;
//! #     fn new(_: NoSettings) -> Result<Self, String> { Ok(Self) }
//! #     fn pick(&self, r: &Request<'_>, m: &Members) -> Verdict { m.at_turn(r.turn).into() }
//! # }
//! use pointsman_policy::bench::{Bench, node};
//! use pointsman_policy::State;
//!
//! let mut bench = Bench::<RoundRobin>::new("{}", [node("a"), node("b"), node("c")]);
//! assert_eq!(bench.names(0..4), ["a", "b", "c", "a"]);
//! bench.stand(1, State::Down);
//! assert_eq!(bench.names(0..4), ["a", "c", "a", "c"]);
//! ```
//!
//! Every pick through a [`Bench`] is proven as the host proves it: a verdict that names a node which is not there, may
//! not be picked or was tried already fails the test.

use crate::hash::{avalanche, xxh64};
use crate::{Members, Needs, Node, Policy, Request, Runtime, Standing, State, Verdict};

/// A node with weight 1 and nothing else. Change the fields you care about: `Node { weight: 5, ..node("a") }`.
pub fn node(id: &str) -> Node {
    Node { id: id.to_owned(), ordinal: None, weight: 1, zone: String::new(), labels: Vec::new() }
}

/// Nodes `n1`, `n2`, ... with ordinals 1, 2, ... and weight 1.
pub fn nodes(count: u32) -> Vec<Node> {
    (1..=count).map(|n| Node { ordinal: Some(u64::from(n)), ..node(&format!("n{n}")) }).collect()
}

/// Nodes `n1`, `n2`, ... with these weights.
pub fn weighted(weights: &[u32]) -> Vec<Node> {
    nodes(weights.len() as u32).into_iter().zip(weights).map(|(node, &weight)| Node { weight, ..node }).collect()
}

/// The request of a turn: its random bits follow from the turn, so a run repeats.
pub fn turn(turn: u64) -> Request<'static> {
    Request { turn, random: avalanche(turn.wrapping_add(0x9E37_79B9_7F4A_7C15)), ..Request::default() }
}

/// A request with a key, hashed as the host hashes it.
pub fn keyed(key: &str) -> Request<'_> {
    Request { key: Some(key), key_hash: Some(xxh64(key.as_bytes(), 0)), ..turn(0) }
}

/// A policy with its members.
#[derive(Debug)]
pub struct Bench<P> {
    runtime: Runtime<P>,
    needs: Needs,
    standing: Standing,
}

impl<P: Policy> Bench<P> {
    /// Sets a policy up with its `with:` as JSON and these nodes, all of them up.
    ///
    /// # Panics
    /// When the policy refuses the settings.
    pub fn new(settings: &str, nodes: impl Into<Vec<Node>>) -> Self {
        let (runtime, needs) = match Runtime::configure(settings) {
            Ok(ready) => ready,
            Err(message) => panic!("the policy refused {settings}: {message}"),
        };
        let mut bench = Self { runtime, needs, standing: Standing::default() };
        bench.replace(nodes);
        bench
    }

    /// What the policy answers to bad settings.
    ///
    /// # Panics
    /// When it accepts them.
    pub fn refusal(settings: &str) -> String {
        match Runtime::<P>::configure(settings) {
            Ok(_) => panic!("the policy accepted {settings}"),
            Err(message) => message,
        }
    }

    /// What a pick needs under the settings.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The members as the policy sees them.
    pub fn members(&self) -> &Members {
        self.runtime.membership()
    }

    /// The policy itself.
    pub fn policy(&self) -> &P {
        self.runtime.policy()
    }

    /// Replaces the nodes; all are up.
    pub fn replace(&mut self, nodes: impl Into<Vec<Node>>) {
        let nodes = nodes.into();
        let state = vec![State::Up.to_wire(); nodes.len()];
        self.standing = Standing { state, share: vec![1000; nodes.len()], ..Standing::default() };
        self.runtime.members(nodes, &self.standing);
    }

    /// Changes how one node stands.
    pub fn stand(&mut self, index: usize, state: State) {
        self.standing.state[index] = state.to_wire();
        self.runtime.standing_changed(&self.standing);
    }

    /// Changes how all nodes stand.
    pub fn stand_all(&mut self, states: &[State]) {
        self.standing.state = states.iter().map(|state| state.to_wire()).collect();
        self.runtime.standing_changed(&self.standing);
    }

    /// Changes the warm-up share of one node, in thousandths.
    pub fn warm(&mut self, index: usize, share: u16) {
        self.standing.share[index] = share;
        self.runtime.standing_changed(&self.standing);
    }

    /// Names the primary.
    pub fn primary(&mut self, index: Option<u32>) {
        self.standing.primary = index;
        self.runtime.standing_changed(&self.standing);
    }

    /// Says which ordinal was the highest ever.
    pub fn high_water(&mut self, ordinal: u64) {
        self.standing.high_water = ordinal;
        self.runtime.standing_changed(&self.standing);
    }

    /// Picks, and proves the verdict.
    ///
    /// # Panics
    /// When the verdict is not one that the host would take.
    pub fn pick(&self, request: &Request<'_>) -> Verdict {
        self.proven(self.runtime.pick(request), &[])
    }

    /// Picks again, and proves the verdict.
    ///
    /// # Panics
    /// When the verdict is not one that the host would take.
    pub fn pick_again(&self, request: &Request<'_>, tried: &[u32]) -> Verdict {
        let attempt = tried.len() as u32 + 1;
        self.proven(self.runtime.pick_again(request, attempt, tried), tried)
    }

    /// The node that the host sends a request to after a pick: see [`Verdict::sent`].
    pub fn sent(&self, request: &Request<'_>) -> Option<u32> {
        self.pick(request).sent(request, self.members(), &[])
    }

    /// The explanation of a pick.
    pub fn explain(&self, request: &Request<'_>) -> String {
        self.runtime.explain(request)
    }

    /// The index picked for each turn.
    ///
    /// # Panics
    /// When a pick names no node.
    pub fn indices(&self, turns: impl IntoIterator<Item = u64>) -> Vec<u32> {
        let index = |t| self.sent(&turn(t)).unwrap_or_else(|| panic!("no node was picked at turn {t}"));
        turns.into_iter().map(index).collect()
    }

    /// The name of the node picked for each turn.
    pub fn names(&self, turns: impl IntoIterator<Item = u64>) -> Vec<&str> {
        let nodes = self.members().nodes();
        self.indices(turns).into_iter().map(|index| nodes[index as usize].id.as_str()).collect()
    }

    /// How often each node is picked over these turns, in member order.
    pub fn counts(&self, turns: impl IntoIterator<Item = u64>) -> Vec<u64> {
        tally(self.members().len(), self.indices(turns))
    }

    /// The name of the node that a key goes to, if any.
    pub fn home(&self, key: &str) -> Option<&str> {
        let index = self.sent(&keyed(key))?;
        self.members().node(index).map(|node| node.id.as_str())
    }

    /// What a retry meets: after each answer that node failed too, until the policy refuses or names only one.
    ///
    /// # Panics
    /// When an attempt names a node twice, or one that may not be picked.
    pub fn walk(&self, request: &Request<'_>) -> Vec<u32> {
        let mut tried = Vec::new();
        let mut verdict = self.pick(request);
        while let Some(index) = verdict.sent(request, self.members(), &tried) {
            tried.push(index);
            verdict = self.pick_again(request, &tried);
        }
        tried
    }

    fn proven(&self, verdict: Verdict, tried: &[u32]) -> Verdict {
        let named = match &verdict {
            Verdict::Node(index) | Verdict::Only(index) => std::slice::from_ref(index),
            Verdict::Ranked(list) | Verdict::Lightest(list) => list,
            Verdict::Park(_) => &[],
            Verdict::Refuse { status, .. } => {
                assert!((400..=599).contains(status), "a refusal with status {status}");
                &[]
            }
        };
        for &index in named {
            assert!(self.members().is_eligible(index), "{verdict:?} names a node that may not be picked");
            assert!(!tried.contains(&index), "{verdict:?} names a node that was tried: {tried:?}");
        }
        verdict
    }
}

/// How often each of `count` nodes occurs among the picks.
pub fn tally(count: usize, picks: impl IntoIterator<Item = u32>) -> Vec<u64> {
    let mut counts = vec![0; count];
    for index in picks {
        counts[index as usize] += 1;
    }
    counts
}

/// The most that the counts of eligible nodes differ by: at most 1 over any window of a strict round robin.
pub fn spread(counts: &[u64], members: &Members) -> u64 {
    let eligible = || members.eligible().iter().map(|&index| counts[index as usize]);
    eligible().max().unwrap_or(0) - eligible().min().unwrap_or(0)
}

/// The largest distance, over every prefix of the picks, between a node's count and its exact share of the prefix.
/// `weights` in member order, 0 for a node that takes no part.
pub fn deviation(picks: &[u32], weights: &[u64]) -> f64 {
    let total: u64 = weights.iter().sum();
    let mut counts = vec![0u64; weights.len()];
    let mut worst: f64 = 0.0;
    for (length, &index) in (1u64..).zip(picks) {
        counts[index as usize] += 1;
        for (&count, &weight) in counts.iter().zip(weights) {
            let due = (length * weight) as f64 / total as f64;
            worst = worst.max((count as f64 - due).abs());
        }
    }
    worst
}

/// Pearson's chi-square statistic of counts against expected shares (any scale). Shares of 0 must have count 0.
///
/// # Panics
/// When a node with no share was picked.
pub fn chi_square(counts: &[u64], shares: &[f64]) -> f64 {
    let picks: u64 = counts.iter().sum();
    let total: f64 = shares.iter().sum();
    let term = |(&count, &share): (&u64, &f64)| {
        if share == 0.0 {
            assert_eq!(count, 0, "a node with no share was picked");
            return 0.0;
        }
        let due = picks as f64 * share / total;
        (count as f64 - due).powi(2) / due
    };
    counts.iter().zip(shares).map(term).sum()
}

/// The value that chi-square exceeds with probability 0.001, by Wilson and Hilferty's approximation (1931), good to
/// within 1% from 3 degrees of freedom up.
pub fn chi_square_limit(degrees: usize) -> f64 {
    let k = degrees as f64;
    let z = 3.090_232;
    k * (1.0 - 2.0 / (9.0 * k) + z * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

/// Keys whose home changed although it may still be picked, as `(key, before, after)`: none where a policy moves only
/// the keys of nodes that left.
pub fn moved<'k, P: Policy>(
    keys: &'k [String],
    before: &Bench<P>,
    after: &Bench<P>,
) -> Vec<(&'k str, String, Option<String>)> {
    let alive = |id: &str| {
        let members = after.members();
        members.eligible().iter().any(|&index| members.node(index).is_some_and(|node| node.id == id))
    };
    let change = |key: &'k String| {
        let home = before.home(key)?;
        let now = after.home(key);
        (now != Some(home) && alive(home)).then(|| (key.as_str(), home.to_owned(), now.map(str::to_owned)))
    };
    keys.iter().filter_map(change).collect()
}
