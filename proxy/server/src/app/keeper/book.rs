//! One service's owners: the table, what has changed in it, and where that is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_core::cluster::node::Incarnation;
use pointsman_core::owners::parts::Kept;
use pointsman_core::owners::{Change, OwnerTable, Sink};
use pointsman_registry::RegistryError;
use pointsman_registry::owners::{Found, Late, LateReader, Ledger, Opened, Queue, folder_of};

use crate::metrics::Metrics;
use crate::world::bus::Bus;

/// How long a failing disk is left alone.
const RETRY: Duration = Duration::from_secs(1);

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
    /// Another process has the ledger.
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
    /// Frames that are not on disk yet.
    pending: Vec<u8>,
    /// What processes before this one still learn.
    late: Vec<LateReader>,
    /// Set while writes fail.
    retry_at: Option<Duration>,
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
        let ledger = open(&folder, service, &table, bus)?;
        let mut book = Self::on(ledger, folder, service, table);
        book.find_late(from);
        if from.is_none() {
            // Whoever wrote them has ended.
            for reader in book.late.drain(..) {
                remove(reader);
            }
        }
        Ok(book)
    }

    /// From now on changes of the table are kept in this ledger.
    fn on(ledger: Ledger, folder: PathBuf, service: &str, table: Arc<OwnerTable>) -> Self {
        let queue = Arc::new(Queue::default());
        table.tell(Some(Arc::new(Told(Arc::clone(&queue)))));
        Self {
            service: service.to_owned(),
            folder,
            table,
            queue,
            place: Place::Ledger(ledger),
            pending: Vec::new(),
            late: Vec::new(),
            retry_at: None,
            made_at: None,
            dropped: 0,
        }
    }

    pub(super) fn table(&self) -> &Arc<OwnerTable> {
        &self.table
    }

    /// What is to be done now and then.
    pub(super) fn attend(&mut self, bus: &Bus, metrics: &Metrics, now: Duration) {
        self.follow();
        let dropped = self.queue.dropped();
        metrics.kept().dropped(&self.service, dropped - std::mem::replace(&mut self.dropped, dropped));
        if self.retry_at.is_none_or(|at| at <= now) {
            let written = self.sync().and_then(|()| self.go_on(now));
            self.became(written, bus, now);
        }
        let bytes = if let Place::Ledger(ledger) = &self.place { ledger.bytes() } else { (0, 0) };
        metrics.kept().state(&self.service, self.retry_at.is_none(), bytes.0 + bytes.1);
    }

    fn became(&mut self, written: io::Result<()>, bus: &Bus, now: Duration) {
        match written {
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
        if !ledger.wants_snapshot() {
            return Ok(());
        }
        let made = match ledger.go_on(&self.table, now, PARTS) {
            // What the snapshot has seen is in the queue at the latest.
            Ok(true) => self.sync().and_then(|()| self.finish()),
            other => other.map(drop),
        };
        if made.is_err()
            && let Place::Ledger(ledger) = &mut self.place
        {
            ledger.abandon();
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
    pub(super) fn release(&mut self, now: Duration) {
        self.part(now);
        match Late::begin(&self.folder, std::process::id()) {
            Ok(late) => self.place = Place::Late(late),
            Err(error) => log::error!("{}: what is learnt from now on is lost: {error}", self.folder.display()),
        }
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
    pub(super) fn take_back(&mut self, bus: &Bus) {
        // The snapshot that follows has what is in there.
        if let Place::Late(late) = std::mem::replace(&mut self.place, Place::Nowhere)
            && let Err(error) = late.discard()
        {
            log::warn!("{}: {error}", self.folder.display());
        }
        match open(&self.folder, &self.service, &self.table, bus) {
            Ok(mut ledger) => {
                ledger.lacks_changes();
                self.place = Place::Ledger(ledger);
            }
            Err(error) => bus.tell("owners-unwritable", &self.service, "", error.to_string()),
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

    /// Files of processes that have handed over: of the one before this, which tells what those before it learn. Where it
    /// left none, or this one took over from nobody, all that there are.
    fn find_late(&mut self, from: Option<u32>) {
        match LateReader::find(&self.folder) {
            Ok(found) => self.late = found,
            Err(error) => log::warn!("{}: {error}", self.folder.display()),
        }
        let is = |reader: &LateReader| from.is_some_and(|from| reader.writer() == Some(from));
        if self.late.iter().any(is) {
            self.late.retain(is);
        }
        self.follow();
    }

    /// Takes in what processes before this one have learnt meanwhile.
    fn follow(&mut self) {
        let (table, now) = (&self.table, crate::world::clock::now());
        let mut ended = Vec::new();
        self.late.retain_mut(|reader| {
            match reader.follow(|key, owner| agree(table, key, owner, now)) {
                Ok(false) => return true,
                Ok(true) => ended.push(reader.path().to_owned()),
                // Another has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warn!("{}: {error}", reader.path().display()),
            }
            false
        });
        for path in ended {
            // An error: another has removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Another process says so of a key. Where both have learnt it, the later epoch holds, and of equal ones what is known here.
fn agree(table: &OwnerTable, key: &str, owner: Option<Kept<'_>>, now: Duration) {
    match (owner, table.peek(key, now)) {
        (None, _) => drop(table.release(key, now)),
        (Some(kept), None) => drop(table.take_in(kept, now)),
        (Some(kept), Some(held)) => {
            let later = kept.epoch.wrapping_sub(held.epoch).cast_signed() > 0;
            if later && *table.life(held).node != *kept.node {
                table.reassign(key, kept.node, Incarnation(0), now);
            }
        }
    }
}

fn remove(reader: LateReader) {
    let path = reader.path().to_owned();
    if let Err(error) = reader.remove() {
        log::warn!("{}: {error}", path.display());
    }
}

fn open(folder: &Path, service: &str, table: &OwnerTable, bus: &Bus) -> Result<Ledger, RegistryError> {
    let began = Instant::now();
    let Opened { ledger, found } = Ledger::open(folder, table, crate::world::clock::now())?;
    let Found { taken_in, left_out, cut, damage } = found;
    if taken_in + left_out > 0 {
        let owners = table.len();
        log::info!("owners of `{service}`: {owners} known from disk after {:?} ({left_out} left out)", began.elapsed());
    }
    if cut > 0 {
        log::info!("{}: {cut} bytes are no whole frame: a write that a crash cut short", folder.display());
    }
    for damage in damage {
        let kept = damage.kept.map_or_else(
            |error| format!("no copy could be kept: {error}"),
            |copy| format!("kept as {}", copy.display()),
        );
        let message = format!(
            "{}: {} stretch(es) cannot be read, and owners are lost with them; {kept}; check the disk",
            damage.file.display(),
            damage.stretches.len()
        );
        bus.tell("owners-damaged", service, "", message);
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests;
