//! The last 1,024 notices, so that a reader that was away picks up where it stopped.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::world::bus::Notice;

/// How many notices are kept: as many as the bus itself holds.
pub(super) const KEPT: usize = 1024;

/// Notices in order of arrival. A *place* counts arrivals from 0 and, unlike `seq`, never runs backwards: two threads
/// that tell at once may be heard in the other order than they were numbered.
#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: VecDeque<Arc<Notice>>,
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
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(notice);
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

    /// Where a reader goes on that has seen the notice numbered `seq`. A number from another life of the process is
    /// above all of ours: that reader has seen nothing.
    pub(super) fn after(&self, seq: u64) -> u64 {
        let oldest = self.next - self.kept.len() as u64;
        if let Some(index) = self.kept.iter().position(|notice| notice.seq == seq) {
            return oldest + index as u64 + 1;
        }
        match self.kept.iter().map(|notice| notice.seq).max() {
            Some(newest) if seq > newest => oldest,
            // Seen, but gone from the ring: what lies between is told as missed.
            Some(_) if oldest > 0 => seq.min(oldest),
            _ => oldest,
        }
    }

    /// What came at `place` and later, and how many of those are gone already.
    pub(super) fn since(&self, place: u64) -> (u64, Vec<Arc<Notice>>) {
        let oldest = self.next - self.kept.len() as u64;
        let missed = oldest.saturating_sub(place);
        let skip = usize::try_from(place.saturating_sub(oldest)).unwrap_or(usize::MAX);
        (missed, self.kept.iter().skip(skip).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(seq: u64, kind: &'static str) -> Notice {
        Notice { seq, at_ms: 0, kind, service: String::new(), node: String::new(), message: String::new() }
    }

    fn ring(seqs: impl IntoIterator<Item = u64>) -> Ring {
        let mut ring = Ring::default();
        seqs.into_iter().for_each(|seq| ring.push(notice(seq, "node-up")));
        ring
    }

    fn seqs(ring: &Ring, place: u64) -> (u64, Vec<u64>) {
        let (missed, notices) = ring.since(place);
        (missed, notices.iter().map(|notice| notice.seq).collect())
    }

    #[test]
    fn a_reader_goes_on_after_what_it_saw() {
        let ring = ring(1..=5);
        assert_eq!(seqs(&ring, ring.after(3)), (0, vec![4, 5]));
        assert_eq!(seqs(&ring, ring.after(5)), (0, vec![]));
        assert_eq!(seqs(&ring, ring.after(0)), (0, vec![1, 2, 3, 4, 5]));
    }

    #[test]
    fn notices_heard_out_of_order_are_not_lost() {
        let ring = ring([1, 3, 2, 4]);
        assert_eq!(seqs(&ring, ring.after(3)), (0, vec![2, 4]));
        assert_eq!(seqs(&ring, ring.after(2)), (0, vec![4]));
    }

    #[test]
    fn what_is_gone_is_counted() {
        let ring = ring(1..=KEPT as u64 + 10);
        let (missed, rest) = seqs(&ring, ring.after(4));
        assert_eq!((missed, rest.len(), rest[0]), (6, KEPT, 11));
        assert_eq!(seqs(&ring, ring.after(0)).0, 10);
    }

    #[test]
    fn a_number_of_an_earlier_process_starts_over() {
        let ring = ring(1..=3);
        assert_eq!(seqs(&ring, ring.after(900)), (0, vec![1, 2, 3]));
        assert_eq!(Ring::default().after(900), 0);
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
