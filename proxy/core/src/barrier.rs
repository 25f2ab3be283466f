//! Tells when all who came before have gone, without holding up who comes after.
//!
//! Two counters take turns: who enters is counted by the one whose turn it is. A barrier changes the turn and waits until
//! the other counter is at zero, as a grace period of read-copy-update does (McKenney and Slingwine 1998). One
//! barrier waits at a time; those behind it change the turn when it is done. Who has waited is inside from that moment
//! on, so that those behind it wait for it, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// Counts who is inside.
#[derive(Debug, Default)]
pub struct Barrier {
    turn: AtomicUsize,
    inside: [AtomicU64; 2],
    /// Whether whoever leaves has somebody to wake.
    awaited: AtomicBool,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// The counter that is to come to zero.
    draining: Option<usize>,
    /// Waits that have changed the turn, and those for which all had gone.
    begun: u64,
    ended: u64,
    /// The counter that has counted whose wait ended last, until it comes for its pass.
    seat: Option<usize>,
    /// Whoever waits for the drain under way does no longer.
    given_up: bool,
    waiting: Vec<Waker>,
}

/// One who is inside, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    barrier: Arc<Barrier>,
    turn: usize,
}

/// Waits for all who entered before it was first polled, and enters. Dropping it gives up the wait.
#[derive(Debug)]
pub struct Wait {
    barrier: Arc<Barrier>,
    number: Option<u64>,
}

impl Barrier {
    /// Counts one until the pass is dropped.
    pub fn enter(self: &Arc<Self>) -> Pass {
        loop {
            let turn = self.turn.load(SeqCst);
            self.inside[turn].fetch_add(1, SeqCst);
            if self.turn.load(SeqCst) == turn {
                return Pass { barrier: Arc::clone(self), turn };
            }
            // A barrier came in between, and may have seen zero already.
            self.leave(turn);
        }
    }

    /// One that waits for those who are inside.
    pub fn wait(self: &Arc<Self>) -> Wait {
        Wait { barrier: Arc::clone(self), number: None }
    }

    fn leave(&self, turn: usize) {
        let last = self.inside[turn].fetch_sub(1, SeqCst) == 1;
        // Either this sees that a barrier waits, or that sees that nobody is inside.
        if last && self.awaited.load(SeqCst) {
            let mut line = self.line.lock();
            let woken = self.settle(&mut line);
            drop(line);
            woken.into_iter().for_each(Waker::wake);
        }
    }

    /// Ends the drain under way if all have gone; answers who is to look again.
    fn settle(&self, line: &mut Line) -> Vec<Waker> {
        match line.draining {
            Some(turn) if self.inside[turn].load(SeqCst) == 0 => {
                line.draining = None;
                line.ended = line.begun;
                // The turn changes under this lock only: whoever changes it next finds this one inside.
                if !std::mem::take(&mut line.given_up) {
                    let turn = self.turn.load(SeqCst);
                    self.inside[turn].fetch_add(1, SeqCst);
                    line.seat = Some(turn);
                }
                self.awaited.store(false, SeqCst);
                std::mem::take(&mut line.waiting)
            }
            _ => Vec::new(),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.barrier.leave(self.turn);
    }
}

impl Wait {
    /// Ready once all who entered before the first poll have gone; until then `waker` is woken when to look again. Who has
    /// waited is inside before a wait behind it can begin: of two that wait, one has left before the other is ready.
    /// Polled again after that it waits anew.
    pub fn poll(&mut self, waker: &Waker) -> Poll<Pass> {
        let barrier = &self.barrier;
        let mut line = barrier.line.lock();
        let mut woken = barrier.settle(&mut line);
        if self.number.is_none() && line.draining.is_none() {
            line.begun += 1;
            self.number = Some(line.begun);
            let old = barrier.turn.fetch_xor(1, SeqCst);
            line.draining = Some(old);
            barrier.awaited.store(true, SeqCst);
            woken.extend(barrier.settle(&mut line));
        }
        let over = self.number.is_some_and(|number| line.ended >= number);
        let seat = if over { line.seat.take() } else { None };
        if seat.is_none() && !line.waiting.iter().any(|known| known.will_wake(waker)) {
            line.waiting.push(waker.clone());
        }
        drop(line);
        woken.into_iter().for_each(Waker::wake);
        let Some(turn) = seat else { return Poll::Pending };
        self.number = None;
        Poll::Ready(Pass { barrier: Arc::clone(barrier), turn })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut line = self.barrier.line.lock();
        let seat = if line.ended >= number { line.seat.take() } else { None };
        line.given_up |= line.ended < number;
        drop(line);
        if let Some(turn) = seat {
            self.barrier.leave(turn);
        }
    }
}

#[cfg(test)]
mod tests;
