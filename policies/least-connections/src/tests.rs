//! The least loaded node is picked, and nobody is favoured among equals.

use pointsman_policy::bench::{Bench, nodes, spread, tally, turn};
use pointsman_policy::{Needs, Request, State, Verdict};
use proptest::prelude::*;

use crate::LeastConnections;

type Least = Bench<LeastConnections>;

fn loaded(turn_number: u64, loads: &[u32]) -> Request<'_> {
    Request { loads, ..turn(turn_number) }
}

#[test]
fn it_needs_nothing_and_takes_no_settings() {
    assert_eq!(Least::new("", nodes(1)).needs(), &Needs::default());
    assert_eq!(Least::refusal(r#"{"a": 1}"#), "unknown setting `a`: this policy takes none");
}

#[test]
fn the_fewest_wins() {
    let bench = Least::new("", nodes(4));
    assert_eq!(bench.sent(&loaded(0, &[3, 1, 2, 9])), Some(1));
    assert_eq!(bench.sent(&loaded(7, &[3, 1, 2, 0])), Some(3));
    assert_eq!(bench.sent(&loaded(7, &[u32::MAX; 4])), Some(3));
}

/// Caddy's fault: equals of an earlier, higher count stayed among the candidates.
#[test]
fn a_lower_count_forgets_earlier_ties() {
    let bench = Least::new("", nodes(5));
    for t in 0..20 {
        assert_eq!(bench.sent(&loaded(t, &[4, 4, 4, 4, 1])), Some(4));
        let picked = bench.sent(&loaded(t, &[4, 4, 1, 4, 1])).unwrap();
        assert!([2, 4].contains(&picked));
    }
}

#[test]
fn a_node_that_is_down_is_no_candidate_however_idle() {
    let mut bench = Least::new("", nodes(3));
    bench.stand(0, State::Down);
    bench.stand(1, State::Draining);
    assert_eq!(bench.sent(&loaded(0, &[0, 0, 9])), Some(2));
    bench.stand(2, State::Down);
    assert!(matches!(bench.pick(&loaded(0, &[0, 0, 9])), Verdict::Refuse { status: 503, .. }));
}

#[test]
fn loads_that_are_not_told_count_as_none() {
    let bench = Least::new("", nodes(3));
    assert_eq!(bench.sent(&loaded(0, &[1])), Some(1));
    assert_eq!(bench.counts(0..30), [10, 10, 10]);
}

proptest! {
    #[test]
    fn what_is_picked_has_the_least_load(
        loads in prop::collection::vec(0u32..4, 1..30),
        down in any::<prop::sample::Index>(),
        t in any::<u64>(),
    ) {
        let mut bench = Least::new("", nodes(loads.len() as u32));
        bench.stand(down.index(loads.len()), State::Down);
        let lowest = bench.members().eligible().iter().map(|&node| loads[node as usize]).min();
        let picked = bench.sent(&loaded(t, &loads)).map(|node| loads[node as usize]);
        prop_assert_eq!(picked, lowest);
    }

    /// Over several blocks of counts, whoever is down, the least is found and its equals take turns.
    #[test]
    fn many_nodes(
        loads in prop::collection::vec(1u32..4, 60..300),
        down in prop::collection::vec(any::<prop::sample::Index>(), 0..100),
        start in 0u64..1 << 40,
    ) {
        let mut bench = Least::new("", nodes(loads.len() as u32));
        let mut states = vec![State::Up; loads.len()];
        for index in down {
            states[index.index(loads.len())] = State::Down;
        }
        bench.stand_all(&states);
        let eligible = bench.members().eligible().to_vec();
        let lowest = eligible.iter().map(|&node| loads[node as usize]).min().unwrap();
        let mut ties: Vec<u32> = eligible.into_iter().filter(|&node| loads[node as usize] == lowest).collect();
        let mut picked: Vec<u32> = (start..start + ties.len() as u64)
            .map(|t| bench.sent(&loaded(t, &loads)).unwrap())
            .collect();
        ties.sort_unstable();
        picked.sort_unstable();
        prop_assert_eq!(picked, ties);
    }

    /// Equals are picked equally often.
    #[test]
    fn ties_rotate(count in 1u32..20, load in 0u32..5, start in 0u64..1 << 40) {
        let bench = Least::new("", nodes(count));
        let loads = vec![load; count as usize];
        let picks = (start..start + 100).map(|t| bench.sent(&loaded(t, &loads)).unwrap());
        prop_assert!(spread(&tally(count as usize, picks), bench.members()) <= 1);
    }

    /// With requests that end in any order, no node is ever more than one above the least when it is picked.
    #[test]
    fn load_stays_level(count in 1u32..10, ends in prop::collection::vec(any::<prop::sample::Index>(), 1..200)) {
        let bench = Least::new("", nodes(count));
        let mut loads = vec![0u32; count as usize];
        for (t, end) in ends.into_iter().enumerate() {
            let picked = bench.sent(&loaded(t as u64, &loads)).unwrap() as usize;
            prop_assert_eq!(loads[picked], *loads.iter().min().unwrap());
            loads[picked] += 1;
            let done = end.index(loads.len());
            loads[done] = loads[done].saturating_sub(1);
        }
    }

    /// Retries go on to the next least loaded.
    #[test]
    fn a_retry_climbs(loads in prop::collection::vec(0u32..5, 1..15)) {
        let bench = Least::new("", nodes(loads.len() as u32));
        let walked: Vec<u32> = bench.walk(&loaded(3, &loads)).into_iter().map(|node| loads[node as usize]).collect();
        prop_assert_eq!(walked.len(), loads.len());
        prop_assert!(walked.is_sorted(), "{walked:?}");
    }
}
