//! The ring is the same everywhere, whatever it was built from in which order.

use pointsman_policy::Node;
use pointsman_policy::bench::{node, weighted};
use proptest::prelude::*;

use super::Ring;
use super::points::MOST;

fn led(nodes: &[Node], replicas: u32) -> Ring {
    let mut ring = of(nodes, replicas);
    ring.lead(usize::MAX, |_| true);
    ring
}

fn of(nodes: &[Node], replicas: u32) -> Ring {
    let mut ring = Ring::default();
    ring.take(nodes, replicas);
    ring
}

/// The share of the circle that each node owns.
fn arcs(ring: &Ring, count: usize) -> Vec<f64> {
    let mut arcs = vec![0.0; count];
    let mut before = *ring.points.at.last().unwrap();
    for (&at, &owner) in ring.points.at.iter().zip(&ring.points.owner) {
        arcs[owner as usize] += at.wrapping_sub(before) as f64 / 2f64.powi(64);
        before = at;
    }
    arcs
}

#[test]
fn an_empty_ring_leads_nowhere() {
    let ring = led(&[], 100);
    assert_eq!(ring.leader(7), None);
    assert_eq!(ring.preference(7, 3).next(), None);
}

#[test]
fn points_follow_the_weights() {
    let ring = led(&weighted(&[1, 2, 7]), 50);
    let count = |node| ring.points.owner.iter().filter(|&&owner| owner == node).count();
    assert_eq!([count(0), count(1), count(2)], [50, 100, 350]);
    assert!(ring.points.at.is_sorted());
}

/// With r points a share strays by about 1 in the square root of r: 100 points and five such spreads.
#[test]
fn arcs_follow_the_weights() {
    let weights = [1, 1, 2, 4, 8];
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let arcs = arcs(&led(&weighted(&weights), 100), 5);
    for (arc, weight) in arcs.iter().zip(weights) {
        let due = f64::from(weight) / total;
        let spread = 1.0 / (f64::from(weight) * 100.0).sqrt();
        assert!((arc / due - 1.0).abs() < 5.0 * spread, "weight {weight}: {arc} instead of {due}");
    }
}

#[test]
fn a_huge_ring_is_bounded() {
    for nodes in [weighted(&[65_535; 40]), weighted(&vec![1; 20_000])] {
        let ring = of(&nodes, 100);
        assert!(ring.points.at.len() as u64 <= MOST, "{} points", ring.points.at.len());
        let mut seen = vec![false; nodes.len()];
        ring.points.owner.iter().for_each(|&owner| seen[owner as usize] = true);
        assert!(seen.iter().all(|&seen| seen), "a node has no point");
    }
}

/// Places are frozen: a release that moved them would move every key of every user. Written down when first released.
#[test]
fn places_are_frozen() {
    let ring = led(&[node("a"), node("b"), node("c")], 100);
    let sample: String = (0..24u64).map(|n| ["a", "b", "c"][ring.leader(n << 59 | n << 7).unwrap() as usize]).collect();
    assert_eq!(sample, FROZEN);
}

const FROZEN: &str = "caacbabccccbcbcbababcccc";

proptest! {
    /// However the list of nodes came about, the ring is the one that is built of it at once.
    #[test]
    fn a_ring_that_changed_is_the_one_built_anew(
        lists in prop::collection::vec(
            (prop::collection::btree_map(0u8..12, 1u32..4, 0..10), any::<prop::sample::Index>()),
            1..6,
        ),
    ) {
        let mut changed = Ring::default();
        for (list, turned) in lists {
            let mut nodes: Vec<Node> =
                list.into_iter().map(|(id, weight)| Node { weight, ..node(&format!("node-{id}")) }).collect();
            let middle = turned.index(nodes.len() + 1);
            nodes.rotate_left(middle);
            changed.take(&nodes, 7);
            changed.lead(usize::MAX, |node| node % 3 != 0);
            let mut anew = of(&nodes, 7);
            anew.lead(usize::MAX, |node| node % 3 != 0);
            prop_assert_eq!(&changed.points.at, &anew.points.at);
            prop_assert_eq!(&changed.points.owner, &anew.points.owner);
            prop_assert_eq!(&changed.slices, &anew.slices);
            prop_assert_eq!(&changed.leader, &anew.leader);
        }
    }

    /// The table finds what a plain search finds.
    #[test]
    fn slices_find_the_next_point(
        weights in prop::collection::vec(1u32..5, 1..12),
        replicas in 1u32..40,
        hashes in prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 1..50),
    ) {
        let ring = led(&weighted(&weights), replicas);
        let on_points = ring.points.at.iter().flat_map(|&at| [at.wrapping_sub(1), at, at.wrapping_add(1)]);
        for hash in hashes.into_iter().chain(on_points) {
            let plain = ring.points.at.iter().position(|&at| at >= hash).unwrap_or(0);
            prop_assert_eq!(ring.point(hash), plain);
        }
    }

    /// Who leads is the first live node of the preference list, at every point, for every reach.
    #[test]
    fn the_leader_is_the_first_live_one(
        weights in prop::collection::vec(1u32..4, 1..10),
        down in prop::collection::vec(any::<bool>(), 10),
        reach in prop_oneof![1usize..6, Just(usize::MAX)],
        hashes in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        let mut ring = of(&weighted(&weights), 10);
        let live = |node: u32| !down[node as usize];
        ring.lead(reach, live);
        for hash in hashes {
            prop_assert_eq!(ring.leader(hash), ring.preference(hash, reach).find(|&node| live(node)));
            let mut list: Vec<u32> = ring.preference(hash, reach).collect();
            if reach < weights.len() {
                prop_assert_eq!(list.len(), reach);
            }
            list.sort_unstable();
            list.dedup();
            prop_assert_eq!(list.len(), reach.min(weights.len()));
        }
    }
}
