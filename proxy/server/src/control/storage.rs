//! The registry's store as the control thread uses it: group commit, and what is owed to a disk that fails.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pointsman_registry::{Change, Service, Store};

use crate::world::bus::Bus;

/// How long a failing disk is left alone before changes that have taken effect are written again.
const RETRY: Duration = Duration::from_secs(1);

/// The store, and changes that took effect without it.
pub(super) struct Storage {
    /// `None` while another process may have it.
    store: Option<Store>,
    path: PathBuf,
    away: bool,
    bus: Bus,
    /// Lapsed leases and the like: they take effect whether or not they can be written. If they are lost, a node comes
    /// back after a restart, unchecked, and lapses again.
    owed: Vec<Change>,
    /// Set while writes fail.
    retry_at: Option<Duration>,
}

impl Storage {
    pub(super) fn new(store: Store, bus: Bus) -> Self {
        let path = store.path().to_owned();
        Self { store: Some(store), path, away: false, bus, owed: Vec::new(), retry_at: None }
    }

    /// What is kept of each service.
    pub(super) fn kept(&self) -> BTreeMap<String, Service> {
        self.store.as_ref().map(|store| store.state().services.clone()).unwrap_or_default()
    }

    /// Lets go of the store, so that another process can open it.
    pub(super) fn release(&mut self, now: Duration) {
        if !self.owed.is_empty() {
            // What cannot be written now is found out by the other process in its own time.
            let _ = self.write(now);
        }
        (self.store, self.away) = (None, true);
    }

    /// Opens it again. On an error every later write tries again.
    pub(super) fn take_back(&mut self) -> Result<(), String> {
        self.away = false;
        self.open().map(drop)
    }

    fn open(&mut self) -> Result<&mut Store, String> {
        match &mut self.store {
            Some(_) => {}
            None if self.away => return Err("another process has the registry".into()),
            none => *none = Some(Store::open(&self.path).map_err(|error| error.to_string())?.store),
        }
        self.store.as_mut().ok_or_else(String::new)
    }

    /// Whether a change may be tried that nobody waits for: not while the registry is away, nor before a failing disk is
    /// due again.
    pub(super) fn is_writable(&self, now: Duration) -> bool {
        !self.away && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Writes all changes with one sync, or none; the error is for the client.
    pub(super) fn commit(&mut self, changes: Vec<Change>, now: Duration) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        let owed = self.owed.len();
        self.owed.extend(changes);
        self.write(now).inspect_err(|_| self.owed.truncate(owed))
    }

    /// Writes changes that hold in any case; if that fails they are tried again from time to time.
    pub(super) fn owe(&mut self, changes: Vec<Change>, now: Duration) {
        if !changes.is_empty() {
            self.owed.extend(changes);
            // What went wrong has been told; the changes stay owed.
            let _ = self.write(now);
        }
    }

    pub(super) fn tick(&mut self, now: Duration) {
        if !self.owed.is_empty() && self.retry_at.is_some_and(|at| at <= now) {
            let _ = self.write(now);
        }
    }

    fn write(&mut self, now: Duration) -> Result<(), String> {
        let owed = std::mem::take(&mut self.owed);
        let written = self.open().and_then(|store| store.commit(&owed).map_err(|error| error.to_string()));
        self.owed = owed;
        match written {
            Ok(()) => {
                self.owed.clear();
                if self.retry_at.take().is_some() {
                    self.bus.tell("registry-writable", "", "", "the registry can be written again");
                }
                Ok(())
            }
            Err(error) if self.away => Err(error),
            Err(error) => {
                if self.retry_at.replace(now + RETRY).is_none() {
                    let message = format!(
                        "nodes cannot join, leave or be drained and no primary is elected, traffic goes on: {error}"
                    );
                    self.bus.tell("registry-unwritable", "", "", message);
                }
                Err(error)
            }
        }
    }
}
