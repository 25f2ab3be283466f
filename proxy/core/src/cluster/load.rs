//! Live load of one node: shared atomics inside the immutable membership, and the permits that bound it.
//!
//! Without a bound a request costs one addition when it is picked and one when it ends. With one the addition becomes
//! a compare-and-swap. Only a request that finds every permit taken, and whoever gives one back while others wait,
//! takes the lock of that node's line; nothing is done under it but moving places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::record::Record;

mod line;

use line::Line;
pub use line::Place;

/// One request that waits, in the upper half of the state.
const WAITS: u64 = 1 << 32;

/// Counters of one incarnation of a node. Aligned so that two nodes never share a cache line, and what every request
/// writes comes first.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct NodeLoad {
    /// Requests that wait for a permit in the upper half; all that are under way, those that wait included, in the
    /// lower. One value, so that both are seen at once: what is under way and does not wait holds a permit.
    state: AtomicU64,
    started: AtomicU64,
    /// How many permits there are; 0: no bound.
    permits: AtomicU32,
    line: Mutex<Line>,
    /// How its requests went.
    pub record: Record,
}

fn waiting(state: u64) -> u32 {
    (state >> 32) as u32
}

fn under_way(state: u64) -> u32 {
    state as u32
}

/// Requests that hold a permit.
fn held(state: u64) -> u32 {
    under_way(state).saturating_sub(waiting(state))
}

impl NodeLoad {
    /// Counters of a node that has so many permits; `None`: no bound.
    pub fn with_permits(permits: Option<u32>) -> Self {
        Self { permits: AtomicU32::new(permits.unwrap_or(0)), ..Self::default() }
    }

    /// Requests that went to the node so far, retries from elsewhere included. Differences over time give its rate.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Requests picked for the node and not yet finished (from the verdict on, not from the permit).
    pub fn in_flight(&self) -> u32 {
        under_way(self.state.load(Ordering::Relaxed))
    }

    /// How many of them wait for a permit.
    pub fn queued(&self) -> u32 {
        waiting(self.state.load(Ordering::Relaxed))
    }

    /// Counts one request until the guard is dropped. Where every permit is taken the guard waits for one; `None`: so
    /// many as `line` wait already.
    pub fn enter(self: &Arc<Self>, line: u32) -> Option<InFlight> {
        if self.permits.load(Ordering::Relaxed) == 0 {
            self.state.fetch_add(1, Ordering::Relaxed);
        } else if !self.take() {
            return self.line_up(line);
        }
        // The same cache line, so the second addition costs next to nothing.
        self.started.fetch_add(1, Ordering::Relaxed);
        Some(InFlight { load: Arc::clone(self), place: None })
    }

    /// Changes how many permits there are. More permits go to those who wait; fewer are reached as requests end.
    pub fn set_permits(&self, permits: Option<u32>) {
        let permits = permits.unwrap_or(0);
        if self.permits.swap(permits, Ordering::Relaxed) != permits {
            self.hand_on();
        }
    }

    /// Sends everyone away who waits, because the node takes nothing new: they find [`Permit::Away`].
    pub fn send_away(&self) {
        let mut line = self.line.lock();
        let woken = line.leave_all(|| {
            self.state.fetch_sub(WAITS + 1, Ordering::Relaxed);
        });
        drop(line);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Takes a permit, if one is free and nobody came before.
    fn take(&self) -> bool {
        let permits = self.permits.load(Ordering::Relaxed);
        let free = |state| (waiting(state) == 0 && (permits == 0 || held(state) < permits)).then_some(state + 1);
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
    }

    #[cold]
    fn line_up(self: &Arc<Self>, bound: u32) -> Option<InFlight> {
        let mut line = self.line.lock();
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if self.take() {
                self.started.fetch_add(1, Ordering::Relaxed);
                return Some(InFlight { load: Arc::clone(self), place: None });
            }
            if line.len() >= bound as usize {
                return None;
            }
            // Nobody joins or leaves the line meanwhile; but a permit may have come back since we looked, and whoever
            // gave it saw nobody waiting.
            let joined = state + WAITS + 1;
            if self.state.compare_exchange(state, joined, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return Some(InFlight { load: Arc::clone(self), place: Some(line.join()) });
            }
        }
    }

    /// One request less, which held a permit.
    fn give_back(&self) {
        if waiting(self.state.fetch_sub(1, Ordering::Relaxed)) > 0 {
            self.hand_on();
        }
    }

    /// Gives the permits that are free to those who came first.
    #[cold]
    fn hand_on(&self) {
        let permits = self.permits.load(Ordering::Relaxed);
        let mut woken: SmallVec<[Waker; 1]> = SmallVec::new();
        let mut line = self.line.lock();
        while permits == 0 || held(self.state.load(Ordering::Relaxed)) < permits {
            let Some(waker) = line.serve_first() else { break };
            self.state.fetch_sub(WAITS, Ordering::Relaxed);
            self.started.fetch_add(1, Ordering::Relaxed);
            woken.extend(waker);
        }
        drop(line);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Gives up a place, whatever has become of it.
    #[cold]
    fn leave(&self, place: &Place) {
        let mut line = self.line.lock();
        match place.permit() {
            Permit::Waits => {
                line.leave(place);
                self.state.fetch_sub(WAITS + 1, Ordering::Relaxed);
            }
            Permit::Away => {}
            Permit::Held => {
                drop(line);
                self.give_back();
            }
        }
    }
}

/// What a request has of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// It may connect.
    Held,
    /// It waits for others to end.
    Waits,
    /// It waited, and the node takes nothing new any more: ask again who is to serve it.
    Away,
}

/// One request under way at a node. Dropping it is the receipt: it travels with the response body, not its head.
#[derive(Debug)]
pub struct InFlight {
    load: Arc<NodeLoad>,
    /// Only of a request that had to wait.
    place: Option<Arc<Place>>,
}

impl InFlight {
    /// What it has.
    pub fn permit(&self) -> Permit {
        self.place.as_ref().map_or(Permit::Held, |place| place.permit())
    }

    /// Ready once it waits no longer; until then `waker` is woken when that changes. The last waker counts.
    pub fn poll(&self, waker: &Waker) -> Poll<()> {
        match &self.place {
            Some(place) if place.permit() == Permit::Waits => {
                let mut line = self.load.line.lock();
                // Whoever serves a place does so under the lock: what is seen now stays so until the waker is there.
                if place.permit() == Permit::Waits {
                    line.wake(place, waker);
                    return Poll::Pending;
                }
                Poll::Ready(())
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        match &self.place {
            None => self.load.give_back(),
            Some(place) => self.load.leave(place),
        }
    }
}

/// How a place stands, as one byte.
#[derive(Debug, Default)]
struct Mark(AtomicU8);

impl Mark {
    fn get(&self) -> Permit {
        match self.0.load(Ordering::Acquire) {
            0 => Permit::Waits,
            1 => Permit::Held,
            _ => Permit::Away,
        }
    }

    fn set(&self, to: Permit) {
        let byte = match to {
            Permit::Waits => 0,
            Permit::Held => 1,
            Permit::Away => 2,
        };
        self.0.store(byte, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
