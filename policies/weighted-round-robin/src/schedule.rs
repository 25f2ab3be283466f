//! The order of one cycle: Tijdeman's algorithm for the chairman assignment problem ("The chairman assignment
//! problem", Discrete Mathematics 32, 1980).
//!
//! The usual smooth weighted round robin (nginx) picks the node with the most credit; with many nodes of unlike weight
//! a small one can then wait for more than a whole request beyond its due. Tijdeman's rule keeps every prefix within
//! `1 - 1/(2n - 2)` of each node's share: a node may be picked once its due is at least `1/(2n - 2)` ahead of its count,
//! and among those the one that would first be too late is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The longest cycle, but for rounding and where there are more nodes than this: 256 KiB.
const LONGEST: u64 = 1 << 16;

/// No node.
const NONE: u32 = u32::MAX;

/// Nodes that may be picked from some step on: a list for each step, strung through `next`.
struct Waiting {
    first: Vec<u32>,
    next: Vec<u32>,
}

impl Waiting {
    fn add(&mut self, step: u64, at: u32) {
        self.next[at as usize] = std::mem::replace(&mut self.first[step as usize], at);
    }
}

/// One cycle of `(node, weight)`: a node for every turn. A weight of 0 counts as 1.
pub(crate) fn cycle(weights: &[(u32, u32)]) -> Vec<u32> {
    let weights = bounded(weights);
    let alike = weights.windows(2).all(|pair| pair[0].1 == pair[1].1);
    if alike {
        return weights.into_iter().map(|(node, _)| node).collect();
    }
    let total: u64 = weights.iter().map(|&(_, weight)| weight).sum();
    let parts = 2 * weights.len() as u64 - 2;
    // The step from which a node's pick number `count` (from 0) may be made.
    let from = |weight: u64, count: u64| (total * (count * parts + 1)).div_ceil(parts * weight);
    // When it would be too late, in units of `total / (parts * 2^29)` steps: equal deadlines come out equal, and the
    // rounding of others is far below what the bound leaves free. Of equals the smaller weight first (it has waited
    // longer), then the lower index.
    let due = |at: u32, weight: u64, count: u64| Reverse(((((count + 1) * parts - 1) << 29) / weight, weight, at));
    let mut waiting = Waiting { first: vec![NONE; total as usize + 2], next: vec![NONE; weights.len()] };
    (0..).zip(&weights).for_each(|(at, &(_, weight))| waiting.add(from(weight, 0), at));
    let mut counts = vec![0u64; weights.len()];
    let mut ready = BinaryHeap::with_capacity(weights.len());
    let mut cycle = Vec::with_capacity(total as usize);
    for step in 1..=total as usize {
        let mut arrived = waiting.first[step];
        while arrived != NONE {
            ready.push(due(arrived, weights[arrived as usize].1, counts[arrived as usize]));
            arrived = waiting.next[arrived as usize];
        }
        // The theorem says that somebody is always ready.
        let Some(Reverse((_, weight, at))) = ready.pop() else { break };
        cycle.push(weights[at as usize].0);
        let count = &mut counts[at as usize];
        *count += 1;
        if *count < weight {
            // Not before the next step: the node was picked at this one.
            waiting.add(from(weight, *count).max(step as u64 + 1), at);
        }
    }
    cycle
}

/// The weights without what they have in common, scaled down where their sum is over the bound; none below 1.
fn bounded(weights: &[(u32, u32)]) -> Vec<(u32, u64)> {
    let common = weights.iter().fold(0, |common, &(_, weight)| divisor(common, weight.max(1))).max(1);
    let mut reduced: Vec<(u32, u64)> =
        weights.iter().map(|&(node, weight)| (node, u64::from(weight.max(1) / common))).collect();
    let total: u64 = reduced.iter().map(|&(_, weight)| weight).sum();
    if total > LONGEST {
        for (_, weight) in &mut reduced {
            *weight = ((*weight * LONGEST + total / 2) / total).max(1);
        }
    }
    reduced
}

/// The greatest common divisor (Euclid).
fn divisor(a: u32, b: u32) -> u32 {
    if a == 0 { b } else { divisor(b % a, a) }
}

#[cfg(test)]
mod tests {
    use pointsman_policy::bench::{deviation, tally};
    use proptest::prelude::*;

    use super::{LONGEST, bounded, cycle};

    fn of(weights: &[u32]) -> Vec<u32> {
        cycle(&listed(weights))
    }

    fn listed(weights: &[u32]) -> Vec<(u32, u32)> {
        (0..).zip(weights.iter().copied()).collect()
    }

    fn wide(weights: &[u32]) -> Vec<u64> {
        weights.iter().map(|&weight| u64::from(weight)).collect()
    }

    #[test]
    fn five_one_one() {
        assert_eq!(of(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn alike_is_a_plain_round_robin() {
        assert_eq!(of(&[7, 7, 7]), [0, 1, 2]);
        assert_eq!(of(&[65_535]), [0]);
        assert_eq!(of(&[]), [0; 0]);
        assert_eq!(of(&[0, 0]), [0, 1]);
    }

    #[test]
    fn what_is_common_is_divided_out() {
        assert_eq!(of(&[50, 10, 10]), of(&[5, 1, 1]));
    }

    /// Weights on which the rule of nginx leaves a node more than a request behind: many small ones and one large.
    #[test]
    fn many_small_and_one_large() {
        let mut weights = vec![1; 60];
        weights.push(61);
        let worst = deviation(&of(&weights), &wide(&weights));
        assert!(worst < 1.0, "{worst}");
    }

    #[test]
    fn a_huge_sum_is_bounded_and_the_shares_stay() {
        let weights = [65_535, 65_534, 1, 30_000];
        let picks = of(&weights);
        assert!(picks.len() as u64 <= LONGEST + weights.len() as u64, "{}", picks.len());
        let counts = tally(4, picks.iter().copied());
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        for (count, weight) in counts.into_iter().zip(weights) {
            let due = f64::from(weight) / total * picks.len() as f64;
            assert!((count as f64 - due).abs() <= 1.0, "{count} instead of {due}");
        }
    }

    #[test]
    fn ten_thousand_nodes() {
        let weights: Vec<u32> = (0..10_000).map(|n| n % 10 + 1).collect();
        let picks = of(&weights);
        assert_eq!(tally(10_000, picks), wide(&weights));
    }

    proptest! {
        #[test]
        fn counts_are_exact_and_no_prefix_strays(weights in prop::collection::vec(1u32..40, 1..25)) {
            let picks = of(&weights);
            let reduced: Vec<u64> = bounded(&listed(&weights)).into_iter().map(|(_, weight)| weight).collect();
            prop_assert_eq!(tally(weights.len(), picks.iter().copied()), reduced.clone());
            let worst = deviation(&picks, &reduced);
            prop_assert!(worst < 1.0, "{worst}");
        }

        #[test]
        fn unlike_weights_do_not_stray_either(weights in prop::collection::vec(prop_oneof![1u32..4, 200u32..600], 2..20)) {
            let picks = of(&weights);
            let reduced: Vec<u64> = bounded(&listed(&weights)).into_iter().map(|(_, weight)| weight).collect();
            prop_assert_eq!(tally(weights.len(), picks.iter().copied()), reduced.clone());
            prop_assert!(deviation(&picks, &reduced) < 1.0);
        }
    }
}
