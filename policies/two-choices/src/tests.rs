//! Two distinct nodes are drawn evenly, and the less loaded one wins.

use std::collections::BTreeSet;

use pointsman_policy::bench::{Bench, chi_square, chi_square_limit, nodes, turn};
use pointsman_policy::{Needs, Request, State, Verdict};
use proptest::prelude::*;

use crate::{TwoChoices, draw};

type Two = Bench<TwoChoices>;

#[test]
fn it_needs_nothing_and_takes_no_settings() {
    assert_eq!(Two::new("", nodes(1)).needs(), &Needs::default());
    assert_eq!(Two::refusal(r#"{"choices": 3}"#), "unknown setting `choices`: this policy takes none");
}

#[test]
fn none_and_one() {
    assert!(matches!(Two::new("", []).pick(&turn(0)), Verdict::Refuse { status: 503, .. }));
    assert_eq!(Two::new("", nodes(1)).pick(&turn(0)), Verdict::Node(0));
}

/// With loads all different, the most loaded never wins, and the rank r of n wins 2 (n - r) of n (n - 1) draws: that
/// holds only if both draws are even, independent and distinct.
#[test]
fn each_rank_wins_as_often_as_pairs_say() {
    let bench = Two::new("", nodes(8));
    let loads: Vec<u32> = (0..8).collect();
    let mut counts = vec![0u64; 8];
    for t in 0..200_000 {
        let picked = bench.sent(&Request { loads: &loads, ..turn(t) }).unwrap();
        counts[picked as usize] += 1;
    }
    let shares: Vec<f64> = (0..8).map(|rank| f64::from(7 - rank)).collect();
    let statistic = chi_square(&counts, &shares);
    assert!(statistic < chi_square_limit(6), "{statistic}: {counts:?}");
}

#[test]
fn equals_are_picked_evenly_whoever_is_down() {
    let mut bench = Two::new("", nodes(9));
    bench.stand(4, State::Down);
    let counts = bench.counts(0..200_000);
    let shares: Vec<f64> = (0..9).map(|node| if node == 4 { 0.0 } else { 1.0 }).collect();
    let statistic = chi_square(&counts, &shares);
    assert!(statistic < chi_square_limit(7), "{statistic}: {counts:?}");
}

/// Mitzenmacher's bound: with n balls in n bins the fullest bin holds about log2 log2 n, not log n / log log n.
#[test]
fn the_fullest_node_stays_near_the_average() {
    let bench = Two::new("", nodes(1000));
    let mut loads = vec![0u32; 1000];
    for t in 0..10_000 {
        let picked = bench.sent(&Request { loads: &loads, ..turn(t) }).unwrap();
        loads[picked as usize] += 1;
    }
    let fullest = *loads.iter().max().unwrap();
    assert!(fullest <= 10 + 4, "{fullest} where the average is 10");
}

proptest! {
    /// The two are distinct, so the loaded one of a pair is never picked.
    #[test]
    fn of_two_the_idle_one_wins(random in any::<u64>()) {
        let bench = Two::new("", nodes(2));
        let request = Request { random, loads: &[5, 4], ..turn(0) };
        prop_assert_eq!(bench.sent(&request), Some(1));
    }

    #[test]
    fn a_draw_is_below_the_count(bits in any::<u32>(), count in 1u64..100_000) {
        prop_assert!((draw(u64::from(bits), count) as u64) < count);
    }

    #[test]
    fn a_retry_walks_over_all(count in 1u32..20, t in any::<u64>()) {
        let walked = Two::new("", nodes(count)).walk(&turn(t));
        prop_assert_eq!(walked.len(), count as usize);
        prop_assert_eq!(walked.into_iter().collect::<BTreeSet<_>>().len(), count as usize);
    }
}
