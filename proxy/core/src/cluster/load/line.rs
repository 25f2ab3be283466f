//! Those who wait for a permit of one node, first come first served.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;

use super::{Mark, Permit};

/// A place in the line.
#[derive(Debug)]
pub struct Place {
    /// Rises from front to back.
    number: u64,
    mark: Mark,
}

impl Place {
    /// How it stands.
    pub(super) fn permit(&self) -> Permit {
        self.mark.get()
    }
}

#[derive(Debug, Default)]
pub(super) struct Line {
    next: u64,
    waiting: VecDeque<(Arc<Place>, Option<Waker>)>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// A place at the back.
    pub(super) fn join(&mut self) -> Arc<Place> {
        let place = Arc::new(Place { number: self.next, mark: Mark::default() });
        self.next += 1;
        self.waiting.push_back((Arc::clone(&place), None));
        place
    }

    /// Gives up a place from anywhere in the line.
    pub(super) fn leave(&mut self, place: &Place) {
        if let Some(at) = self.find(place) {
            self.waiting.remove(at);
        }
        self.shrink();
    }

    /// The first has its permit. `None`: nobody waits; else whom to wake, once the lock is free.
    pub(super) fn serve_first(&mut self) -> Option<Option<Waker>> {
        let (place, waker) = self.waiting.pop_front()?;
        place.mark.set(Permit::Held);
        self.shrink();
        Some(waker)
    }

    /// Everyone is sent away; `each` is called for each.
    pub(super) fn leave_all(&mut self, each: impl Fn()) -> SmallVec<[Waker; 4]> {
        let gone = std::mem::take(&mut self.waiting);
        let leave = |(place, waker): (Arc<Place>, Option<Waker>)| {
            each();
            place.mark.set(Permit::Away);
            waker
        };
        gone.into_iter().filter_map(leave).collect()
    }

    /// Whom to wake when the place is served.
    pub(super) fn wake(&mut self, place: &Place, waker: &Waker) {
        if let Some((_, slot)) = self.find(place).and_then(|at| self.waiting.get_mut(at)) {
            match slot {
                Some(known) => known.clone_from(waker),
                None => *slot = Some(waker.clone()),
            }
        }
    }

    fn find(&self, place: &Place) -> Option<usize> {
        self.waiting.binary_search_by_key(&place.number, |(other, _)| other.number).ok()
    }

    /// A rush that is over gives its memory back.
    fn shrink(&mut self) {
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
    }
}
