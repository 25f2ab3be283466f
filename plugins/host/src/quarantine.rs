//! When a module has failed often enough. Pure: time is an argument.

/// Faults that a module may have: `faults` of them within `window_ms` milliseconds quarantine it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Faults that are too many.
    pub faults: usize,
    /// Within so many milliseconds of [`now_ms`](pointsman_core::pick::policy::Ask::now_ms).
    pub window_ms: u64,
}

impl Default for Tolerance {
    /// Five faults within ten seconds.
    fn default() -> Self {
        Self { faults: 5, window_ms: 10_000 }
    }
}

/// The times of the latest faults.
#[derive(Debug)]
pub(crate) struct Strikes {
    tolerance: Tolerance,
    times: std::collections::VecDeque<u64>,
}

impl Strikes {
    pub(crate) fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, times: std::collections::VecDeque::with_capacity(tolerance.faults.min(1024)) }
    }

    /// Notes a fault at `now_ms`; answers whether that is one too many. Workers' clocks may be slightly apart, so times
    /// need not ascend.
    pub(crate) fn strike(&mut self, now_ms: u64) -> bool {
        let window = self.tolerance.window_ms;
        self.times.retain(|at| now_ms.saturating_sub(*at) <= window);
        if self.times.len() >= self.tolerance.faults {
            self.times.pop_front();
        }
        self.times.push_back(now_ms);
        self.times.len() >= self.tolerance.faults
    }

    pub(crate) fn forget(&mut self) {
        self.times.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strikes(faults: usize, window_ms: u64) -> Strikes {
        Strikes::new(Tolerance { faults, window_ms })
    }

    #[test]
    fn five_within_ten_seconds() {
        let mut s = Strikes::new(Tolerance::default());
        for at in [0, 2_500, 5_000, 7_500] {
            assert!(!s.strike(at));
        }
        assert!(s.strike(10_000));
    }

    #[test]
    fn rare_faults_are_forgiven() {
        let mut s = Strikes::new(Tolerance::default());
        assert!((0..1_000).all(|i| !s.strike(i * 2_501)));
    }

    #[test]
    fn a_new_version_starts_clean() {
        let mut s = strikes(2, 10);
        assert!(!s.strike(0));
        s.forget();
        assert!(!s.strike(1));
    }

    proptest! {
        /// Quarantine is exactly "as many faults as tolerated, the window long, ending now".
        #[test]
        fn agrees_with_counting(mut times in prop::collection::vec(0u64..200, 1..60), faults in 1usize..6, window in 0u64..50) {
            times.sort_unstable();
            let mut s = strikes(faults, window);
            for (i, now) in times.iter().enumerate() {
                let within = times[..=i].iter().filter(|at| now - **at <= window).count();
                prop_assert_eq!(s.strike(*now), within >= faults);
            }
        }
    }
}
