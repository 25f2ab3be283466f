//! An instance a worker, so that no pick ever waits for another.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::instance::Instance;

/// One worker's place. Aligned to two cache lines (processors fetch them in pairs), so that no two workers write to the same.
#[repr(align(128))]
struct Seat {
    now_ms: AtomicU64,
    held: Mutex<Held>,
    next: Next,
}

/// An instance that was told a list of nodes which its worker has not met yet, and the epoch in which it was made.
/// Another thread puts it there, so it has a lock of its own; the worker looks only when it meets another list.
pub(crate) type Next = Mutex<Option<(u64, Instance)>>;

/// What a worker has in hand.
pub(crate) struct Held {
    /// The epoch of the policy in which the instance was made.
    pub(crate) epoch: u64,
    /// None after a fault: the next pick of the worker makes another.
    pub(crate) instance: Option<Instance>,
}

/// The places of all workers, and one more for explanations, so that an operator's question never holds up a pick.
pub(crate) struct Pool {
    seats: Box<[Seat]>,
}

impl Pool {
    /// Seats for these workers' instances. The seat for explanations starts empty.
    pub(crate) fn new(epoch: u64, instances: Vec<Instance>) -> Self {
        let seat = |instance| Seat {
            now_ms: AtomicU64::new(0),
            held: Mutex::new(Held { epoch, instance }),
            next: Next::default(),
        };
        Self { seats: instances.into_iter().map(Some).chain([None]).map(seat).collect() }
    }

    /// A worker's place. The lock is never contended: a worker picks one request at a time and does not wait
    /// between taking it and giving it back. A worker that is not known shares another's.
    pub(crate) fn worker(&self, worker: usize, now_ms: u64) -> (MutexGuard<'_, Held>, &Next) {
        let seat = &self.seats[worker % (self.seats.len() - 1)];
        seat.now_ms.store(now_ms, Ordering::Relaxed);
        (seat.held.lock(), &seat.next)
    }

    /// The place for explanations.
    pub(crate) fn explainer(&self) -> (MutexGuard<'_, Held>, &Next) {
        let seat = &self.seats[self.seats.len() - 1];
        (seat.held.lock(), &seat.next)
    }

    /// Where what each worker uses next is put.
    pub(crate) fn next(&self) -> impl Iterator<Item = &Next> {
        self.seats[..self.seats.len() - 1].iter().map(|seat| &seat.next)
    }

    /// The latest time of any pick.
    pub(crate) fn latest_ms(&self) -> u64 {
        self.seats.iter().map(|s| s.now_ms.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}
