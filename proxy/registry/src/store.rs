//! The embedded store: an append-only log behind a checkpoint.
//!
//! `checkpoint` holds the whole state and the number of the log that goes on from it (`log.N`). A batch of changes is
//! one record and one `fdatasync`. When the log has outgrown the state, the state is written aside and renamed over
//! the checkpoint, naming the next log; a crash between any two steps leaves a checkpoint and the log it names.
//!
//! After any failed write or sync, nothing is known of the log's tail (a failed `fsync` may have dropped pages that
//! later reads still show), so it is never appended to again: the next commit writes a checkpoint first.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Folder};
use crate::frame;
use crate::state::{Change, State};

const CHECKPOINT: &str = "checkpoint";
const LOCK: &str = "lock";

/// A log shorter than this is not worth a checkpoint: reading a mebibyte back takes milliseconds.
pub(crate) const LOG_BYTES: usize = 1 << 20;

/// Why the registry cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another process has it.
    #[error("{}: another process uses this registry; give each proxy a folder of its own (`registry: {{ path: … }}`), or stop the other one", .0.display())]
    Locked(PathBuf),
    /// The folder or a file in it cannot be used.
    #[error("{}: {cause}; give the proxy a folder that it may write (`registry: {{ path: … }}`)", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is damaged in a way that no crash of ours leaves behind: a fault of the disk, an edit, a newer version.
    #[error("{}: the file is damaged ({cause}); restore it from a copy, or move the folder away, let the nodes join again and drain anew those that were drained", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A commit could not be written; it did not happen.
    #[error("{}: {cause}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// An open store.
pub struct Store {
    path: PathBuf,
    disk: Box<dyn Disk>,
    state: State,
    /// Number of the log in use.
    log: u64,
    /// Bytes in it; `None`: its tail is not trusted, a checkpoint comes first.
    length: Option<usize>,
    checkpoint_length: usize,
    log_bytes: usize,
    /// Held until the store is dropped. No lock: a test's disk.
    _lock: Option<File>,
}

/// A store as it was found.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Bytes at the end of the log that were not a whole record: a write that a crash cut short, which was never
    /// acknowledged, or damage to the last record, which was. What is left of them does not tell.
    pub cut: usize,
    /// What was damaged in the middle of the log, in a way that no crash of ours leaves behind.
    pub damage: Option<Damage>,
}

/// Damage in a log: a fault of the disk, or an edit. What could be read around it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The log.
    pub file: PathBuf,
    /// Offset and length in bytes of each stretch that could not be read.
    pub stretches: Vec<(usize, usize)>,
    /// The copy that was kept, or why there is none.
    pub kept: Result<PathBuf, String>,
}

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    log: u64,
    #[serde(flatten)]
    state: State,
}

impl Store {
    /// Opens the store in a folder, made when missing, and locks it for this process.
    pub fn open(path: &Path) -> Result<Opened, RegistryError> {
        let folder = |path: &Path| {
            let path = path.to_owned();
            move |cause| RegistryError::Folder { path, cause }
        };
        std::fs::create_dir_all(path).map_err(folder(path))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().create(true).append(true).open(&lock_path).map_err(folder(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RegistryError::Locked(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(RegistryError::Folder { path: lock_path, cause }),
        }
        Self::recover(path, Box::new(Folder::new(path)), Some(lock))
    }

    /// Opens a store on a disk of the caller's; `path` is only for messages.
    pub fn open_on(path: &Path, disk: Box<dyn Disk>) -> Result<Opened, RegistryError> {
        Self::recover(path, disk, None)
    }

    fn recover(path: &Path, disk: Box<dyn Disk>, lock: Option<File>) -> Result<Opened, RegistryError> {
        let read = |name: &str| disk.read(name).map_err(|cause| RegistryError::Folder { path: path.join(name), cause });
        let (checkpoint, checkpoint_length) = match read(CHECKPOINT)? {
            None => (Checkpoint { log: 1, state: State::default() }, 0),
            Some(bytes) => {
                let damaged = |cause: String| RegistryError::Damaged { path: path.join(CHECKPOINT), cause };
                let (payload, rest) = frame::unwrap(&bytes).ok_or_else(|| damaged("its checksum is wrong".into()))?;
                if !rest.is_empty() {
                    return Err(damaged(format!("{} bytes follow its end", rest.len())));
                }
                (serde_json::from_slice(payload).map_err(|e| damaged(e.to_string()))?, bytes.len())
            }
        };
        let Checkpoint { log, mut state } = checkpoint;
        let bytes = read(&log_name(log))?.unwrap_or_default();
        let Replay { damaged, cut } = replay(&bytes, &mut state)
            .map_err(|cause| RegistryError::Damaged { path: path.join(log_name(log)), cause })?;
        let mut disk = disk;
        let damage = (!damaged.is_empty()).then(|| {
            // Copied before the log is left behind; a copy that fails must not keep the proxy from starting.
            let aside = aside_name(log);
            let kept = disk.replace(&aside, &bytes).map(|()| path.join(aside)).map_err(|cause| cause.to_string());
            Damage { file: path.join(log_name(log)), stretches: damaged, kept }
        });
        // But for this, nothing is written here: a proxy whose disk is full still starts with the nodes it knew. A log
        // with a torn end or damage is left behind by the checkpoint that the first commit writes.
        if let Err(cause) = disk.remove(&log_name(log - 1)) {
            log::warn!("{}: {} is of no use and could not be removed: {cause}", path.display(), log_name(log - 1));
        }
        let length = (cut == 0 && damage.is_none()).then_some(bytes.len());
        let path = path.to_owned();
        let store = Self { path, disk, state, log, length, checkpoint_length, log_bytes: LOG_BYTES, _lock: lock };
        Ok(Opened { store, cut, damage })
    }

    /// The same store with another bound on the log's length than [`LOG_BYTES`], so that a test sees checkpoints.
    #[must_use]
    pub fn with_log_bytes(self, log_bytes: usize) -> Self {
        Self { log_bytes, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes changes, all or none, and returns once they would survive a power cut. On an error nothing has changed
    /// here, and the next commit tries afresh; the changes may all the same be found after a crash, as with any
    /// write whose acknowledgement was lost.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), RegistryError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write(changes).map_err(|cause| RegistryError::Write { path: self.path.clone(), cause })?;
        changes.iter().for_each(|change| self.state.apply(change));
        if self.length.is_some_and(|length| length > self.log_bytes.max(2 * self.checkpoint_length)) {
            // The changes are safe in the log: a checkpoint that fails here is tried again at the next commit.
            if let Err(cause) = self.checkpoint() {
                log::warn!("{}: no checkpoint could be written: {cause}", self.path.display());
            }
        }
        Ok(())
    }

    /// Writes the whole state as a checkpoint and begins an empty log.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        let next = self.log + 1;
        // Left from an attempt whose checkpoint never came into force; nothing names it.
        self.disk.remove(&log_name(next))?;
        let payload = serde_json::to_vec(&Checkpoint { log: next, state: self.state.clone() })?;
        let bytes = frame::wrap(&payload)?;
        if let Err(cause) = self.disk.replace(CHECKPOINT, &bytes) {
            // It may have come into force although it was reported as failed: the old log is no longer to be trusted
            // with new records.
            self.length = None;
            return Err(cause);
        }
        let old = std::mem::replace(&mut self.log, next);
        self.length = Some(0);
        self.checkpoint_length = bytes.len();
        if let Err(cause) = self.disk.remove(&log_name(old)) {
            log::warn!("{}: {} could not be removed: {cause}", self.path.display(), log_name(old));
        }
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> io::Result<()> {
        let length = match self.length {
            Some(length) => length,
            None => {
                self.checkpoint()?;
                0
            }
        };
        let record = frame::wrap(&serde_json::to_vec(changes)?)?;
        self.length = None;
        self.disk.append(&log_name(self.log), &record)?;
        self.length = Some(length + record.len());
        Ok(())
    }
}

/// What a log held that is no record.
struct Replay {
    /// Offset and length of each stretch that a whole record follows.
    damaged: Vec<(usize, usize)>,
    /// Bytes at the end.
    cut: usize,
}

/// Carries out every whole record of a log.
///
/// A crash tears the last record only, since each was synced before the next was written. A whole record behind a
/// broken one says that acknowledged changes are lost.
fn replay(bytes: &[u8], state: &mut State) -> Result<Replay, String> {
    let mut damaged = Vec::new();
    let mut at = 0;
    loop {
        while let Some((payload, after)) = frame::unwrap(&bytes[at..]) {
            let changes: Vec<Change> =
                serde_json::from_slice(payload).map_err(|e| format!("the record at byte {at} cannot be read: {e}"))?;
            changes.iter().for_each(|change| state.apply(change));
            at = bytes.len() - after.len();
        }
        match (at + 1..bytes.len()).find(|next| frame::unwrap(&bytes[*next..]).is_some()) {
            Some(next) => {
                damaged.push((at, next - at));
                at = next;
            }
            None => return Ok(Replay { damaged, cut: bytes.len() - at }),
        }
    }
}

/// The name under which a damaged log is kept: seconds since 1970 tell two of the same number apart.
fn aside_name(log: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.damaged-{}", log_name(log), since.as_secs())
}

fn log_name(number: u64) -> String {
    format!("log.{number}")
}
