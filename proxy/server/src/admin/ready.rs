//! Whether the proxy is ready for traffic. `app` sets it, `/readyz` reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const READY: u8 = 1;
const DRAINING: u8 = 2;

/// What `/readyz` goes by. Cloning is cheap; all clones are one flag.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    state: Arc<AtomicU8>,
}

impl Ready {
    /// `true` once every listener accepts and every service had its first checks; `false` when the proxy finishes
    /// what it holds and goes.
    pub fn set(&self, ready: bool) {
        self.state.store(if ready { READY } else { DRAINING }, Ordering::Release);
    }

    /// As `set(true)`, unless it finishes and goes already.
    pub fn begin(&self) {
        // An error means that it is in another state, where it stays.
        let _ = self.state.compare_exchange(0, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The process that this one takes over from is ready, or is not: whoever asks must not see the change.
    pub fn inherit(&self, ready: bool) {
        if ready {
            self.begin();
        }
    }

    /// Whether `/readyz` answers 200.
    pub fn is_ready(&self) -> bool {
        self.why_not().is_none()
    }

    /// Why it does not, in a sentence.
    pub(super) fn why_not(&self) -> Option<&'static str> {
        match self.state.load(Ordering::Acquire) {
            READY => None,
            DRAINING => Some("the proxy is draining: it finishes what it holds and takes no new work"),
            // 0, as it is made.
            _ => Some("the proxy is starting: not every listener accepts, or not every service had its first checks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ready;

    #[test]
    fn is_ready_only_between_the_first_checks_and_the_drain() {
        let ready = Ready::default();
        assert!(ready.why_not().expect("not ready").contains("starting"));
        ready.clone().set(true);
        assert!(ready.is_ready());
        ready.set(false);
        assert!(ready.why_not().expect("not ready").contains("draining"));
    }
}
