//! Tells when all who came before have gone, without holding up who comes after.
//!
//! Two counters take turns: who enters is counted by the one whose turn it is. A barrier changes the turn and waits until
//! the other counter is at zero, as a grace period of read-copy-update does (McKenney and Slingwine 1998). One
//! barrier waits at a time; those behind it change the turn when it is done.

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
    waiting: Vec<Waker>,
}

/// One who is inside, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    barrier: Arc<Barrier>,
    turn: usize,
}

/// Waits for all who entered before it was first polled. Dropping it gives up the wait.
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
    /// Ready once all who entered before the first poll have gone; until then `waker` is woken when to look again.
    pub fn poll(&mut self, waker: &Waker) -> Poll<()> {
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
        if !over && !line.waiting.iter().any(|known| known.will_wake(waker)) {
            line.waiting.push(waker.clone());
        }
        drop(line);
        woken.into_iter().for_each(Waker::wake);
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests;
