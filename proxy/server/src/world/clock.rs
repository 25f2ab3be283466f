//! The one place where the server reads a clock for `core`, which never does.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Monotonic time since the process first asked. All leases, health and exchanges run on it, so a jump of the wall
/// clock changes nothing.
pub fn now() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
