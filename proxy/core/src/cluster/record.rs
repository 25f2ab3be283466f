//! How requests to one node went of late: written by whoever carries them, read by the single writer, who takes a node
//! out that fails too often (`roster::ejection`).

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use pointsman_config::plan::RetryOn;

use crate::retry::{self, FailureClass};

/// How a request to a node went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It brought no answer, or one that broke off.
    Failed(FailureClass),
    /// A whole answer with this status.
    Answered(u16),
}

/// Plain atomics. A request that went well only reads, unless one before it failed.
#[derive(Debug, Default)]
pub struct Record {
    /// Failures in a row.
    run: AtomicU32,
    /// The longest run since somebody last looked: a run that ends before it is seen still counts.
    peak: AtomicU32,
    failed: AtomicU64,
    /// Whether the last failure was that no connection could be made.
    unreachable: AtomicBool,
}

impl Record {
    /// Writes down how a request went, where `failures` says what counts as one. True: it counts as one.
    pub fn note(&self, failures: &[RetryOn], outcome: Outcome) -> bool {
        let class = match outcome {
            Outcome::Answered(status) | Outcome::Failed(FailureClass::Status(status)) => FailureClass::Status(status),
            Outcome::Failed(class) => class,
        };
        let failed = retry::named(failures, class);
        if failed {
            self.failed(class == FailureClass::Connect);
        } else if matches!(class, FailureClass::Status(_)) {
            self.passed();
        }
        failed
    }

    /// A request went well.
    pub fn passed(&self) {
        if self.run.load(Ordering::Relaxed) != 0 {
            self.run.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed. `unreachable`: because no connection could be made.
    pub fn failed(&self, unreachable: bool) {
        self.unreachable.store(unreachable, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
        let run = self.run.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(run, Ordering::Relaxed);
    }

    /// Failures so far.
    pub(super) fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The longest run of failures since this was last asked.
    pub(super) fn take_peak(&self) -> u32 {
        self.peak.swap(0, Ordering::Relaxed)
    }

    pub(super) fn unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Relaxed)
    }

    /// What was is forgiven.
    pub(super) fn forgive(&self) {
        self.run.store(0, Ordering::Relaxed);
        self.peak.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: [RetryOn; 3] = [RetryOn::Connect, RetryOn::Reset, RetryOn::Status(503)];

    /// Failures in all, and the longest row of them.
    fn told(outcomes: &[Outcome]) -> (u64, u32) {
        let record = Record::default();
        let failed = outcomes.iter().filter(|outcome| record.note(&ON, **outcome)).count();
        assert_eq!(failed as u64, record.failures());
        (record.failures(), record.take_peak())
    }

    #[test]
    fn what_is_named_counts_and_a_malformed_answer_is_a_broken_connection() {
        use FailureClass::{Connect, Malformed, Reset, Status};
        let outcomes = [Connect, Reset, Malformed, Status(503)].map(Outcome::Failed);
        assert_eq!(told(&outcomes), (4, 4));
        assert_eq!(told(&[Outcome::Answered(503)]), (1, 1));
    }

    #[test]
    fn an_answer_that_is_not_named_breaks_the_row_and_silence_that_is_not_named_does_not() {
        let failed = Outcome::Failed(FailureClass::Reset);
        assert_eq!(told(&[failed, Outcome::Answered(500), failed]), (2, 1));
        assert_eq!(told(&[failed, Outcome::Failed(FailureClass::Timeout), failed]), (2, 2));
    }

    #[test]
    fn looking_forgets_the_row_that_was_but_not_the_one_that_goes_on() {
        let record = Record::default();
        (0..3).for_each(|_| record.failed(false));
        assert_eq!((record.take_peak(), record.take_peak()), (3, 0));
        record.failed(true);
        assert_eq!(record.take_peak(), 4);
        assert!(record.unreachable());
        record.forgive();
        record.failed(false);
        assert_eq!(record.take_peak(), 1);
    }
}
