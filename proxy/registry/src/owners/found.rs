//! What is found in the files of a ledger when it is opened.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_core::owners::OwnerTable;
use pointsman_core::owners::parts::Kept;

use super::entry::{self, Entry, Frames};
use crate::disk::Disk;
use crate::store::Damage;

/// What was in a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Owners of the snapshot and changes in the logs that were taken in.
    pub taken_in: u64,
    /// Those that were past their time.
    pub left_out: u64,
    /// Bytes at the ends of logs that are no whole frame: writes that a crash cut short.
    pub cut: usize,
    /// What was damaged in a way that no crash leaves behind.
    pub damage: Vec<Damage>,
}

impl Found {
    /// Writes down what was damaged, and keeps a copy of it. `ends`: a last frame has to be there.
    pub(super) fn note(&mut self, path: &Path, file: &str, bytes: &[u8], ends: bool, disk: &mut dyn Disk) {
        let mut frames = Frames::of(bytes);
        let ended = frames.by_ref().last().is_some_and(|payload| payload.first() == Some(&entry::END));
        if ends && (!ended || frames.cut() > 0) {
            frames.damaged.push((frames.read(), frames.cut()));
        } else {
            self.cut += frames.cut();
        }
        if frames.damaged.is_empty() {
            return;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let aside = format!("{file}.damaged-{}", since.as_secs());
        let kept = disk.replace(&aside, bytes).map(|()| path.join(aside)).map_err(|cause| cause.to_string());
        self.damage.push(Damage { file: path.join(file), stretches: frames.damaged, kept });
    }

    /// Writes down that a file which ought to be there is not.
    pub(super) fn lacks(&mut self, file: PathBuf) {
        self.damage.push(Damage { file, stretches: vec![(0, 0)], kept: Err("the file is missing".into()) });
    }
}

/// Takes what the frames of a file say into a table. Since when nobody has asked for a key is believed after an orderly end
/// alone; else a second at most is, so that owners of a snapshot give way to those of the logs behind it where the table is full.
pub(super) fn take_in(bytes: &[u8], table: &OwnerTable, now: Duration, orderly: bool, found: &mut Found) {
    for payload in Frames::of(bytes) {
        let Some((&entry::ENTRIES, entries)) = payload.split_first() else { continue };
        let known = entry::each(entries, &mut |entry| match entry {
            Entry::Owned(kept) => {
                let idle = if orderly { kept.idle } else { kept.idle.min(1) };
                if table.take_in(Kept { idle, ..kept }, now) {
                    found.taken_in += 1;
                } else {
                    found.left_out += 1;
                }
            }
            Entry::Released(key) => drop(table.release(key, now)),
        });
        if !known {
            log::warn!("a frame of owners is whole and cannot be read: another version wrote it");
        }
    }
}
