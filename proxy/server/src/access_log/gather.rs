//! Lines on their way from the threads that serve to the one that writes.
//!
//! Each thread has a place of its own, which nobody but the writer ever shares with it, and the writer only to take it
//! away: so handing in a line is appending to memory.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

/// Bytes that may wait at one thread's place.
const MOST: usize = 8 << 20;

/// Lines of one stretch between two switches.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

type Place = Mutex<Vec<Stretch>>;

thread_local! {
    /// This thread's place, and at which gathering.
    static MINE: RefCell<Option<(u64, Arc<Place>)>> = const { RefCell::new(None) };
}

/// Where lines gather.
pub(super) struct Gathering {
    id: u64,
    places: Mutex<Vec<Arc<Place>>>,
    /// The stretch that lines belong to now.
    now: AtomicU64,
    /// Whether the writer has been told that something waits.
    told: AtomicBool,
}

impl Gathering {
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self { id, places: Mutex::default(), now: AtomicU64::new(0), told: AtomicBool::new(false) }
    }

    /// Appends a line at the calling thread's place, and wakes the writer if it sleeps. False: there is no room.
    pub(super) fn add(&self, writer: &Thread, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let added = MINE.with_borrow_mut(|mine| match mine {
            Some((id, place)) if *id == self.id => self.append(place, write),
            _ => {
                let place = Arc::<Place>::default();
                self.places.lock().push(Arc::clone(&place));
                let added = self.append(&place, write);
                *mine = Some((self.id, place));
                added
            }
        });
        if !self.told.load(Ordering::Relaxed) {
            self.wake(writer);
        }
        added
    }

    fn append(&self, place: &Place, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut stretches = place.lock();
        // Read while the place is held: once a stretch has ended, whoever takes what is there takes all of it.
        let now = self.now.load(Ordering::Acquire);
        if stretches.last().is_none_or(|last| last.number != now) {
            stretches.push(Stretch { number: now, ..Stretch::default() });
        }
        match stretches.last_mut() {
            Some(last) if last.bytes.len() < MOST => {
                write(&mut last.bytes);
                last.lines += 1;
                true
            }
            _ => false,
        }
    }

    /// Wakes the writer.
    pub(super) fn wake(&self, writer: &Thread) {
        if !self.told.swap(true, Ordering::AcqRel) {
            writer.unpark();
        }
    }

    /// Sleeps until something waits. For the writer.
    pub(super) fn sleep(&self) {
        while !self.told.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// Ends the stretch; the number of the one that begins.
    pub(super) fn next(&self) -> u64 {
        self.now.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Takes all that waits, and leaves memory of `spare` in its place.
    pub(super) fn take(&self, spare: &mut Vec<Vec<u8>>) -> Vec<Stretch> {
        // Before looking: what is added to a place after that finds it so, and wakes the writer again.
        self.told.store(false, Ordering::Release);
        let mut all = Vec::new();
        let mut places = self.places.lock();
        // Of a thread that has ended nobody adds any more.
        places.retain(|place| Arc::strong_count(place) > 1 || !place.lock().is_empty());
        for place in places.iter() {
            let mut stretches = place.lock();
            let mut taken = std::mem::take(&mut *stretches);
            if let Some(last) = taken.last().filter(|_| Arc::strong_count(place) > 1) {
                let bytes = spare.pop().unwrap_or_default();
                stretches.push(Stretch { number: last.number, bytes, lines: 0 });
            }
            drop(stretches);
            all.append(&mut taken);
        }
        all.retain(|stretch| stretch.lines > 0);
        all
    }
}
