//! Shares are weight times warm-up times standing, exactly in the table and by chi-square in the picks.

use pointsman_policy::bench::{Bench, chi_square, chi_square_limit, nodes, turn, weighted};
use pointsman_policy::{State, Verdict};
use proptest::prelude::*;

use crate::WeightedHealth;
use crate::columns::Columns;

type Health = Bench<WeightedHealth>;

/// What each node gets of a million picks, by the table, rounded.
fn millionths(bench: &Health) -> Vec<u32> {
    let sum = bench.policy().columns.sum();
    let count = bench.members().len() as u32;
    (0..count).map(|node| (sum.get(&node).copied().unwrap_or(0.0) * 1e6).round() as u32).collect()
}

#[test]
fn settings_are_checked() {
    let message = "`degraded`: give a number from 0 (no requests) to 1 (as many as when up)";
    assert_eq!(Health::refusal(r#"{"degraded": 1.5}"#), message);
    assert_eq!(Health::refusal(r#"{"degraded": -0.1}"#), message);
    assert_eq!(Health::refusal(r#"{"degraded": "half"}"#), "`degraded`: expected a number, not the text \"half\"");
    assert_eq!(Health::refusal(r#"{"degrade": 1}"#), "unknown setting `degrade`: did you mean `degraded`?");
}

#[test]
fn weight_times_warm_up_times_standing() {
    let mut bench = Health::new("{}", weighted(&[5, 3, 2]));
    assert_eq!(millionths(&bench), [500_000, 300_000, 200_000]);
    bench.stand(0, State::Degraded);
    assert_eq!(millionths(&bench), [333_333, 400_000, 266_667]);
    bench.warm(1, 500);
    assert_eq!(millionths(&bench), [416_667, 250_000, 333_333]);
    bench.stand(2, State::Down);
    assert_eq!(millionths(&bench), [625_000, 375_000, 0]);
    bench.stand(1, State::Draining);
    assert_eq!(millionths(&bench), [1_000_000, 0, 0]);
}

#[test]
fn degraded_counts_what_the_setting_says() {
    let mut bench = Health::new(r#"{"degraded": 0.25}"#, nodes(2));
    bench.stand(0, State::Degraded);
    assert_eq!(millionths(&bench), [200_000, 800_000]);
    let mut bench = Health::new(r#"{"degraded": 0}"#, nodes(2));
    bench.stand(0, State::Degraded);
    assert_eq!(millionths(&bench), [0, 1_000_000]);
    bench.stand(1, State::Down);
    assert_eq!(millionths(&bench), [1_000_000, 0], "somebody must serve");
}

#[test]
fn cold_nodes_share_alike_when_there_are_no_others() {
    let mut bench = Health::new("{}", nodes(4));
    (0..4).for_each(|node| bench.warm(node, 0));
    assert_eq!(millionths(&bench), [250_000; 4]);
    bench.warm(2, 1);
    assert_eq!(millionths(&bench), [0, 0, 1_000_000, 0]);
}

#[test]
fn nobody_is_refused() {
    assert!(matches!(Health::new("{}", []).pick(&turn(0)), Verdict::Refuse { status: 503, .. }));
}

#[test]
fn picks_follow_the_shares() {
    let mut bench = Health::new("{}", weighted(&[1, 2, 3, 4, 50]));
    bench.stand(3, State::Degraded);
    bench.warm(2, 100);
    let counts = bench.counts(0..300_000);
    let statistic = chi_square(&counts, &[1.0, 2.0, 0.3, 2.0, 50.0]);
    assert!(statistic < chi_square_limit(4), "{statistic}: {counts:?}");
}

#[test]
fn it_explains_itself() {
    let bench = Health::new("{}", weighted(&[7]));
    assert_eq!(bench.explain(&turn(0)), "node n1 (ordinal 1), which gets 1000 of 1000 requests");
}

proptest! {
    /// The table sums up to the shares, whatever they are.
    #[test]
    fn the_table_is_exact(shares in prop::collection::vec(prop_oneof![Just(0.0), 0.001..1e9], 1..60)) {
        let total: f64 = shares.iter().sum();
        let listed: Vec<(u32, f64)> = (0..).zip(shares.iter().copied()).collect();
        let sum = Columns::new(&listed).sum();
        for (node, share) in listed {
            let due = if total > 0.0 { share / total } else { 1.0 / shares.len() as f64 };
            let got = sum.get(&node).copied().unwrap_or(0.0);
            prop_assert!((got - due).abs() < 1e-6, "node {node}: {got} instead of {due}");
        }
    }

    /// Only nodes with a share are picked, at any bits, the extremes included.
    #[test]
    fn only_who_has_a_share_is_picked(
        shares in prop::collection::vec(prop_oneof![Just(0.0), 0.001..1e9], 1..60),
        random in prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)],
    ) {
        let listed: Vec<(u32, f64)> = (0..).zip(shares.iter().copied()).collect();
        let picked = Columns::new(&listed).at(random).unwrap();
        prop_assert!(shares[picked as usize] > 0.0 || shares.iter().all(|&share| share == 0.0));
    }

    #[test]
    fn a_retry_walks_over_all(weights in prop::collection::vec(1u32..1000, 1..20), t in any::<u64>()) {
        let bench = Health::new("{}", weighted(&weights));
        let mut walked = bench.walk(&turn(t));
        walked.sort_unstable();
        prop_assert_eq!(walked, bench.members().eligible());
    }
}
