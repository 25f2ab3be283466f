//! Accepts requests and carries them to nodes.
//!
//! The accept loop, the worker threads and their sockets are ours: pingora's `Server` builds its listeners once, so a
//! reload could not add one. Each worker is a thread with its own runtime, its own sockets (`SO_REUSEPORT`, so the
//! kernel spreads connections and workers share nothing) and its own pingora proxy with its own pool of connections to
//! nodes. A stream that is accepted stays on its worker.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use pointsman_config::plan::{Address, Listener};

use crate::access_log::AccessLog;
use crate::metrics::Metrics;
use crate::world::WorldCell;
use crate::world::secure::AskSpeech;

mod ahead;
mod announced;
mod answer;
mod arrival;
mod behind;
mod books;
mod broadcast;
mod course;
mod deadline;
mod door;
mod entry;
mod epoch;
mod express;
mod forwarded;
mod frames;
mod gate;
mod gateway;
mod guard;
mod head;
mod http2;
mod identity;
mod manner;
mod memory;
mod mirror;
mod outcome;
mod owned;
mod remark;
mod reserve;
mod scene;
mod sockets;
mod sticky;
mod stopping;
mod stream;
mod tls;
mod trip;
mod worker;

use door::Door;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use guard::fuzz;
use manner::Desk;
pub use manner::Renewed;
pub use sockets::{Lent, Sockets};
use stopping::Ending;
use worker::{Order, Orders};

/// How long an idle connection may still bring a request when the proxy stops: one that a client had sent already.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// The worker threads and the sockets on which they accept.
pub struct Workers {
    shared: Shared,
    desk: Desk,
    orders: Vec<Orders>,
    doors: Mutex<Vec<Door>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What all workers share.
#[derive(Clone)]
struct Shared {
    world: WorldCell,
    metrics: Arc<Metrics>,
    log: Arc<AccessLog>,
    memory: Arc<memory::Memory>,
}

impl Workers {
    /// Starts `threads` workers (1 or more) that serve what `world` says. They accept nothing until
    /// [`Workers::listen`]. Fails when the system grants no thread or no event queue.
    pub fn start(threads: usize, world: &WorldCell, metrics: &Arc<Metrics>, log: &Arc<AccessLog>) -> io::Result<Self> {
        let memory = memory::watch(world)?;
        let shared = Shared { world: Arc::clone(world), metrics: Arc::clone(metrics), log: Arc::clone(log), memory };
        let desk = Desk::new();
        let started: io::Result<Vec<_>> =
            (0..threads.max(1)).map(|index| worker::start(index, shared.clone(), desk.manners())).collect();
        let (orders, threads) = started?.into_iter().unzip();
        Ok(Self { shared, desk, orders, doors: Mutex::default(), threads: Mutex::new(threads) })
    }

    /// Treats connections accepted from now on as the world in force says, with the certificates as their files are
    /// now. To be called after the first [`Workers::listen`] and when another world went live: until then connections
    /// to addresses that are new wait.
    pub fn renew(&self) -> Renewed {
        self.renew_at(&self.doors.lock())
    }

    fn renew_at(&self, doors: &[Door]) -> Renewed {
        let plan = &self.shared.world.load().plan;
        let renewed = self.desk.renew(plan, &placed(doors, &plan.listeners));
        self.tell_expiries();
        renewed
    }

    /// The same, if certificates have changed on disk. `None`: they have not.
    pub fn renew_if_changed(&self) -> Option<Renewed> {
        let changed = self.desk.changed(&self.shared.world.load().plan);
        changed.then(|| self.renew())
    }

    /// How the operators' address is spoken to, whenever it is asked.
    pub fn operators(&self) -> AskSpeech {
        let manners = self.desk.manners();
        Arc::new(move || manners.borrow().admin.clone())
    }

    fn tell_expiries(&self) {
        let all = self.desk.expiries().into_iter().map(|(file, at)| (file.display().to_string(), at));
        self.shared.metrics.tls().certificates_expire(all);
    }

    /// Listens at exactly the addresses of these from now on. New ones are bound first, one socket a worker: if one cannot be
    /// had, nothing changes and the error names it. Addresses no longer named stop accepting; what they accepted
    /// finishes. Answers the addresses in use, in the order asked (port 0 becomes a real one). Returns when every
    /// socket that is gone is closed, so that its address is free.
    pub fn listen(&self, listeners: &[Listener]) -> io::Result<Vec<Address>> {
        let mut doors = self.doors.lock();
        // What is open and asked for again is kept as it is.
        let kept = placed(&doors, listeners);
        let mut bound = Vec::new();
        for (listener, _) in listeners.iter().zip(&kept).filter(|(_, kept)| kept.is_none()) {
            bound.push(door::bind(listener, self.orders.len())?);
        }
        for (listener, kept) in listeners.iter().zip(&kept) {
            let door = kept.as_ref().and_then(|kept| doors.iter_mut().find(|door| door.address() == kept));
            door.map_or(Ok(()), |door| door.set_mode(listener.mode()))?;
        }
        let mut opened = bound.into_iter().map(|sockets| sockets.open(&self.orders));
        let mut old = std::mem::take(&mut *doors);
        for kept in kept {
            let door = match kept {
                Some(address) => old.iter().position(|door| *door.address() == address).map(|at| old.swap_remove(at)),
                None => opened.next(),
            };
            doors.extend(door);
        }
        old.into_iter().for_each(Door::close);
        let asked = listeners.iter().map(|listener| &listener.address);
        if self.shared.world.load().plan.listeners.iter().map(|listener| &listener.address).eq(asked) {
            // The start, or back to what is in force. What is wrong with certificates was told, or will be.
            self.renew_at(&doors);
        }
        Ok(doors.iter().map(Door::address).cloned().collect())
    }

    /// The addresses on which requests are accepted now.
    pub fn addresses(&self) -> Vec<Address> {
        self.doors.lock().iter().map(Door::address).cloned().collect()
    }

    /// Accepts on these sockets, in their order, besides those that are open already; answers the addresses in use.
    pub fn open(&self, sockets: Sockets) -> Vec<Address> {
        let mut doors = self.doors.lock();
        doors.extend(sockets.bound.into_iter().map(|sockets| sockets.open(&self.orders)));
        doors.iter().map(Door::address).cloned().collect()
    }

    /// The files of Unix sockets that another process has bound are this one's: that one leaves.
    pub fn take_over(&self) {
        self.doors.lock().iter_mut().for_each(Door::take_over);
    }

    /// Other descriptors of every socket that is accepted on, for the process that comes after this one.
    pub fn lend(&self) -> io::Result<Vec<Lent>> {
        self.doors.lock().iter().map(Door::lend).collect()
    }

    /// Stops accepting, lets requests under way finish with `Connection: close`, closes connections that idle, and cuts
    /// what still runs after `grace`. Returns when every worker has ended.
    pub fn shutdown(&self, grace: Duration) {
        std::mem::take(&mut *self.doors.lock()).into_iter().for_each(Door::close);
        self.finish(Ending { grace, idle: LAST_REQUEST });
    }

    /// The same, now that another process accepts on the sockets of `theirs`: nobody is in a hurry, so an idle connection
    /// is closed only if it brings no request in half of the time.
    pub fn hand_over(&self, theirs: &[Address], grace: Duration) {
        for door in std::mem::take(&mut *self.doors.lock()) {
            if theirs.contains(door.address()) { door.leave() } else { door.close() }
        }
        self.finish(Ending { grace, idle: grace / 2 });
    }

    /// Cuts what still runs at once.
    pub fn cut(&self) {
        self.tell(|| Order::Cut);
    }

    fn finish(&self, ending: Ending) {
        self.tell(|| Order::Finish(ending));
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                log::error!("a worker panicked while it stopped");
            }
        }
    }

    fn tell(&self, order: impl Fn() -> Order) {
        for orders in &self.orders {
            // An error means that the worker has ended already.
            let _ = orders.send(order());
        }
    }
}

/// The address in use for each that is asked for, where a door is open for it; each door once.
fn placed(doors: &[Door], asked: &[Listener]) -> Vec<Option<Address>> {
    let mut free: Vec<Option<&Door>> = doors.iter().map(Some).collect();
    let places = asked.iter().map(|asked| {
        let place = free.iter_mut().find(|door| door.is_some_and(|door| door.answers_to(&asked.address)))?;
        place.take().map(|door| door.address().clone())
    });
    places.collect()
}

#[cfg(test)]
mod tests;
