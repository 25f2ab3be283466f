//! What strangers make the proxy say: a few lines a second of each kind. The metrics count what is not said.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::world::clock;

/// Lines of one kind within a second. Whoever wants to fill a disk opens connections faster than anybody reads lines.
const LINES: u32 = 4;
const WHILE: Duration = Duration::from_secs(1);

/// A client as the log names it.
pub(super) fn named(client: Option<SocketAddr>) -> impl fmt::Display {
    fmt::from_fn(move |to| match client {
        Some(address) => write!(to, "{address}"),
        None => to.write_str("a client over a Unix socket"),
    })
}

/// Lines of one kind.
#[derive(Debug)]
pub(super) struct Remarks(Mutex<State>);

#[derive(Debug)]
struct State {
    since: Duration,
    said: u32,
    held_back: u64,
}

impl Remarks {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State { since: Duration::ZERO, said: 0, held_back: 0 }))
    }

    /// Says it as a warning, or counts it where enough was said.
    pub(super) fn warn(&self, line: fmt::Arguments<'_>) {
        match self.turn(clock::now()) {
            Some(0) => log::warn!("{line}"),
            Some(held_back) => log::warn!("{line} ({held_back} more lines like this were held back)"),
            None => {}
        }
    }

    /// Whether a line may be said now, and how many were not since the last.
    fn turn(&self, now: Duration) -> Option<u64> {
        let mut state = self.0.lock();
        if now.saturating_sub(state.since) >= WHILE {
            (state.since, state.said) = (now, 0);
        }
        if state.said == LINES {
            state.held_back += 1;
            return None;
        }
        state.said += 1;
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_a_second_and_a_count() {
        let remarks = Remarks::new();
        let at = |ms| Duration::from_millis(5000 + ms);
        let said = (0..100_u64).filter(|ms| remarks.turn(at(*ms)) == Some(0)).count();
        assert_eq!(said, LINES as usize);
        assert_eq!(remarks.turn(at(999)), None, "the second is not over");
        assert_eq!(remarks.turn(at(1000)), Some(97), "96 of the hundred, and the one after");
        assert_eq!(remarks.turn(at(1001)), Some(0));
    }
}
