//! The control thread: the single writer of every service's membership.
//!
//! Orders (joins, heartbeats, reloads), the findings of the health checks and the passing of time come in; one new
//! membership per batch goes out to readers, after what it acknowledges is on disk. It runs on a thread of its own,
//! and the checks run on another, so that neither a slow disk nor two thousand checks a second reach a request.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use pointsman_registry::{Damage, RegistryError, Store};
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::clock;
use crate::world::control::Order;
use crate::world::legacy::Legacy;

mod batch;
mod checks;
mod configure;
mod desk;
mod finishing;
mod handing;
mod judgement;
mod office;
mod probe;
mod report;
mod service;
mod storage;

use desk::Desk;
use storage::Storage;

/// What the control thread needs.
pub struct ControlOptions {
    /// Folder of the registry.
    pub store: PathBuf,
    /// Where checks, transitions and lost leases are counted.
    pub metrics: Arc<Metrics>,
    /// Where operators are told.
    pub bus: Bus,
    /// What the process before this one knew.
    pub legacy: Legacy,
}

/// Why the control thread cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A thread or its event queue cannot be had.
    #[error("no thread can be started: {0}; raise the limits on processes and open files (`ulimit -u -n`)")]
    Thread(#[from] std::io::Error),
}

/// Opens the registry and starts both threads, which obey the orders of `inbox` ([`Control::channel`]). They end, and the
/// registry is unlocked, when the last handle is dropped.
pub fn start(options: ControlOptions, inbox: mpsc::Receiver<Order>) -> Result<(), StartError> {
    let ControlOptions { store, metrics, bus, legacy } = options;
    let opened = Store::open(&store)?;
    if opened.cut > 0 {
        let message = format!(
            "{}: the last {} bytes of the log are no whole record and are dropped: a write that a crash cut short and nobody was \
             told was done, or damage to the end of the file, with which acknowledged changes are lost",
            store.display(),
            opened.cut
        );
        bus.tell("registry-recovered", "", "", message);
    }
    if let Some(damage) = &opened.damage {
        bus.tell("registry-damaged", "", "", told(damage));
    }
    launch(opened.store, inbox, metrics, bus, legacy).map(drop)
}

fn told(Damage { file, stretches, kept }: &Damage) -> String {
    let places: Vec<String> =
        stretches.iter().map(|(offset, length)| format!("{length} bytes at offset {offset}")).collect();
    let kept = match kept {
        Ok(copy) => format!("the damaged file is kept as {}", copy.display()),
        Err(cause) => format!("no copy of it could be kept: {cause}"),
    };
    format!(
        "{}: {} cannot be read, and acknowledged changes are lost with them; what is whole around them is in force, and {kept}. \
         Check the disk; nodes that are missing join again, and drains that are missing have to be made anew",
        file.display(),
        places.join(", ")
    )
}

/// Starts both threads on an open registry; answers the one to wait for.
fn launch(
    store: Store,
    inbox: mpsc::Receiver<Order>,
    metrics: Arc<Metrics>,
    bus: Bus,
    legacy: Legacy,
) -> Result<JoinHandle<()>, StartError> {
    let (checker, findings) = checks::start(Arc::clone(&metrics))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        let desk = Desk::new(Storage::new(store, bus.clone()), checker, metrics, bus, legacy, clock::now());
        runtime.block_on(desk.serve(inbox, findings));
    })?;
    Ok(thread)
}

#[cfg(test)]
mod tests;
