//! What each process held while it served.

use serde::Serialize;

use super::{NAME, Spread, Verdict};
use crate::rig::Holds;

/// What may be more in the last third of a life than in the middle one: in the first it warms up.
const SHARE: f64 = 0.10;
const LEAST_MIB: f64 = 8.0;
/// Of descriptors more, since connections to nodes come and go; what is left once all is quiet is judged more strictly.
const SHARE_OPEN: f64 = 0.25;
const LEAST_OPEN: f64 = 32.0;
/// A shorter life has no thirds worth the name, and in a shorter one still a slope is mostly noise.
const SHORT: usize = 9;
const LONG_S: f64 = 120.0;
/// MiB a minute, after the first third.
const SLOPE: f64 = 1.0;

/// A process from when it began to serve.
#[derive(Debug, Serialize)]
pub(super) struct Life {
    pub(super) pid: u32,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Sample {
    /// Seconds since the measurement began.
    at: f64,
    rss_mib: f64,
    descriptors: usize,
}

impl Life {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, samples: Vec::new() }
    }

    pub(super) fn saw(&mut self, at: f64, holds: Holds) {
        self.samples.push(Sample { at, rss_mib: holds.rss_kib / 1024.0, descriptors: holds.descriptors });
    }

    /// The medians of the middle and of the last third.
    fn thirds(&self, of: fn(&Sample) -> f64) -> Option<(f64, f64)> {
        let count = self.samples.len();
        let median = |part: &[Sample]| Spread::of(part.iter().map(of)).map(|spread| spread.median);
        let (middle, last) = (&self.samples[count / 3..count * 2 / 3], &self.samples[count * 2 / 3..]);
        (count >= SHORT).then_some(())?;
        median(middle).zip(median(last))
    }

    /// MiB a minute by least squares over all but the first third.
    fn slope(&self) -> Option<f64> {
        let warm = &self.samples[self.samples.len() / 3..];
        let length = warm.last()?.at - warm.first()?.at;
        (length >= LONG_S).then_some(())?;
        let count = warm.len() as f64;
        let mean = |of: fn(&Sample) -> f64| warm.iter().map(of).sum::<f64>() / count;
        let (time, rss) = (mean(|sample| sample.at), mean(|sample| sample.rss_mib));
        let covariance: f64 = warm.iter().map(|sample| (sample.at - time) * (sample.rss_mib - rss)).sum();
        let variance: f64 = warm.iter().map(|sample| (sample.at - time).powi(2)).sum();
        Some(covariance / variance * 60.0)
    }
}

/// Whether that is as good as the same.
fn is_flat(before: f64, after: f64) -> bool {
    after <= before + (before * SHARE).max(LEAST_MIB)
}

fn is_flat_open(before: f64, after: f64) -> bool {
    after <= before + (before * SHARE_OPEN).max(LEAST_OPEN)
}

pub(super) fn verdicts(lives: &[Life]) -> Vec<Verdict> {
    let rss: Vec<(f64, f64)> = lives.iter().filter_map(|life| life.thirds(|sample| sample.rss_mib)).collect();
    let open: Vec<(f64, f64)> =
        lives.iter().filter_map(|life| life.thirds(|sample| sample.descriptors as f64)).collect();
    let grown = |thirds: &[(f64, f64)]| thirds.iter().map(|(middle, last)| last - middle).collect::<Vec<_>>();
    let within = !rss.is_empty() && rss.iter().all(|(middle, last)| is_flat(*middle, *last));
    let ends: Vec<f64> = rss.iter().map(|(_, last)| *last).collect();
    let heirs = ends.first().zip(ends.last()).is_some_and(|(first, last)| is_flat(*first, *last));
    let slopes: Vec<f64> = lives.iter().filter_map(Life::slope).collect();
    let steady = slopes.iter().all(|slope| *slope <= SLOPE);
    let flat = format!("≤ the larger of {:.0}% and {LEAST_MIB:.0} MiB", SHARE * 100.0);
    let descriptors = !open.is_empty() && open.iter().all(|(middle, last)| is_flat_open(*middle, *last));
    vec![
        Verdict::judged(
            NAME,
            "RSS of a process, last third of its life over the middle one, MiB",
            &flat,
            grown(&rss),
            within,
        )
        .digits(1),
        Verdict::judged(NAME, "RSS of a process at its end, MiB", "the last as the first", ends, heirs).digits(1),
        Verdict::judged(
            NAME,
            &format!("slope of RSS after the first third, from {LONG_S:.0} s on, MiB a minute"),
            &format!("≤ {SLOPE:.0}"),
            slopes,
            steady,
        )
        .digits(2),
        Verdict::judged(
            NAME,
            "descriptors of a process, last third over the middle one",
            &format!("≤ the larger of {:.0}% and {LEAST_OPEN:.0}", SHARE_OPEN * 100.0),
            grown(&open),
            descriptors,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(rss_mib: impl Fn(f64) -> f64) -> Life {
        let sample = |second: i32| {
            let at = f64::from(second);
            Sample { at, rss_mib: rss_mib(at), descriptors: 40 }
        };
        Life { pid: 1, samples: (0..300).map(sample).collect() }
    }

    fn fine(lives: &[Life]) -> Vec<bool> {
        verdicts(lives).iter().map(|verdict| verdict.fine).collect()
    }

    #[test]
    fn warming_up_is_no_leak_and_a_leak_is_found() {
        let warms_up = life(|at| if at < 60.0 { at } else { 60.0 });
        assert_eq!(fine(&[warms_up]), [true; 4]);
        let leaks = life(|at| 60.0 + at / 60.0 * 6.0);
        assert_eq!(fine(&[leaks]), [false, true, false, true]);
        assert_eq!(fine(&[life(|_| 60.0), life(|_| 80.0)]), [true, false, true, true], "from process to process");
        assert!(!fine(&[])[0], "nothing was seen");
    }

    #[test]
    fn the_slope_is_by_the_minute() {
        let slope = life(|at| 10.0 + at / 60.0 * 3.0).slope().expect("long enough");
        assert!((slope - 3.0).abs() < 1e-6, "{slope}");
        let mut short = life(|_| 1.0);
        short.samples.truncate(100);
        assert_eq!(short.slope(), None);
    }
}
