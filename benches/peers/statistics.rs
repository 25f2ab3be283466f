//! Medians, and how far they may be trusted.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Resamples of one bootstrap.
pub(crate) const RESAMPLES: usize = 10_000;
/// The same figures give the same interval, today and in a year.
const SEED: u64 = 0x0070_6565_7273;
/// Ends of a 95% interval.
const TAILS: [f64; 2] = [0.025, 0.975];

/// A median and its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// By the percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13); `None`
    /// of no values. Of five values or fewer the interval is their range, which promises less than 95% (of five 93.75%).
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let median = median(values)?;
        let medians = resampled_medians(values, RESAMPLES, SEED);
        let [low, high] = TAILS.map(|share| quantile(&medians, share));
        Some(Self { median, low, high })
    }

    /// `0.85 [0.70, 0.91]`
    pub(crate) fn text(&self, digits: usize) -> String {
        format!("{:.digits$} [{:.digits$}, {:.digits$}]", self.median, self.low, self.high)
    }
}

/// A median with its extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// `None` of no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let least = values.iter().copied().min_by(f64::total_cmp)?;
        let most = values.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { median: median(values)?, least, most })
    }

    /// `23.9 (21.9 to 29.0)`
    pub(crate) fn text(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.most)
    }
}

/// The middle value, or the mean of the two middle ones.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    (!sorted.is_empty()).then(|| sort_and_halve(&mut sorted))
}

/// As [`median`], in place; `values` is not empty.
fn sort_and_halve(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Medians of samples drawn from `values` with replacement, each as large as it, in ascending order.
fn resampled_medians(values: &[f64], resamples: usize, seed: u64) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sample = vec![0.0; values.len()];
    let mut medians: Vec<f64> = (0..resamples)
        .map(|_| {
            sample.fill_with(|| values[random.gen_range(0..values.len())]);
            sort_and_halve(&mut sample)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    medians
}

/// The smallest value that at least `share` of them do not exceed; `sorted` is not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P(at most `most` of `n` draws succeed), each with probability `p`.
    fn binomial(n: u32, p: f64, most: u32) -> f64 {
        let choose = |k: u32| (0..k).fold(1.0, |ways, i| ways * f64::from(n - i) / f64::from(i + 1));
        (0..=most).map(|k| choose(k) * p.powi(k.cast_signed()) * (1.0 - p).powi((n - k).cast_signed())).sum()
    }

    #[test]
    fn a_median_of_few_and_of_many() {
        assert_eq!((median(&[]), Spread::of(&[]), Estimate::of(&[])), (None, None, None));
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
    }

    #[test]
    fn resampled_medians_are_spread_as_theory_says() {
        // Of n distinct values, n odd, a resample's median is at most the k-th smallest exactly when more than half of
        // its draws are: a binomial probability.
        let values: Vec<f64> = (1..=9).map(f64::from).collect();
        let medians = resampled_medians(&values, RESAMPLES, 1);
        for k in 1..=9_u32 {
            let theory = 1.0 - binomial(9, f64::from(k) / 9.0, 4);
            let seen = medians.iter().filter(|median| **median <= f64::from(k)).count() as f64 / RESAMPLES as f64;
            // Four standard errors of a share of 10,000 draws are 0.02 at most.
            assert!((seen - theory).abs() < 0.02, "at most {k}: {seen}, in theory {theory}");
        }
    }

    #[test]
    fn the_interval_ends_where_theory_puts_it() {
        // By the same formula the 2.5% and 97.5% points for seven values are the second smallest and second largest:
        // P(at most the smallest) = 0.0102, P(at most the second) = 0.104.
        let estimate = Estimate::of(&[7.0, 1.0, 6.0, 2.0, 5.0, 3.0, 4.0]);
        assert_eq!(estimate, Some(Estimate { median: 4.0, low: 2.0, high: 6.0 }));
    }

    #[test]
    fn equal_values_leave_no_doubt() {
        assert_eq!(Estimate::of(&[1.5; 6]), Some(Estimate { median: 1.5, low: 1.5, high: 1.5 }));
    }

    #[test]
    fn the_same_values_give_the_same_interval() {
        let values = [0.9, 1.1, 0.8, 1.3, 1.0, 0.7, 1.2, 1.05];
        assert_eq!(Estimate::of(&values), Estimate::of(&values));
        assert_ne!(resampled_medians(&values, 100, 1), resampled_medians(&values, 100, 2));
    }

    #[test]
    fn the_interval_covers_the_true_median_about_as_often_as_it_promises() {
        // Exponential with mean 1, a skewed distribution as those of times are: its median is ln 2.
        let mut random = StdRng::seed_from_u64(7);
        let (trials, mut covered) = (300, 0);
        for trial in 0..trials {
            let sample: Vec<f64> = (0..15).map(|_| -f64::ln(1.0 - random.r#gen::<f64>())).collect();
            let medians = resampled_medians(&sample, 500, trial);
            let [low, high] = TAILS.map(|share| quantile(&medians, share));
            covered += u32::from(low <= std::f64::consts::LN_2 && std::f64::consts::LN_2 <= high);
        }
        let share = f64::from(covered) / trials as f64;
        assert!((0.90..=0.99).contains(&share), "{share}");
    }
}
