//! A histogram of durations that costs three relaxed atomic additions and no search.
//!
//! Buckets are log-linear (as in HdrHistogram): each power of two is cut into four equal parts, so a bucket is at
//! most 25% wide relative to its lower edge and a quantile read from it is off by at most that, at p50 as at p99.9.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of one power of two.
const PARTS: usize = 4;

/// Which powers of two of a nanosecond a histogram tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// Everything below 2^`lowest` ns falls into the first bucket.
    pub(super) lowest: u32,
    /// Everything from 2^`highest` ns on falls beyond the last bucket (`+Inf`).
    pub(super) highest: u32,
}

impl Range {
    /// 2^15 ns = 33 µs to 2^36 ns = 69 s: a whole request.
    pub(super) const REQUEST: Self = Self { lowest: 15, highest: 36 };
    /// 2^6 ns = 64 ns to 2^24 ns = 17 ms: one pick.
    pub(super) const PICK: Self = Self { lowest: 6, highest: 24 };

    /// Finite buckets: one for all below, then four a power of two.
    fn buckets(self) -> usize {
        1 + PARTS * (self.highest - self.lowest) as usize
    }

    /// The bucket of a duration; `buckets()` is `+Inf`.
    fn index(self, nanos: u64) -> usize {
        // Prometheus' bounds are inclusive, powers of two are not: one nanosecond less puts an edge below itself.
        let value = nanos.saturating_sub(1);
        if value < 1 << self.lowest {
            return 0;
        }
        let octave = value.ilog2();
        if octave >= self.highest {
            return self.buckets();
        }
        let part = (value >> (octave - 2)) as usize & (PARTS - 1);
        1 + (octave - self.lowest) as usize * PARTS + part
    }

    /// The inclusive upper edge of a finite bucket in seconds.
    fn upper(self, index: usize) -> f64 {
        let nanos = match index.checked_sub(1) {
            None => 1_u64 << self.lowest,
            Some(i) => {
                let octave = self.lowest as usize + i / PARTS;
                ((PARTS + i % PARTS + 1) as u64) << (octave - 2)
            }
        };
        nanos as f64 / 1e9
    }
}

/// Counts of durations. Shared by all workers.
#[derive(Debug)]
pub(super) struct Histogram {
    range: Range,
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn new(range: Range) -> Self {
        let counts = (0..=range.buckets()).map(|_| AtomicU64::new(0)).collect();
        Self { range, counts, sum_ns: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[self.range.index(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What was counted, in the shape that Prometheus reads: cumulative, the count equal to the last bucket even while
    /// others record.
    pub(super) fn read(&self) -> Reading {
        let mut total = 0;
        let mut cumulative: Vec<(f64, u64)> = Vec::with_capacity(self.range.buckets());
        for (index, count) in self.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            if index < self.range.buckets() {
                cumulative.push((self.range.upper(index), total));
            }
        }
        Reading { cumulative, count: total, sum: self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9 }
    }
}

/// One reading of a histogram.
pub(super) struct Reading {
    /// (inclusive upper edge in seconds, durations up to it).
    pub(super) cumulative: Vec<(f64, u64)>,
    /// Durations in all.
    pub(super) count: u64,
    /// Their sum in seconds.
    pub(super) sum: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lands_below_its_upper_edge_and_above_the_one_before() {
        for range in [Range::REQUEST, Range::PICK] {
            for nanos in (0..40).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1, 5 << bit, 7 << bit]) {
                let index = range.index(nanos);
                let seconds = nanos as f64 / 1e9;
                if index < range.buckets() {
                    assert!(seconds <= range.upper(index), "{nanos} ns in bucket {index}");
                }
                if index > 0 {
                    assert!(seconds > range.upper(index - 1), "{nanos} ns in bucket {index}");
                }
            }
        }
    }

    #[test]
    fn edges_rise_by_at_most_a_quarter() {
        let range = Range::REQUEST;
        for index in 1..range.buckets() {
            let ratio = range.upper(index) / range.upper(index - 1);
            assert!(ratio > 1.1 && ratio <= 1.25 + 1e-9, "bucket {index} is {ratio} of the one before");
        }
        assert!(range.upper(0) < 50e-6 && range.upper(range.buckets() - 1) > 60.0);
    }

    #[test]
    fn what_is_too_long_is_counted_beyond_the_last_edge() {
        let histogram = Histogram::new(Range::PICK);
        histogram.record(Duration::from_nanos(3));
        histogram.record(Duration::from_secs(5));
        let reading = histogram.read();
        assert_eq!(reading.count, 2);
        assert_eq!(reading.cumulative.last().map(|&(_, count)| count), Some(1));
        assert_eq!(reading.cumulative.first().map(|&(_, count)| count), Some(1));
        assert!((reading.sum - 5.000_000_003).abs() < 1e-9);
    }
}
