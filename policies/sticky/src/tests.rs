//! Round robin at first, then the same node.

use pointsman_policy::bench::{Bench, nodes, spread, turn};
use pointsman_policy::{Needs, Request, State, Verdict};
use proptest::prelude::*;

use crate::Sticky;

type Stuck = Bench<Sticky>;

fn back(owner: u32, number: u64) -> Request<'static> {
    Request { owner: Some(owner), ..turn(number) }
}

#[test]
fn settings_are_checked() {
    assert_eq!(
        Stuck::refusal(r#"{"new": "hash"}"#),
        "`new`: unknown value `hash`: there are `round-robin`, `least-connections`"
    );
    assert_eq!(
        Stuck::refusal(r#"{"on_failure": "next"}"#),
        "`on_failure`: unknown value `next`: there are `pick`, `refuse`"
    );
    assert_eq!(Stuck::refusal(r#"{"cookie": "a"}"#), "unknown setting `cookie`: there are `new`, `on_failure`");
    assert_eq!(*Stuck::new("{}", nodes(1)).needs(), Needs { owner: true, ..Needs::default() });
}

#[test]
fn round_robin_at_first() {
    let bench = Stuck::new("{}", nodes(3));
    assert_eq!(bench.names(0..4), ["n1", "n2", "n3", "n1"]);
    assert_eq!(bench.explain(&turn(0)), "for the first time: node n1 (ordinal 1)");
    let bench = Stuck::new(r#"{"new": "least-connections"}"#, nodes(3));
    assert_eq!(bench.pick(&turn(0)), Verdict::Lightest(vec![]));
}

#[test]
fn then_the_same_node_until_it_is_gone() {
    let mut bench = Stuck::new("{}", nodes(3));
    for number in 0..6 {
        assert_eq!(bench.pick(&back(1, number)), Verdict::Node(1));
    }
    assert_eq!(bench.explain(&back(1, 0)), "as before: node n2 (ordinal 2)");
    bench.stand(1, State::Draining);
    assert_eq!(bench.pick(&back(1, 0)), Verdict::Node(0));
    assert_eq!(bench.pick(&back(1, 1)), Verdict::Node(2));
    assert_eq!(bench.pick(&back(77, 1)), Verdict::Node(2), "an owner that is not there");
}

#[test]
fn a_node_that_fails_is_left_or_kept() {
    let bench = Stuck::new("{}", nodes(3));
    assert_eq!(bench.pick_again(&back(1, 2), &[1]), Verdict::Node(2), "whose turn it is");
    let mut met = bench.walk(&back(1, 2));
    met.sort_unstable();
    assert_eq!(met, [0, 1, 2]);
    let strict = Stuck::new(r#"{"on_failure": "refuse"}"#, nodes(3));
    assert_eq!(strict.walk(&back(1, 2)), [1]);
    assert_eq!(strict.walk(&turn(2)).len(), 3, "who has no node yet is not stuck to one");
}

proptest! {
    /// Whoever has a node that is up meets it; who has none meets each in turn.
    #[test]
    fn a_live_node_is_kept(
        down in prop::collection::vec(any::<bool>(), 1..12),
        owner in 0u32..12,
        start in any::<u32>(),
        settings in prop::sample::select(vec!["{}", r#"{"on_failure": "refuse"}"#]),
    ) {
        let mut bench = Stuck::new(settings, nodes(down.len() as u32));
        let states: Vec<State> = down.iter().map(|&down| if down { State::Down } else { State::Up }).collect();
        bench.stand_all(&states);
        prop_assume!(!bench.members().eligible().is_empty());
        let start = u64::from(start);
        if bench.members().is_eligible(owner) {
            prop_assert_eq!(bench.pick(&back(owner, start)).first(), Some(owner));
        } else {
            let turns: Vec<u64> = (start..start + 24).collect();
            let met = turns.iter().map(|&number| bench.sent(&back(owner, number)).expect("a node"));
            let counts = pointsman_policy::bench::tally(down.len(), met);
            prop_assert!(spread(&counts, bench.members()) <= 1, "{counts:?}");
        }
    }
}
