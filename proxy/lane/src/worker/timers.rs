//! Coarse timers: one number a connection, stored again at every turn of a request and looked at by one ticker a
//! thread. A stored number costs a nanosecond where a timer of the runtime costs a hundred.

use std::task::{Context, Poll, Waker};

/// No deadline.
pub(crate) const OFF: u64 = u64::MAX;

/// Deadlines in milliseconds, by slot.
#[derive(Default)]
pub(super) struct Timers {
    deadlines: Vec<u64>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
    /// When the ticker looks next.
    next: u64,
    poked: bool,
    ticker: Option<Waker>,
}

impl Timers {
    pub(super) fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.deadlines.push(OFF);
            self.wakers.push(None);
            (self.deadlines.len() - 1) as u32
        })
    }

    pub(super) fn release(&mut self, slot: u32) -> Option<Waker> {
        *self.deadlines.get_mut(slot as usize)? = OFF;
        self.free.push(slot);
        self.wakers[slot as usize].take()
    }

    pub(super) fn arm(&mut self, slot: u32, deadline: u64, waker: &Waker) {
        let index = slot as usize;
        let Some(place) = self.deadlines.get_mut(index) else { return };
        *place = deadline;
        match &mut self.wakers[index] {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        self.look_by(deadline);
    }

    /// The ticker is to look at `time` at the latest.
    pub(super) fn look_by(&mut self, time: u64) {
        if time < self.next {
            self.next = time;
            self.look_again();
        }
    }

    /// The ticker is to look now.
    pub(super) fn look_again(&mut self) {
        self.poked = true;
        if let Some(ticker) = &self.ticker {
            ticker.wake_by_ref();
        }
    }

    pub(super) fn poll_poked(&mut self, context: &Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.poked) {
            return Poll::Ready(());
        }
        match &mut self.ticker {
            Some(ticker) => ticker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Wakes whose deadline has come, once. When to look next, `by` at the latest.
    pub(super) fn look(&mut self, now: u64, by: u64) -> u64 {
        let mut next = by;
        for (deadline, waker) in self.deadlines.iter_mut().zip(&self.wakers) {
            if *deadline > now {
                next = next.min(*deadline);
                continue;
            }
            *deadline = OFF;
            if let Some(waker) = waker {
                waker.wake_by_ref();
            }
        }
        self.next = next;
        self.poked = false;
        next
    }

    /// The wakers of all slots.
    pub(super) fn all(&self) -> Vec<Waker> {
        self.wakers.iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn a_deadline_wakes_once_and_the_last_one_set_counts() {
        let mut timers = Timers::default();
        let (count, waker) = counter();
        let slot = timers.take();
        timers.arm(slot, 100, &waker);
        timers.arm(slot, 200, &waker);
        assert_eq!(timers.look(150, OFF), 200);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert_eq!(timers.look(200, OFF), OFF);
        assert_eq!(timers.look(300, OFF), OFF);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_ticker_is_poked_only_for_what_comes_before_its_next_look() {
        let mut timers = Timers::default();
        let (_, waker) = counter();
        let (pokes, ticker) = counter();
        let slot = timers.take();
        timers.look(0, 1000);
        assert!(timers.poll_poked(&Context::from_waker(&ticker)).is_pending());
        timers.arm(slot, 5000, &waker);
        assert_eq!(pokes.0.load(Ordering::Relaxed), 0);
        timers.arm(slot, 500, &waker);
        assert_eq!(pokes.0.load(Ordering::Relaxed), 1);
        assert!(timers.poll_poked(&Context::from_waker(&ticker)).is_ready());
    }

    #[test]
    fn a_released_slot_is_used_again_and_wakes_nobody() {
        let mut timers = Timers::default();
        let (count, waker) = counter();
        let slot = timers.take();
        timers.arm(slot, 10, &waker);
        drop(timers.release(slot));
        timers.look(20, OFF);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert_eq!(timers.take(), slot);
    }
}
