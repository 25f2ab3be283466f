//! Descriptors that clients leave to others: connections to nodes, the admin API and its probes, files.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Kept back of the limit: this share of it, within these bounds.
const SHARE: u64 = 8;
const LEAST: u64 = 32;
const MOST: u64 = 1024;

/// Whether it was told that clients are turned away; told again once some were let in.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether a connection that was just accepted has taken of the reserve. Asked at each, since the limit may be changed from
/// outside (prlimit(1)).
pub(super) fn is_touched(socket: &impl AsRawFd) -> bool {
    let limit = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
    // The kernel gives the lowest number that is free (open(2)), so the number says how many are open at least.
    let touched = u64::try_from(socket.as_raw_fd()).is_ok_and(|number| is_kept(number, limit));
    if TOLD.swap(touched, Ordering::Relaxed) != touched && touched {
        log::warn!(
            "accept: {limit} descriptors may be open, and clients have all but the reserve: more are closed at once"
        );
    }
    touched
}

fn is_kept(number: u64, limit: u64) -> bool {
    let kept = (limit / SHARE).clamp(LEAST, MOST);
    number >= limit.saturating_sub(kept)
}

#[cfg(test)]
mod tests {
    use super::is_kept;

    #[test]
    fn the_last_descriptors_are_kept() {
        assert!(!is_kept(895, 1024) && is_kept(896, 1024));
        assert!(!is_kept(67, 100) && is_kept(68, 100));
        assert!(!is_kept(1_000_000 - 1025, 1_000_000) && is_kept(1_000_000 - 1024, 1_000_000));
        assert!(is_kept(0, 20));
        assert!(!is_kept(1 << 20, u64::MAX));
    }
}
