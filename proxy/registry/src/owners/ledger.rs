//! The files of one service's owners.
//!
//! `current` names a snapshot; `log.N` and those after it, by number, go on from `snapshot.N`. A log is appended to until a
//! write fails: then its end is not trusted, and the next one begins. A snapshot is made beside all that, while the
//! newest log goes on, and comes into force when `current` names it: then what was before is removed. So a crash between
//! any two steps leaves a snapshot and every log behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_core::owners::OwnerTable;
use serde::{Deserialize, Serialize};

use super::entry::{self, Entry, LONGEST_FRAME};
use super::found::{Found, take_in};
use crate::disk::{Disk, Folder};
use crate::frame;
use crate::store::RegistryError;

const CURRENT: &str = "current";

/// The number before the first snapshot.
const FIRST: u64 = 1;

/// Logs shorter than this are not worth a snapshot.
const LOG_BYTES: usize = 4 << 20;

/// Numbers below the one in force under which something may have been left.
const LEFT: u64 = 64;

/// Bytes of entries in a frame of a snapshot, about.
const FRAME: usize = LONGEST_FRAME / 4;

/// Owners of one service, on disk.
pub struct Ledger {
    path: PathBuf,
    disk: Box<dyn Disk>,
    /// Number of the snapshot in force, and of the first log behind it.
    base: u64,
    /// Number of the log that is appended to.
    log: u64,
    /// Whether nothing was ever appended to that.
    blank: bool,
    /// Whether its end is not to be trusted.
    torn: bool,
    /// Bytes in all logs behind the snapshot.
    length: usize,
    snapshot_length: usize,
    /// Whether the files lack changes that the table has: only a snapshot brings them in.
    behind: bool,
    making: Option<Making>,
    log_bytes: usize,
}

/// A snapshot that is being made.
struct Making {
    number: u64,
    part: usize,
    entries: u64,
    bytes: usize,
    /// Bytes in logs before it.
    before: usize,
}

/// A ledger as it was found.
pub struct Opened {
    /// The ledger.
    pub ledger: Ledger,
    /// What was in it.
    pub found: Found,
}

#[derive(Serialize, Deserialize)]
struct Current {
    base: u64,
    /// Whether the process before this one said goodbye: then it is known since when nobody has asked for a key.
    #[serde(default)]
    orderly: bool,
}

/// The folder of a service's ledger below the registry's, whatever letters its name has.
pub fn folder_of(registry: &Path, service: &str) -> PathBuf {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let letter = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    registry.join("owners").join(service.bytes().map(letter).collect::<String>())
}

impl Ledger {
    /// Opens the ledger in a folder, made when missing, and takes what it holds into a table. Only whoever has the
    /// registry's lock may do so.
    pub fn open(path: &Path, table: &OwnerTable, now: Duration) -> Result<Opened, RegistryError> {
        let wrong = |cause| RegistryError::Folder { path: path.to_owned(), cause };
        std::fs::create_dir_all(path).map_err(wrong)?;
        Self::open_on(path, Box::new(Folder::new(path)), table, now)
    }

    /// Opens a ledger on a disk of the caller's; `path` is only for messages.
    pub fn open_on(
        path: &Path,
        disk: Box<dyn Disk>,
        table: &OwnerTable,
        now: Duration,
    ) -> Result<Opened, RegistryError> {
        let wrong = |name: &str, cause| RegistryError::Folder { path: path.join(name), cause };
        let mut disk = disk;
        let current = match disk.read(CURRENT).map_err(|cause| wrong(CURRENT, cause))? {
            None => Current { base: FIRST, orderly: false },
            Some(bytes) => read_current(&bytes).ok_or_else(|| RegistryError::Damaged {
                path: path.join(CURRENT),
                cause: "its checksum is wrong".into(),
            })?,
        };
        let Current { base, orderly } = current;
        let mut found = Found::default();
        let mut snapshot_length = 0;
        if let Some(bytes) = disk.read(&snapshot(base)).map_err(|cause| wrong(&snapshot(base), cause))? {
            snapshot_length = bytes.len();
            // Who was asked for since is not known after a crash: so nobody is forgotten too early.
            take_in(&bytes, table, now, orderly, &mut found);
            found.note(path, &snapshot(base), &bytes, true, disk.as_mut());
        } else if base > FIRST {
            found.lacks(path.join(snapshot(base)));
        }
        let (mut log, mut length) = (base, 0);
        while let Some(bytes) = disk.read(&name(log)).map_err(|cause| wrong(&name(log), cause))? {
            length += bytes.len();
            take_in(&bytes, table, now, orderly, &mut found);
            found.note(path, &name(log), &bytes, false, disk.as_mut());
            log += 1;
        }
        let mut behind = !found.damage.is_empty();
        if orderly && let Err(cause) = write_current(disk.as_mut(), &Current { base, orderly: false }) {
            log::warn!("{}: {CURRENT} could not be written: {cause}", path.display());
            // A snapshot replaces it as well: else times from before would be believed after a crash.
            behind = true;
        }
        // What an end between two steps has left: snapshots that were not made whole, and what was before this one.
        for part in base + 1..=log {
            let _ = disk.remove(&snapshot(part));
        }
        for old in base.saturating_sub(LEFT)..base {
            let _ = disk.remove(&name(old)).and_then(|()| disk.remove(&snapshot(old)));
        }
        let path = path.to_owned();
        // A log of its own: the end of the last may be cut.
        let ledger = Self {
            path,
            disk,
            base,
            log,
            blank: true,
            torn: false,
            length,
            snapshot_length,
            behind,
            making: None,
            log_bytes: LOG_BYTES,
        };
        Ok(Opened { ledger, found })
    }

    /// The same ledger with another bound on the length of its logs, so that a test sees snapshots.
    #[must_use]
    pub fn with_log_bytes(self, log_bytes: usize) -> Self {
        Self { log_bytes, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in logs behind the snapshot, and in that.
    pub fn bytes(&self) -> (usize, usize) {
        (self.length, self.snapshot_length)
    }

    /// Appends frames of a [`Queue`](super::Queue) and returns once they would survive a power cut. On an error the same
    /// are to be given again.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        // A full disk may have taken the name and nothing more.
        if self.torn && self.disk.read(&name(self.log))?.is_some_and(|bytes| !bytes.is_empty()) {
            self.log += 1;
        }
        (self.torn, self.blank) = (true, false);
        self.disk.append(&name(self.log), frames)?;
        self.torn = false;
        self.length += frames.len();
        Ok(())
    }

    /// Changes were dropped that will never be appended.
    pub fn lacks_changes(&mut self) {
        self.behind = true;
    }

    /// Whether it is time for a snapshot, or one is being made.
    pub fn wants_snapshot(&self) -> bool {
        self.making.is_some() || self.behind || self.length > self.log_bytes.max(self.snapshot_length)
    }

    /// Goes on with a snapshot by so many parts of the table, or begins one. True: the last part is written, and
    /// [`Ledger::finish`] may follow, once everything that the queue held until then is appended. On an error it is begun
    /// anew the next time, and takes up no room until then.
    pub fn go_on(&mut self, table: &OwnerTable, now: Duration, parts: usize) -> io::Result<bool> {
        let whole = self.write_parts(table, now, parts);
        if whole.is_err() {
            self.abandon();
        }
        whole
    }

    fn write_parts(&mut self, table: &OwnerTable, now: Duration, parts: usize) -> io::Result<bool> {
        if self.making.is_none() {
            self.making = Some(self.begin()?);
        }
        let Some(making) = &mut self.making else { return Ok(false) };
        let until = making.part.saturating_add(parts).min(table.parts());
        let mut bytes = Vec::new();
        for part in making.part..until {
            write_part(table, part, now, &mut bytes, &mut making.entries)?;
        }
        making.part = until;
        if !bytes.is_empty() {
            self.disk.append(&snapshot(making.number), &bytes)?;
            making.bytes += bytes.len();
        }
        Ok(making.part == table.parts())
    }

    fn begin(&mut self) -> io::Result<Making> {
        // Its log holds nothing from before: else an old change in it would be taken for a newer one than the snapshot has.
        let number = if self.blank && self.log > self.base { self.log } else { self.log + 1 };
        // What was left of an attempt before.
        self.disk.remove(&snapshot(number))?;
        // No number between the logs may be missing.
        for log in self.log..=number {
            self.disk.append(&name(log), &[])?;
        }
        let before = self.length;
        (self.log, self.blank, self.torn) = (number, true, false);
        // What is dropped from here on may be missing in it, too.
        self.behind = false;
        Ok(Making { number, part: 0, entries: 0, bytes: 0, before })
    }

    /// Puts the snapshot in force that [`Ledger::go_on`] has made, and removes what was before.
    pub fn finish(&mut self) -> io::Result<()> {
        let Some(making) = &self.making else { return Ok(()) };
        let number = making.number;
        let end = entry::end(making.entries)?;
        if let Err(error) = self.disk.append(&snapshot(number), &end) {
            self.abandon();
            return Err(error);
        }
        let Some(making) = self.making.take() else { return Ok(()) };
        // It may come into force although it is reported as failed: then its number is not to be used again.
        let blank = std::mem::replace(&mut self.blank, false);
        if let Err(error) = write_current(self.disk.as_mut(), &Current { base: number, orderly: false }) {
            self.behind = true;
            if !self.may_be_in_force(number) {
                self.remove(&snapshot(number));
            }
            return Err(error);
        }
        self.blank = blank;
        self.snapshot_length = making.bytes + end.len();
        self.length -= making.before;
        let old = std::mem::replace(&mut self.base, number);
        for number in old..self.base {
            self.remove(&name(number));
            self.remove(&snapshot(number));
        }
        Ok(())
    }

    /// Whether `current` may name this snapshot although that could not be written.
    fn may_be_in_force(&self, number: u64) -> bool {
        match self.disk.read(CURRENT) {
            Ok(None) => false,
            Ok(Some(bytes)) => read_current(&bytes).is_none_or(|current| current.base == number),
            Err(_) => true,
        }
    }

    /// A snapshot was not made whole: it is begun anew. What there is of it goes, for the disk may be full.
    pub fn abandon(&mut self) {
        if let Some(making) = self.making.take() {
            self.remove(&snapshot(making.number));
        }
        self.behind = true;
    }

    fn remove(&mut self, file: &str) {
        if let Err(cause) = self.disk.remove(file) {
            log::warn!("{}: {file} could not be removed: {cause}", self.path.display());
        }
    }

    /// Makes a whole snapshot now.
    pub fn snapshot(&mut self, table: &OwnerTable, now: Duration) -> io::Result<()> {
        self.abandon();
        self.go_on(table, now, usize::MAX)?;
        self.finish()
    }

    /// Nothing is appended any more, and the snapshot says since when nobody has asked for a key.
    pub fn goodbye(&mut self) -> io::Result<()> {
        write_current(self.disk.as_mut(), &Current { base: self.base, orderly: true })
    }
}

/// Appends the frames of one part of a table.
fn write_part(table: &OwnerTable, part: usize, now: Duration, out: &mut Vec<u8>, entries: &mut u64) -> io::Result<()> {
    let mut payload = vec![entry::ENTRIES];
    let mut written = Ok(());
    table.each_of(part, now, |kept| {
        *entries += 1;
        entry::put(&mut payload, Entry::Owned(kept));
        if payload.len() >= FRAME && written.is_ok() {
            written = frame::wrap(&payload).map(|frame| out.extend_from_slice(&frame));
            payload.truncate(1);
        }
    });
    written?;
    if payload.len() > 1 {
        out.extend_from_slice(&frame::wrap(&payload)?);
    }
    Ok(())
}

fn read_current(bytes: &[u8]) -> Option<Current> {
    let (payload, _) = frame::unwrap(bytes).filter(|(_, rest)| rest.is_empty())?;
    serde_json::from_slice(payload).ok()
}

fn write_current(disk: &mut dyn Disk, current: &Current) -> io::Result<()> {
    disk.replace(CURRENT, &frame::wrap(&serde_json::to_vec(current)?)?)
}

fn name(log: u64) -> String {
    format!("log.{log}")
}

fn snapshot(number: u64) -> String {
    format!("snapshot.{number}")
}
