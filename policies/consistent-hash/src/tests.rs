//! Only the keys of a node that left move, and they spread over the others.

use pointsman_policy::bench::{Bench, keyed, moved, node, nodes, tally, turn, weighted};
use pointsman_policy::{KeyNeed, Request, State, Verdict};
use proptest::prelude::*;

use crate::ConsistentHash;

type Hashed = Bench<ConsistentHash>;

/// Settings for rings that are built hundreds of times: what must hold does so for any number of points.
const SMALL: &str = r#"{"replicas": 10}"#;

fn keys(count: u32) -> Vec<String> {
    (0..count).map(|key| format!("key-{key}")).collect()
}

#[test]
fn settings_are_checked() {
    for (settings, message) in [
        (r#"{"replicas": 0}"#, "`replicas`: give a number of points from 1 to 10000"),
        (r#"{"preference": 0}"#, "`preference`: give a number of nodes from 1 to 64, or leave it out for all"),
        (r#"{"load_factor": 1}"#, "`load_factor`: give a number over 1 (1.25 is usual), up to 100"),
        (r#"{"load_factor": 1e9}"#, "`load_factor`: give a number over 1 (1.25 is usual), up to 100"),
        (r#"{"replica": 5}"#, "unknown setting `replica`: did you mean `replicas`?"),
        (r#"{"on_missing": 5}"#, "`on_missing`: expected one of `refuse`, `round-robin`"),
    ] {
        assert_eq!(Hashed::refusal(settings), message);
    }
    assert_eq!(Hashed::new("{}", nodes(1)).needs().key, KeyNeed::Hash);
    assert!(!Hashed::new("{}", nodes(1)).needs().loads);
    assert!(Hashed::new(r#"{"load_factor": 1.5}"#, nodes(1)).needs().loads);
}

#[test]
fn a_missing_key_is_routed_or_refused() {
    assert_eq!(Hashed::new("{}", nodes(3)).counts(0..30), [10, 10, 10]);
    let bench = Hashed::new(r#"{"on_missing": "refuse"}"#, nodes(3));
    assert!(matches!(bench.pick(&turn(0)), Verdict::Refuse { status: 400, .. }));
    assert!(matches!(Hashed::new("{}", []).pick(&keyed("a")), Verdict::Refuse { status: 503, .. }));
}

#[test]
fn keys_spread_by_weight() {
    let bench = Hashed::new(r#"{"replicas": 1000}"#, weighted(&[1, 2, 3]));
    let picks = keys(60_000);
    let counts = tally(3, picks.iter().map(|key| bench.pick(&keyed(key)).first().unwrap()));
    for (count, due) in counts.iter().zip([10_000.0, 20_000.0, 30_000.0]) {
        assert!((*count as f64 / due - 1.0).abs() < 0.1, "{counts:?}");
    }
}

/// Of 30,000 keys on 10 nodes about a tenth move when one goes down, all of them its own, to every other node.
#[test]
fn a_dead_nodes_keys_spread_over_all_others() {
    let keys = keys(30_000);
    let before = Hashed::new("{}", nodes(10));
    let mut after = Hashed::new("{}", nodes(10));
    after.stand(3, State::Down);
    assert_eq!(moved(&keys, &before, &after), []);
    let orphans: Vec<&String> = keys.iter().filter(|key| before.home(key) == Some("n4")).collect();
    let heirs = tally(10, orphans.iter().map(|key| after.pick(&keyed(key)).first().unwrap()));
    for (node, &heir) in heirs.iter().enumerate() {
        assert_eq!(heir == 0, node == 3, "{heirs:?}");
        assert!((heir as usize) < orphans.len() / 3, "one node inherits too much: {heirs:?}");
    }
}

#[test]
fn only_so_many_nodes_may_serve_a_key() {
    let mut bench = Hashed::new(r#"{"preference": 2}"#, nodes(6));
    let list = bench.walk(&keyed("k"));
    assert_eq!(list.len(), 2);
    bench.stand(list[0] as usize, State::Down);
    assert_eq!(bench.pick(&keyed("k")), Verdict::Node(list[1]));
    bench.stand(list[1] as usize, State::Draining);
    match bench.pick(&keyed("k")) {
        Verdict::Refuse { status: 503, reason } => {
            assert_eq!(reason, "none of the 2 nodes that may serve this key is available");
        }
        other => panic!("{other:?}"),
    }
}

/// A key whose nodes are all gone waits for one of them and goes to nobody else.
#[test]
fn a_key_may_wait_for_its_nodes() {
    for load_factor in ["", r#", "load_factor": 1.5"#] {
        let settings = format!(r#"{{"preference": 2, "park": "500ms"{load_factor}}}"#);
        let mut bench = Hashed::new(&settings, nodes(6));
        let asked = Request { loads: &[0; 6], ..keyed("k") };
        let list = bench.walk(&asked);
        assert_eq!(list.len(), 2);
        assert_eq!(bench.pick_again(&asked, &list), Verdict::Park(500), "both failed");
        list.iter().for_each(|&node| bench.stand(node as usize, State::Down));
        assert_eq!(bench.pick(&asked), Verdict::Park(500));
        assert!(bench.explain(&asked).ends_with("wait up to 500 ms for the membership to change"));
        bench.stand(list[1] as usize, State::Up);
        assert_eq!(bench.pick(&asked), Verdict::Node(list[1]));
    }
}

#[test]
fn it_explains_itself() {
    let bench = Hashed::new(r#"{"preference": 2}"#, nodes(1));
    assert_eq!(bench.explain(&keyed("k")), "the key prefers n1: node n1 (ordinal 1)");
}

#[test]
fn a_full_node_passes_keys_on() {
    let bench = Hashed::new(r#"{"load_factor": 1.25}"#, nodes(4));
    let home = bench.pick(&Request { loads: &[0; 4], ..keyed("k") }).first().unwrap() as usize;
    let mut loads = [10; 4];
    // 41 with this one, 1.25 times a quarter is 12.8: room for 13.
    loads[home] = 12;
    assert_eq!(bench.pick(&Request { loads: &loads, ..keyed("k") }).first(), Some(home as u32));
    loads[home] = 20;
    assert_ne!(bench.pick(&Request { loads: &loads, ..keyed("k") }).first(), Some(home as u32));
}

proptest! {
    /// Nodes that leave the list, come back, or go down: no key moves whose node is alive.
    #[test]
    fn only_keys_of_nodes_that_left_move(
        weights in prop::collection::vec(1u32..5, 2..15),
        leaves in any::<prop::sample::Index>(),
        falls in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let all = weighted(&weights);
        let mut fewer = all.clone();
        fewer.remove(leaves.index(fewer.len()));
        let before = Hashed::new(SMALL, all);
        let mut after = Hashed::new(SMALL, fewer.clone());
        for index in falls {
            after.stand(index.index(fewer.len()), State::Down);
        }
        let keys = keys(200);
        prop_assert_eq!(moved(&keys, &before, &after), []);
    }

    /// A node that joins takes keys from others, and nothing moves between those.
    #[test]
    fn a_new_node_takes_keys_only_for_itself(weights in prop::collection::vec(1u32..5, 1..15), weight in 1u32..10) {
        let mut more = weighted(&weights);
        let before = Hashed::new(SMALL, more.clone());
        more.insert(weights.len() / 2, pointsman_policy::Node { weight, ..node("new") });
        let after = Hashed::new(SMALL, more);
        for key in keys(200) {
            let home = after.home(&key);
            prop_assert!(home == Some("new") || home == before.home(&key));
        }
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter(
        shuffled in Just(weighted(&[1, 2, 3, 4, 5, 6, 7])).prop_shuffle(),
        key in ".{0,20}",
    ) {
        let sorted = Hashed::new(SMALL, weighted(&[1, 2, 3, 4, 5, 6, 7]));
        let shuffled = Hashed::new(SMALL, shuffled);
        prop_assert_eq!(shuffled.home(&key), sorted.home(&key));
    }

    /// Retries walk the preference list: over every eligible node once.
    #[test]
    fn a_retry_walks_over_all(count in 1u32..12, down in any::<prop::sample::Index>(), key in ".{0,20}") {
        let mut bench = Hashed::new("{}", nodes(count));
        bench.stand(down.index(count as usize), State::Down);
        let mut walked = bench.walk(&keyed(&key));
        walked.sort_unstable();
        prop_assert_eq!(walked, bench.members().eligible());
    }

    /// However skewed the keys, no node is picked above its bound.
    #[test]
    fn load_is_bounded(weights in prop::collection::vec(1u32..5, 1..10), picks in prop::collection::vec(0u32..5, 1..300)) {
        let bench = Hashed::new(r#"{"load_factor": 1.25, "replicas": 10}"#, weighted(&weights));
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mut loads = vec![0u32; weights.len()];
        for (under_way, key) in (1u32..).zip(picks) {
            let picked = bench.pick(&Request { loads: &loads, ..keyed(&key.to_string()) }).first().unwrap() as usize;
            loads[picked] += 1;
            let bound = (1.25 * f64::from(under_way) * f64::from(weights[picked]) / total).ceil();
            prop_assert!(f64::from(loads[picked]) <= bound, "{} over {bound}: {loads:?}", loads[picked]);
        }
    }
}
