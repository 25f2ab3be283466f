//! How a worker stops: from when on its connections end, and until when they may last.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::world::clock;

/// How what runs is to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// What still runs after this is cut.
    pub(super) grace: Duration,
    /// How long an idle connection is kept open for a last request: a client may be sending one as we decide.
    pub(super) idle: Duration,
}

/// Whether a worker stops, shared by its connections.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    until: OnceLock<Duration>,
    closes_idle: AtomicBool,
}

impl Stopping {
    /// From now on each connection ends with the answer that it is sent next.
    pub(super) fn begin(&self, grace: Duration) {
        // A worker is told once.
        let _ = self.until.set(clock::now() + grace);
    }

    /// From now on connections end on which nothing is under way.
    pub(super) fn close_idle(&self) {
        self.closes_idle.store(true, Ordering::Relaxed);
    }

    /// When what still runs is cut, on the clock of [`clock::now`]; `None`: nobody stops.
    pub(super) fn until(&self) -> Option<Duration> {
        self.until.get().copied()
    }

    pub(super) fn closes_idle(&self) -> bool {
        self.closes_idle.load(Ordering::Relaxed)
    }
}
