//! What the connections of one worker thread share without locks: work benches, idle upstream connections, timers.
//!
//! All of it is thread-local, so the lane runs on current-thread runtimes, one a worker, and never moves a connection
//! from one to another.

use std::any::Any;
use std::cell::RefCell;
use std::task::{Poll, Waker};
use std::time::Duration;

use pointsman_core::cluster::node::Address;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id, RuntimeFlavor};

use benches::Benches;
use timers::Timers;
use upstreams::Upstreams;

mod benches;
mod timers;
mod upstreams;

pub(crate) use timers::OFF;

/// Time between two looks for what is idle for too long.
const SWEEP: u64 = 1000;
/// Deadlines are met this late at worst; a finer tick would buy nothing and wake an idle proxy more often.
const TICK: u64 = 10;

#[derive(Default)]
struct Worker {
    runtime: Option<Id>,
    timers: Timers,
    benches: Benches,
    upstreams: Upstreams,
    sweep_at: u64,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// Runs `act` on this thread's share; `None` while the thread ends.
fn with<R>(act: impl FnOnce(&mut Worker) -> R) -> Option<R> {
    WORKER.try_with(|worker| act(&mut worker.borrow_mut())).ok()
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(OFF)
}

/// A connection's place among the timers of its thread.
#[derive(Debug)]
pub(crate) struct Slot(u32);

impl Slot {
    /// Takes a place. Starts the thread's ticker if this is the first on its runtime.
    pub(crate) fn take(clock: fn() -> Duration) -> Self {
        let handle = Handle::current();
        assert!(
            handle.runtime_flavor() == RuntimeFlavor::CurrentThread,
            "the lane's connections stay on one thread: serve them on a current-thread runtime"
        );
        let (slot, fresh) = with(|worker| {
            let fresh = worker.runtime != Some(handle.id());
            if fresh {
                // Connections of a runtime that ended are dead.
                worker.runtime = Some(handle.id());
                worker.upstreams = Upstreams::default();
                worker.timers.look_again();
            }
            (worker.timers.take(), fresh)
        })
        .unwrap_or((u32::MAX, false));
        if fresh {
            handle.spawn(tick(clock));
        }
        Self(slot)
    }

    /// Wakes `waker` once the clock has passed `deadline`.
    pub(crate) fn arm(&self, deadline: Duration, waker: &Waker) {
        with(|worker| worker.timers.arm(self.0, millis(deadline), waker));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The waker is dropped after the borrow: dropping one may run other code.
        let _waker = with(|worker| worker.timers.release(self.0));
    }
}

async fn tick(clock: fn() -> Duration) {
    loop {
        let wait = with(|worker| worker.look(millis(clock()))).unwrap_or(SWEEP);
        let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_millis(wait)));
        std::future::poll_fn(|context| match with(|worker| worker.timers.poll_poked(context)) {
            Some(Poll::Pending) => sleep.as_mut().poll(context),
            _ => Poll::Ready(()),
        })
        .await;
    }
}

impl Worker {
    /// Wakes what is due, drops what has been idle for too long; milliseconds until the next look.
    fn look(&mut self, now: u64) -> u64 {
        if now >= self.sweep_at {
            let pooled = self.upstreams.sweep(now);
            let kept = self.benches.trim();
            self.sweep_at = if pooled || kept { now + SWEEP } else { OFF };
        }
        self.timers.look(now, self.sweep_at).saturating_sub(now).clamp(TICK, 3_600_000)
    }

    fn sweep_soon(&mut self, now: u64) {
        if self.sweep_at == OFF || self.sweep_at == 0 {
            self.sweep_at = now + SWEEP;
            self.timers.look_by(self.sweep_at);
        }
    }
}

/// A work bench that is lying about, if one is.
pub(crate) fn take_bench<B: Any>() -> Option<Box<B>> {
    with(|worker| worker.benches.take()).flatten()
}

/// Keeps a work bench for the next connection that has something to do.
pub(crate) fn put_bench<B: Any>(bench: Box<B>, now: Duration) {
    with(|worker| {
        worker.benches.put(bench);
        worker.sweep_soon(millis(now));
    });
}

/// An idle connection to this life of a node that is alive as far as the reactor knows.
pub(crate) fn take_upstream(incarnation: u64, address: &Address, surely: bool) -> Option<TcpStream> {
    with(|worker| worker.upstreams.take(incarnation, address, surely)).flatten()
}

/// Where a connection is kept, how long and how many beside it.
pub(crate) struct Keep {
    pub(crate) incarnation: u64,
    pub(crate) address: Address,
    pub(crate) now: Duration,
    pub(crate) idle: Duration,
    pub(crate) per_node: usize,
    pub(crate) per_worker: usize,
}

/// Keeps a connection for a later request.
pub(crate) fn put_upstream(stream: TcpStream, keep: &Keep) {
    let refused = with(|worker| {
        let refused = worker.upstreams.put(stream, keep);
        worker.sweep_soon(millis(keep.now));
        refused
    });
    drop(refused);
}

/// Wakes every connection of this thread, so that idle ones notice that the proxy drains.
pub(crate) fn wake_all() {
    for waker in with(|worker| worker.timers.all()).into_iter().flatten() {
        waker.wake();
    }
}
