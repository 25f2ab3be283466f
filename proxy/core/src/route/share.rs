//! A share of requests, drawn by what they are and not by chance: the same ones, wherever they are seen.

use crate::key::stable_hash;

/// Which requests are among a share.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    seed: u64,
    /// A hash below this is among them; `None`: every one is.
    below: Option<u64>,
}

impl Share {
    /// `part`: from 0 to 1. Shares with different names are drawn independently of each other.
    pub fn new(name: &str, part: f64) -> Self {
        // 2^64 is exact as a float, and the product below it for any part below 1.
        let below = (part < 1.0).then_some((part.max(0.0) * 18_446_744_073_709_551_616.0) as u64);
        Self { seed: stable_hash(name), below }
    }

    /// Whether the request with this id is among them.
    pub fn holds(&self, id: &str) -> bool {
        self.below.is_none_or(|below| mix(self.seed ^ stable_hash(id)) < below)
    }
}

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014): one bit of difference changes half of the bits.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str, part: f64) -> Vec<bool> {
        let share = Share::new(name, part);
        (0..100_000).map(|id: u32| share.holds(&format!("{id:032x}"))).collect()
    }

    fn count(held: &[bool]) -> usize {
        held.iter().filter(|held| **held).count()
    }

    #[test]
    fn none_and_all_are_exact_and_a_part_is_a_part() {
        assert_eq!(count(&held("s", 0.0)), 0);
        assert_eq!(count(&held("s", 1.0)), 100_000);
        for (part, expected, deviation) in [(0.01, 1000.0, 31.5), (0.1, 10_000.0, 94.9), (0.5, 50_000.0, 158.2)] {
            let found = count(&held("s", part)) as f64;
            assert!((found - expected).abs() < 5.0 * deviation, "{found} of {expected}");
        }
    }

    #[test]
    fn the_same_requests_are_held_again_and_a_larger_share_holds_them_too() {
        let (small, large) = (held("s", 0.1), held("s", 0.3));
        assert_eq!(small, held("s", 0.1));
        assert!(small.iter().zip(&large).all(|(small, large)| !small || *large));
    }

    #[test]
    fn shares_of_other_names_are_others() {
        let both = held("a", 0.5).iter().zip(held("b", 0.5)).filter(|(a, b)| **a && *b).count() as f64;
        // A quarter, within five standard deviations (137 each).
        assert!((both - 25_000.0).abs() < 685.0, "{both}");
    }
}
