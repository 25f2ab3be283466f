//! How far a load is, for others to watch while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Requests that ended so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All of them.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
}

/// Written by the load thread alone, read by anybody.
#[derive(Debug)]
pub(super) struct Gauge {
    done: AtomicU64,
    failed: AtomicU64,
    /// The lowest count that somebody waits for; waking costs nothing until it is reached.
    milestone: AtomicU64,
    passed: Notify,
    stop: AtomicBool,
    ended: AtomicBool,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            milestone: AtomicU64::new(u64::MAX),
            passed: Notify::new(),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }
}

impl Gauge {
    pub(super) fn counts(&self) -> Counts {
        // `failed` first: a reader may then miss a failure of the last instant, but never sees more failed than done.
        let failed = self.failed.load(Ordering::SeqCst);
        Counts { done: self.done.load(Ordering::SeqCst), failed }
    }

    pub(super) fn count(&self, failed: bool) {
        let done = self.done.load(Ordering::Relaxed) + 1;
        self.done.store(done, Ordering::SeqCst);
        if failed {
            self.failed.store(self.failed.load(Ordering::Relaxed) + 1, Ordering::SeqCst);
        }
        if done >= self.milestone.load(Ordering::SeqCst) {
            self.milestone.store(u64::MAX, Ordering::SeqCst);
            self.passed.notify_waiters();
        }
    }

    pub(super) async fn reached(&self, requests: u64) {
        loop {
            let passed = self.passed.notified();
            tokio::pin!(passed);
            // Enrolled before the count is read, so a wake-up between the two is not lost.
            passed.as_mut().enable();
            self.milestone.fetch_min(requests, Ordering::SeqCst);
            if self.counts().done >= requests || self.ended.load(Ordering::SeqCst) {
                return;
            }
            passed.await;
        }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.passed.notify_waiters();
    }
}
