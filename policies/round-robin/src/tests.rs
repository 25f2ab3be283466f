//! The round robin is strict, whoever is down.

use pointsman_policy::bench::{Bench, nodes, spread, turn};
use pointsman_policy::{KeyNeed, State, Verdict};
use proptest::prelude::*;

use crate::RoundRobin;

fn state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Up), Just(State::Degraded), Just(State::Draining), Just(State::Down)]
}

#[test]
fn it_takes_no_settings_and_needs_nothing() {
    assert_eq!(Bench::<RoundRobin>::refusal(r#"{"weight": 1}"#), "unknown setting `weight`: this policy takes none");
    let bench = Bench::<RoundRobin>::new("{}", nodes(1));
    assert_eq!(bench.needs().key, KeyNeed::None);
    assert!(!bench.needs().loads);
}

#[test]
fn each_has_its_turn() {
    let mut bench = Bench::<RoundRobin>::new("", nodes(3));
    assert_eq!(bench.names(0..6), ["n1", "n2", "n3", "n1", "n2", "n3"]);
    bench.stand(1, State::Down);
    assert_eq!(bench.names(0..4), ["n1", "n3", "n1", "n3"]);
    bench.stand(1, State::Degraded);
    assert_eq!(bench.names(3..5), ["n1", "n2"]);
    assert_eq!(bench.explain(&turn(1)), "node n2 (ordinal 2)");
}

#[test]
fn nobody_up_is_refused() {
    let mut bench = Bench::<RoundRobin>::new("", nodes(1));
    bench.stand(0, State::Draining);
    assert!(matches!(bench.pick(&turn(0)), Verdict::Refuse { status: 503, .. }));
    assert!(matches!(Bench::<RoundRobin>::new("", []).pick(&turn(0)), Verdict::Refuse { status: 503, .. }));
}

proptest! {
    /// Over any window of turns, also one that starts late or wraps around, most minus least is at most one.
    #[test]
    fn it_is_strict_over_any_window(
        states in prop::collection::vec(state(), 1..40),
        start in prop_oneof![any::<u32>().prop_map(u64::from), Just((1 << 32) - 100), Just((1 << 63) - 100)],
        length in 0u64..500,
    ) {
        let mut bench = Bench::<RoundRobin>::new("", nodes(states.len() as u32));
        bench.stand_all(&states);
        prop_assume!(!bench.members().eligible().is_empty());
        let counts = bench.counts(start..start + length);
        prop_assert!(spread(&counts, bench.members()) <= 1, "{counts:?}");
    }

    /// A retry walks over every eligible node once and then refuses.
    #[test]
    fn a_retry_never_meets_a_node_twice(states in prop::collection::vec(state(), 1..20), start in any::<u64>()) {
        let mut bench = Bench::<RoundRobin>::new("", nodes(states.len() as u32));
        bench.stand_all(&states);
        let mut walked = bench.walk(&turn(start));
        walked.sort_unstable();
        prop_assert_eq!(walked, bench.members().eligible());
    }
}
