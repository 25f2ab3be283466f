//! Shares are exact over a cycle and hold over the nodes that may be picked.

use pointsman_policy::bench::{Bench, deviation, turn, weighted};
use pointsman_policy::{State, Verdict};
use proptest::prelude::*;

use crate::WeightedRoundRobin;

type Smooth = Bench<WeightedRoundRobin>;

#[test]
fn five_one_one_is_smooth_and_repeats() {
    let bench = Smooth::new("", weighted(&[5, 1, 1]));
    let cycle = ["n1", "n1", "n2", "n1", "n3", "n1", "n1"];
    assert_eq!(bench.names(0..7), cycle);
    assert_eq!(bench.names(7..14), cycle);
    assert_eq!(bench.names([u64::MAX - u64::MAX % 7 - 7]), ["n1"]);
}

#[test]
fn shares_are_those_of_the_eligible_nodes() {
    let mut bench = Smooth::new("", weighted(&[5, 3, 2]));
    bench.stand(1, State::Down);
    assert_eq!(bench.counts(0..70), [50, 0, 20]);
    bench.stand(1, State::Degraded);
    assert_eq!(bench.counts(0..100), [50, 30, 20]);
    bench.warm(0, 10);
    assert_eq!(bench.counts(0..100), [50, 30, 20], "warm-up is not for a strict policy");
}

#[test]
fn a_weight_that_changes_is_taken_up() {
    let mut bench = Smooth::new("", weighted(&[1, 1]));
    assert_eq!(bench.counts(0..12), [6, 6]);
    bench.replace(weighted(&[1, 2]));
    assert_eq!(bench.counts(0..12), [4, 8]);
}

#[test]
fn nobody_is_refused() {
    let mut bench = Smooth::new("", weighted(&[3]));
    bench.stand(0, State::Down);
    assert!(matches!(bench.pick(&turn(9)), Verdict::Refuse { status: 503, .. }));
    assert_eq!(Smooth::refusal(r#"{"weights": [1]}"#), "unknown setting `weights`: this policy takes none");
}

proptest! {
    /// From any turn on, over several cycles: a window strays by less than two, its two ends by less than one each.
    #[test]
    fn any_window_holds_the_shares(
        weights in prop::collection::vec(1u32..20, 1..12),
        down in any::<prop::sample::Index>(),
        start in 0u64..1 << 50,
    ) {
        let mut bench = Smooth::new("", weighted(&weights));
        if weights.len() > 1 {
            bench.stand(down.index(weights.len()), State::Down);
        }
        let eligible = bench.members().eligible().to_vec();
        let share = |node: u32| if eligible.contains(&node) { u64::from(weights[node as usize]) } else { 0 };
        let shares: Vec<u64> = (0..weights.len() as u32).map(share).collect();
        let picks = bench.indices(start..start + 300);
        prop_assert!(deviation(&picks, &shares) < 2.0);
    }

    #[test]
    fn a_retry_walks_over_all(weights in prop::collection::vec(1u32..1000, 1..20), t in any::<u64>()) {
        let bench = Smooth::new("", weighted(&weights));
        let mut walked = bench.walk(&turn(t));
        walked.sort_unstable();
        prop_assert_eq!(walked, bench.members().eligible());
    }
}
