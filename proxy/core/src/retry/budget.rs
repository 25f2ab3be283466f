//! Bounds retries to a share of the requests of the last ten seconds, so that a service on its knees is not kicked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Seconds that count.
const WINDOW: u64 = 10;
/// Retries a second that are granted whatever the ratio, so that a service with little traffic retries at all.
const FLOOR: u64 = 10;
/// Buckets: the window, and room so that the oldest that counts is never the one being written.
const BUCKETS: usize = 16;

/// Requests and retries of the last ten seconds, counted without locks. Shared by all workers.
///
/// Counts may be off by the few that race with the turn of a second; a budget is a brake, not an account.
#[derive(Debug, Default)]
pub struct RetryBudget {
    requests: Seconds,
    retries: Seconds,
}

impl RetryBudget {
    /// A budget that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request came in.
    pub fn request(&self, now: Duration) {
        self.requests.add(now.as_secs());
    }

    /// Takes one retry, if `ratio` of the requests of the last 10 s plus 10 a second leave one.
    pub fn take(&self, ratio: f64, now: Duration) -> bool {
        let now = now.as_secs();
        let granted = (self.requests.sum(now) as f64 * ratio) as u64 + FLOOR * WINDOW;
        let free = self.retries.sum(now) < granted;
        if free {
            self.retries.add(now);
        }
        free
    }
}

/// One count a second. A bucket holds the second in its upper half and the count in its lower half, so that both
/// change at once.
#[derive(Debug, Default)]
struct Seconds {
    buckets: [Bucket; BUCKETS],
}

/// Aligned so that the bucket in use shares no cache line with anything else that is written.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket(AtomicU64);

impl Seconds {
    fn add(&self, second: u64) {
        let bucket = &self.buckets[second as usize % BUCKETS].0;
        let stamp = (second & u64::from(u32::MAX)) << 32;
        let seen = bucket.load(Ordering::Relaxed);
        let fresh = || bucket.compare_exchange(seen, stamp | 1, Ordering::Relaxed, Ordering::Relaxed).is_err();
        // Either it is this second's already, or another worker made it so.
        if seen >> 32 == stamp >> 32 || fresh() {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self, now: u64) -> u64 {
        let counted = |bucket: &Bucket| {
            let value = bucket.0.load(Ordering::Relaxed);
            let age = (now & u64::from(u32::MAX)).wrapping_sub(value >> 32);
            if age < WINDOW { value & u64::from(u32::MAX) } else { 0 }
        };
        self.buckets.iter().map(counted).sum()
    }
}

#[cfg(test)]
mod tests;
