//! Keeps owners of keys on disk, beside the traffic: one thread for all services. What has changed is synced every 100 ms;
//! what was not when the process is killed is lost.
//!
//! A process that hands over closes its ledgers, as it does the registry, and writes what it learns from then on into files
//! of its own, which the process that took over reads as they grow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use pointsman_registry::RegistryError;
use tokio::sync::oneshot;

use super::room;
use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::{World, WorldCell, clock};
use book::Book;

mod book;

/// Between two syncs, at most.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the thread. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Keeper(mpsc::Sender<(Order, oneshot::Sender<()>)>);

#[derive(Clone, Copy)]
enum Order {
    /// Make what has to be done later short: write snapshots.
    Prepare,
    /// Let go of the ledgers, so that another process can open them.
    Release,
    /// It does not serve: open them again.
    TakeBack,
    /// No request is under way any more.
    Stop,
}

/// What the thread knows.
struct Keeping {
    registry: PathBuf,
    world: WorldCell,
    metrics: Arc<Metrics>,
    bus: Bus,
    books: BTreeMap<String, Book>,
    /// Whether another process has the ledgers.
    away: bool,
}

impl Keeper {
    /// Takes in what is on disk, then keeps it. `takes_over`: from the process that started this one, which may still learn
    /// something.
    pub(super) fn start(
        registry: &Path,
        world: &WorldCell,
        metrics: &Arc<Metrics>,
        bus: &Bus,
        takes_over: bool,
    ) -> Result<Self, RegistryError> {
        let (orders, inbox) = mpsc::channel();
        let from = takes_over.then(std::os::unix::process::parent_id);
        let mut keeping = Keeping {
            registry: registry.to_owned(),
            world: Arc::clone(world),
            metrics: Arc::clone(metrics),
            bus: bus.clone(),
            books: BTreeMap::new(),
            away: false,
        };
        for (name, table) in owners(&world.load()) {
            let book = Book::open(&keeping.registry, &name, table, bus, from)?;
            keeping.books.insert(name, book);
        }
        room::spawn("keeper", move || async move { keeping.run(&inbox) });
        Ok(Self(orders))
    }

    /// See [`Order::Prepare`].
    pub(super) async fn prepare(&self) {
        self.ask(Order::Prepare).await;
    }

    /// See [`Order::Release`].
    pub(super) async fn release(&self) {
        self.ask(Order::Release).await;
    }

    /// See [`Order::TakeBack`].
    pub(super) async fn take_back(&self) {
        self.ask(Order::TakeBack).await;
    }

    /// See [`Order::Stop`].
    pub(super) async fn stop(&self) {
        self.ask(Order::Stop).await;
    }

    async fn ask(&self, order: Order) {
        let (reply, answer) = oneshot::channel();
        if self.0.send((order, reply)).is_ok() {
            // An error means that the thread has ended, and with it the process.
            let _ = answer.await;
        }
    }
}

impl Keeping {
    /// Until nobody can ask any more.
    fn run(mut self, inbox: &mpsc::Receiver<(Order, oneshot::Sender<()>)>) {
        loop {
            match inbox.recv_timeout(PAUSE) {
                Ok((order, reply)) => {
                    self.obey(order);
                    // An error means that nobody waits.
                    let _ = reply.send(());
                    if matches!(order, Order::Stop) {
                        return;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.attend(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = clock::now();
        match order {
            Order::Prepare => self.books.values_mut().for_each(|book| book.snapshot(now)),
            Order::Release => {
                self.away = true;
                self.books.values_mut().for_each(|book| book.release(&self.bus, now));
            }
            Order::TakeBack => {
                self.away = false;
                self.books.values_mut().for_each(|book| book.take_back(&self.bus, now));
            }
            Order::Stop => {
                for book in std::mem::take(&mut self.books).into_values() {
                    book.close(now);
                }
            }
        }
    }

    /// Services that came and went, then what changed in each.
    fn attend(&mut self) {
        let now = clock::now();
        let wanted = owners(&self.world.load());
        let gone = |name: &String, book: &Book| wanted.get(name).is_none_or(|table| !Arc::ptr_eq(table, book.table()));
        let names: Vec<String> =
            self.books.iter().filter(|(name, book)| gone(name, book)).map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(book) = self.books.remove(&name) {
                book.lose(now);
                self.metrics.kept().forget(&name);
            }
        }
        for (name, table) in wanted {
            if !self.away && !self.books.contains_key(&name) {
                let book = Book::anew(&self.registry, &name, table);
                self.books.insert(name, book);
            }
        }
        for book in self.books.values_mut() {
            book.attend(&self.bus, &self.metrics, now);
        }
    }
}

/// The tables of services that keep owners, by name.
fn owners(world: &World) -> BTreeMap<String, Arc<pointsman_core::owners::OwnerTable>> {
    let table = |(name, service): (&String, &Arc<crate::world::Service>)| {
        Some((name.clone(), Arc::clone(service.state.owners.as_ref()?)))
    };
    world.services.iter().filter_map(table).collect()
}
