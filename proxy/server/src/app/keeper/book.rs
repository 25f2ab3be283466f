//! One service's owners: the table, what has changed in it, and where that is written.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pointsman_core::owners::{Change, OwnerTable, Sink};
use pointsman_registry::RegistryError;
use pointsman_registry::owners::{Late, Ledger, Queue, folder_of};

use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::clock;
use following::Following;

mod following;
mod opening;

/// How long a failing disk is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How long it is before another snapshot: one for which there is no room fills the disk for others, too, until it fails.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(10);

/// Parts of a table that are written before changes are synced again.
const PARTS: usize = 16;

/// A snapshot of this age says well enough when keys were asked for.
const NEW: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Told(Arc<Queue>);

impl Sink for Told {
    fn changed(&self, change: Change<'_>) {
        self.0.put(change.key, change.owner);
    }
}

/// Where changes go.
enum Place {
    Ledger(Ledger),
    /// Another process has the ledger, or had it until now.
    Late(Late),
    /// Neither could be opened.
    Nowhere,
}

pub(super) struct Book {
    service: String,
    folder: PathBuf,
    table: Arc<OwnerTable>,
    queue: Arc<Queue>,
    place: Place,
    /// Whether another process has the ledger.
    away: bool,
    /// Whether the folder holds what a table knew that is no more.
    stale: bool,
    /// Frames that are not on disk yet.
    pending: Vec<u8>,
    /// What processes before this one still learn.
    following: Following,
    /// Set while writes fail.
    retry_at: Option<Duration>,
    /// Set while snapshots fail.
    snapshot_at: Option<Duration>,
    /// When the last whole snapshot was made.
    made_at: Option<Duration>,
    dropped: u64,
}

impl Book {
    /// Takes what is on disk into the table; from then on changes are kept.
    pub(super) fn open(
        registry: &Path,
        service: &str,
        table: Arc<OwnerTable>,
        bus: &Bus,
        from: Option<u32>,
    ) -> Result<Self, RegistryError> {
        let folder = folder_of(registry, service);
        let ledger = opening::open(&folder, service, &table, bus)?;
        let mut book = Self::on(Place::Ledger(ledger), folder, service, table);
        book.following = Following::find(&book.folder, from);
        book.following.follow(&book.table, clock::now());
        Ok(book)
    }

    /// Keeps a table that requests know already, from now on. What is on disk is of another, and goes.
    pub(super) fn anew(registry: &Path, service: &str, table: Arc<OwnerTable>) -> Self {
        let book = Self::on(Place::Nowhere, folder_of(registry, service), service, table);
        Self { stale: true, ..book }
    }

    /// From now on changes of the table are kept there.
    fn on(place: Place, folder: PathBuf, service: &str, table: Arc<OwnerTable>) -> Self {
        let queue = Arc::new(Queue::default());
        table.tell(Some(Arc::new(Told(Arc::clone(&queue)))));
        Self {
            service: service.to_owned(),
            folder,
            table,
            queue,
            place,
            away: false,
            stale: false,
            pending: Vec::new(),
            following: Following::default(),
            retry_at: None,
            snapshot_at: None,
            made_at: None,
            dropped: 0,
        }
    }

    pub(super) fn table(&self) -> &Arc<OwnerTable> {
        &self.table
    }

    /// What is to be done now and then.
    pub(super) fn attend(&mut self, bus: &Bus, metrics: &Metrics, now: Duration) {
        self.following.follow(&self.table, clock::now());
        let dropped = self.queue.dropped();
        metrics.kept().dropped(&self.service, dropped - std::mem::replace(&mut self.dropped, dropped));
        if self.retry_at.is_none_or(|at| at <= now) {
            let settled = self.settle(bus);
            let synced = self.sync();
            let written = settled.and(synced).and_then(|()| self.go_on(now));
            self.became(written, bus, now);
        }
        let bytes = if let Place::Ledger(ledger) = &self.place { ledger.bytes() } else { (0, 0) };
        metrics.kept().state(&self.service, self.retry_at.is_none(), bytes.0 + bytes.1);
    }

    fn became(&mut self, written: io::Result<()>, bus: &Bus, now: Duration) {
        match written {
            // Changes are, but not yet what was missed.
            Ok(()) if self.snapshot_at.is_some() => {}
            Ok(()) if self.retry_at.take().is_some() => {
                bus.tell("owners-writable", &self.service, "", "owners of keys are written to disk again");
            }
            Ok(()) => {}
            Err(error) => {
                if self.retry_at.replace(now + RETRY).is_none() {
                    let folder = self.folder.display();
                    let message = format!(
                        "{folder}: {error}; traffic goes on, and what is learnt of owners now would not survive a kill"
                    );
                    bus.tell("owners-unwritable", &self.service, "", message);
                }
            }
        }
    }

    /// Opens the files to which changes are to go.
    fn settle(&mut self, bus: &Bus) -> io::Result<()> {
        match (&self.place, self.away) {
            (Place::Ledger(_), _) | (Place::Late(_), true) => Ok(()),
            (Place::Nowhere, true) => {
                self.place = Place::Late(Late::begin(&self.folder, std::process::id())?);
                Ok(())
            }
            (Place::Nowhere | Place::Late(_), false) => self.reopen(bus),
        }
    }

    /// Opens the ledger while requests go on. The table knows better than the disk what they did meanwhile.
    fn reopen(&mut self, bus: &Bus) -> io::Result<()> {
        if self.stale {
            opening::remove(&self.folder)?;
            self.stale = false;
        }
        let kept = self.table.empty();
        let mut ledger = opening::open(&self.folder, &self.service, &kept, bus)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let released = self.released();
        opening::take_over(&self.table, &kept, &released, clock::now());
        ledger.lacks_changes();
        self.made_at = None;
        if let Place::Late(late) = std::mem::replace(&mut self.place, Place::Ledger(ledger))
            && let Err(error) = late.discard()
        {
            log::warn!("{}: {error}", self.folder.display());
        }
        Ok(())
    }

    /// What was released since another process opened the ledger.
    fn released(&mut self) -> HashSet<String> {
        let written = self.sync().and_then(|()| self.sync());
        let Place::Late(late) = &self.place else { return HashSet::new() };
        written.and_then(|()| following::released(late.path())).unwrap_or_else(|error| {
            log::warn!("{}: {error}; keys that were released may be known again", self.folder.display());
            HashSet::new()
        })
    }

    /// Writes what has changed. What is pending is written before anything more is taken from the queue, which is bounded.
    fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            self.queue.take(&mut self.pending)?;
        }
        let overflowed = self.queue.overflowed();
        match &mut self.place {
            Place::Ledger(ledger) => {
                if overflowed {
                    ledger.lacks_changes();
                }
                ledger.append(&self.pending)?;
            }
            Place::Late(late) => late.append(&self.pending)?,
            Place::Nowhere => return Err(io::Error::other("the files cannot be opened")),
        }
        self.pending.clear();
        Ok(())
    }

    /// Goes on with a snapshot where one is wanted.
    fn go_on(&mut self, now: Duration) -> io::Result<()> {
        let Place::Ledger(ledger) = &mut self.place else { return Ok(()) };
        if !ledger.wants_snapshot() || self.snapshot_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        let made = match ledger.go_on(&self.table, now, PARTS) {
            // What the snapshot has seen is in the queue at the latest.
            Ok(true) => self.sync().and_then(|()| self.finish()).inspect(|()| self.snapshot_at = None),
            other => other.map(drop),
        };
        if made.is_err() {
            self.snapshot_at = Some(now + SNAPSHOT_RETRY);
            if let Place::Ledger(ledger) = &mut self.place {
                ledger.abandon();
            }
        }
        made
    }

    fn finish(&mut self) -> io::Result<()> {
        // Pending frames from before that sync.
        self.sync()?;
        if let Place::Ledger(ledger) = &mut self.place { ledger.finish() } else { Ok(()) }
    }

    /// A whole snapshot, now. What fails is tried again in its own time.
    pub(super) fn snapshot(&mut self, now: Duration) {
        match self.snapshot_all(now) {
            Ok(()) => self.made_at = Some(now),
            Err(error) => log::warn!("{}: no snapshot of owners: {error}", self.folder.display()),
        }
    }

    fn snapshot_all(&mut self, now: Duration) -> io::Result<()> {
        self.sync()?;
        let Place::Ledger(ledger) = &mut self.place else { return Ok(()) };
        ledger.abandon();
        while !ledger.go_on(&self.table, now, PARTS)? {}
        self.sync()?;
        self.finish()
    }

    /// Another process opens the ledger now.
    pub(super) fn release(&mut self, bus: &Bus, now: Duration) {
        self.part(now);
        self.away = true;
        let settled = self.settle(bus);
        self.became(settled, bus, now);
    }

    /// Writes what is left and closes the ledger. Where its snapshot is new, it says since when nobody has asked for a key.
    fn part(&mut self, now: Duration) {
        let written = self.sync().and_then(|()| self.sync());
        let new = self.made_at.is_some_and(|at| now.saturating_sub(at) < NEW);
        if let Place::Ledger(mut ledger) = std::mem::replace(&mut self.place, Place::Nowhere)
            && let Err(error) = written.and_then(|()| if new { ledger.goodbye() } else { Ok(()) })
        {
            log::warn!("{}: {error}", self.folder.display());
        }
    }

    /// No other process has the ledger after all.
    pub(super) fn take_back(&mut self, bus: &Bus, now: Duration) {
        self.away = false;
        let settled = self.settle(bus);
        self.became(settled, bus, now);
    }

    /// The service keeps no owners any more: nothing is left of them.
    pub(super) fn lose(mut self, now: Duration) {
        if self.away {
            return self.close(now);
        }
        self.table.tell(None);
        self.place = Place::Nowhere;
        if let Err(error) = opening::remove(&self.folder) {
            log::warn!("{}: {error}", self.folder.display());
        }
    }

    /// Nothing changes any more.
    pub(super) fn close(mut self, now: Duration) {
        self.table.tell(None);
        match &self.place {
            Place::Ledger(_) => {
                self.snapshot(now);
                self.part(now);
            }
            _ => {
                let written = self.sync().and_then(|()| self.sync());
                if let (Ok(()), Place::Late(late)) = (written, self.place) {
                    // An error: whoever reads it goes on looking.
                    let _ = late.end();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
