//! Tells when lines begin to be dropped, and when that ends, with how many they were: two lines, however many are dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

/// Lines dropped since none were.
#[derive(Debug, Default)]
pub(super) struct Dropping(AtomicU64);

impl Dropping {
    /// Lines were dropped. Whether they are the first.
    pub(super) fn add(&self, lines: u64) -> bool {
        self.0.fetch_add(lines, Ordering::Relaxed) == 0
    }

    /// After a round of the writer: it has ended where no line was dropped since the round before (`before`), unless the
    /// writer fails to write; `last`: there will be no other round. The lines dropped so far, for the next round.
    pub(super) fn look(&self, before: u64, failing: bool, last: bool) -> u64 {
        let now = self.0.load(Ordering::Relaxed);
        if let Some(lines) = self.ended(now, before, failing, last) {
            log::warn!("the access log: {lines} lines in all were dropped{}", if last { "" } else { "; now none are" });
            return 0;
        }
        now
    }

    fn ended(&self, now: u64, before: u64, failing: bool, last: bool) -> Option<u64> {
        let over = now > 0 && (last || (now == before && !failing));
        // A line that was dropped meanwhile belongs to those: the next round will see.
        let reset = || self.0.compare_exchange(now, 0, Ordering::Relaxed, Ordering::Relaxed);
        over.then(reset)?.ok()
    }
}

/// Says so from a thread of its own: what is full may be what this line goes to as well, and no request waits for that.
pub(super) fn say_it_begins() {
    let say = || log::warn!("the access log: lines are dropped, since what it is written to does not keep up");
    // Without a thread nothing is said before the end.
    let _ = Builder::new().name("access-log-full".into()).spawn(say);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_begins_it_and_a_round_without_any_ends_it() {
        let dropping = Dropping::default();
        assert!(dropping.add(1) && !dropping.add(2));
        assert_eq!(dropping.ended(3, 0, false, false), None, "lines were dropped in this round");
        assert_eq!(dropping.ended(3, 3, true, false), None, "nothing can be written yet");
        dropping.add(1);
        assert_eq!(dropping.ended(3, 3, false, false), None, "one more, just now");
        assert_eq!(dropping.ended(4, 4, false, false), Some(4));
        assert_eq!(dropping.ended(0, 0, false, true), None, "nothing to tell");
        assert!(dropping.add(5), "it begins anew");
        assert_eq!(dropping.ended(5, 0, true, true), Some(5), "at the end all is told");
    }
}
