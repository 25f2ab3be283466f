//! The last 1,024 notices, so that a reader that was away picks up where it stopped, or is told what it missed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::world::bus::Notice;

/// How many notices are kept: as many as the bus itself holds.
pub(super) const KEPT: usize = 1024;

/// What came.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// This.
    Notice(Arc<Notice>),
    /// So many notices were lost on the way here.
    Lost(u64),
}

impl Entry {
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Notice(notice) => Some(notice.seq),
            Self::Lost(_) => None,
        }
    }
}

/// Notices in order of arrival. A *place* counts arrivals from 0 and, unlike `seq`, never runs backwards: two threads
/// that tell at once may be heard in the other order than they were numbered.
#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: VecDeque<Entry>,
    next: u64,
    last_reload: Option<Arc<Notice>>,
}

impl Ring {
    /// Keeps one more, and lets the oldest go.
    pub(super) fn push(&mut self, notice: Notice) {
        let notice = Arc::new(notice);
        if notice.kind.starts_with("reload") {
            self.last_reload = Some(Arc::clone(&notice));
        }
        self.keep(Entry::Notice(notice));
    }

    /// So many notices are missing here.
    pub(super) fn lost(&mut self, notices: u64) {
        self.keep(Entry::Lost(notices));
    }

    fn keep(&mut self, entry: Entry) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(entry);
        self.next += 1;
    }

    /// The place that the next notice will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The last notice of a reload, however long ago.
    pub(super) fn last_reload(&self) -> Option<Arc<Notice>> {
        self.last_reload.clone()
    }

    /// The place of the oldest that is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.next - self.kept.len() as u64
    }

    /// Where a reader goes on that has seen the notice numbered `seq`. `None`: no notice had that number yet.
    pub(super) fn after(&self, seq: u64) -> Option<u64> {
        let oldest = self.oldest();
        if seq == 0 {
            return Some(0);
        }
        if let Some(index) = self.kept.iter().position(|entry| entry.seq() == Some(seq)) {
            return Some(oldest + index as u64 + 1);
        }
        let newest = self.kept.iter().filter_map(Entry::seq).max().unwrap_or(0);
        // Seen, but gone from the ring: what lies between is told as missed.
        (seq <= newest).then_some(seq.min(oldest))
    }

    /// What came at `place` and later, and how many of those are gone already.
    pub(super) fn since(&self, place: u64) -> (u64, Vec<Entry>) {
        let oldest = self.oldest();
        let missed = oldest.saturating_sub(place);
        let skip = usize::try_from(place.saturating_sub(oldest)).unwrap_or(usize::MAX);
        (missed, self.kept.iter().skip(skip).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(seq: u64, kind: &'static str) -> Notice {
        let (service, node, message) = (String::new(), String::new(), String::new());
        Notice { seq, at_ms: 0, kind, service, node, message, epoch: None, why: None }
    }

    fn ring(seqs: impl IntoIterator<Item = u64>) -> Ring {
        let mut ring = Ring::default();
        seqs.into_iter().for_each(|seq| ring.push(notice(seq, "node-up")));
        ring
    }

    fn place(ring: &Ring, seq: u64) -> u64 {
        ring.after(seq).expect("a number that was given")
    }

    fn seqs(ring: &Ring, place: u64) -> (u64, Vec<u64>) {
        let (missed, notices) = ring.since(place);
        (missed, notices.iter().map(|entry| entry.seq().unwrap_or(0)).collect())
    }

    #[test]
    fn a_reader_goes_on_after_what_it_saw() {
        let ring = ring(1..=5);
        assert_eq!(seqs(&ring, place(&ring, 3)), (0, vec![4, 5]));
        assert_eq!(seqs(&ring, place(&ring, 5)), (0, vec![]));
        assert_eq!(seqs(&ring, place(&ring, 0)), (0, vec![1, 2, 3, 4, 5]));
    }

    #[test]
    fn notices_heard_out_of_order_are_not_lost() {
        let ring = ring([1, 3, 2, 4]);
        assert_eq!(seqs(&ring, place(&ring, 3)), (0, vec![2, 4]));
        assert_eq!(seqs(&ring, place(&ring, 2)), (0, vec![4]));
    }

    #[test]
    fn what_is_gone_is_counted() {
        let ring = ring(1..=KEPT as u64 + 10);
        let (missed, rest) = seqs(&ring, place(&ring, 4));
        assert_eq!((missed, rest.len(), rest[0]), (6, KEPT, 11));
        assert_eq!(seqs(&ring, place(&ring, 0)).0, 10);
    }

    #[test]
    fn a_number_that_was_never_given_is_told_apart() {
        assert_eq!(ring(1..=3).after(900), None);
        assert_eq!(Ring::default().after(900), None);
    }

    #[test]
    fn what_was_lost_on_the_way_stands_in_its_place() {
        let mut ring = ring(1..=2);
        ring.lost(5);
        ring.push(notice(8, "node-up"));
        assert_eq!(seqs(&ring, place(&ring, 1)), (0, vec![2, 0, 8]));
        assert_eq!(seqs(&ring, place(&ring, 2)), (0, vec![0, 8]));
        assert_eq!(seqs(&ring, place(&ring, 8)), (0, vec![]));
    }

    #[test]
    fn the_last_reload_outlives_the_ring() {
        let mut ring = ring(1..=1);
        assert!(ring.last_reload().is_none());
        ring.push(notice(2, "reload-refused"));
        (3..3 + 2 * KEPT as u64).for_each(|seq| ring.push(notice(seq, "node-up")));
        assert_eq!(ring.last_reload().expect("kept").seq, 2);
    }
}
