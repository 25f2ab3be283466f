//! What processes that have handed over still learn: files of theirs beside the ledger, read as they grow.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use pointsman_core::owners::OwnerTable;
use pointsman_core::owners::parts::Kept;
use pointsman_registry::owners::LateReader;

#[derive(Default)]
pub(super) struct Following {
    readers: Vec<LateReader>,
    /// Whether it was said that one cannot be read.
    failing: bool,
}

impl Following {
    /// Files in the folder of a ledger: of the process before this one, which tells what those before it learn. Where it left
    /// none, all that there are. `from`: nobody where this process took over from nobody: who wrote them has ended.
    pub(super) fn find(folder: &Path, from: Option<u32>) -> Self {
        let mut readers = LateReader::find(folder).unwrap_or_else(|error| {
            log::warn!("{}: {error}", folder.display());
            Vec::new()
        });
        let Some(from) = from else {
            readers.into_iter().for_each(remove);
            return Self::default();
        };
        let is = |reader: &LateReader| reader.writer() == Some(from);
        if readers.iter().any(is) {
            readers.retain(is);
        }
        Self { readers, failing: false }
    }

    /// Takes in what has come.
    pub(super) fn follow(&mut self, table: &OwnerTable, now: Duration) {
        let (mut ended, mut failed) = (Vec::new(), None);
        self.readers.retain_mut(|reader| {
            match reader.follow(|key, owner| agree(table, key, owner, now)) {
                Ok(false) => return true,
                Ok(true) => ended.push(LateReader::of(reader.path())),
                // Another has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    // The next look may be luckier, and goes on where this one began.
                    failed = Some(format!("{}: {error}; it is tried again", reader.path().display()));
                    return true;
                }
            }
            false
        });
        let was = std::mem::replace(&mut self.failing, failed.is_some());
        if let Some(failed) = failed.filter(|_| !was) {
            log::warn!("{failed}");
        }
        for reader in ended {
            // An error: another has removed it.
            let _ = reader.remove();
        }
    }
}

/// Another process says so of a key. Where both have learnt it, the later epoch holds, and of equal ones what is known here. It
/// cannot release what this process has learnt or moved by itself, only what it knows from disk or from the other.
pub(super) fn agree(table: &OwnerTable, key: &str, owner: Option<Kept<'_>>, now: Duration) {
    match owner {
        Some(kept) => drop(table.take_later(kept, now)),
        None => {
            let told = |owner| table.life(owner).incarnation.0 == 0;
            if table.peek(key, now).is_some_and(told) {
                table.release(key, now);
            }
        }
    }
}

/// Keys of which such a file says that they were released, whatever became of them.
pub(super) fn released(path: &Path) -> io::Result<HashSet<String>> {
    let mut released = HashSet::new();
    LateReader::of(path).follow(|key, owner| {
        if owner.is_none() {
            released.insert(key.to_owned());
        }
    })?;
    Ok(released)
}

fn remove(reader: LateReader) {
    let path = reader.path().to_owned();
    if let Err(error) = reader.remove() {
        log::warn!("{}: {error}", path.display());
    }
}
