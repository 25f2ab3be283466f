//! What a process learns after it has handed the ledger over: a file of its own beside the ledger, which the process that
//! took over reads as it grows. So each file has one writer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pointsman_core::owners::parts::Kept;

use super::entry::{self, Entry, Frames};

const PREFIX: &str = "late.";

/// Writes it.
#[derive(Debug)]
pub struct Late {
    path: PathBuf,
    file: File,
    /// Bytes up to the end of the last frames that were written whole.
    good: u64,
    /// Whether something may stand behind them.
    torn: bool,
}

impl Late {
    /// Begins one in the folder of a service's ledger. `writer` tells it from those of others: the process.
    pub fn begin(folder: &Path, writer: u32) -> io::Result<Self> {
        let path = folder.join(format!("{PREFIX}{writer}"));
        // What another process of that number has left is of no use: whoever follows one knows where it stopped.
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        Ok(Self { path, file, good: 0, torn: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends frames of a [`Queue`](super::Queue). On an error the same are to be given again: they take the place of what
    /// there is of them, which a reader would not get past.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        if self.torn {
            self.file.set_len(self.good)?;
            self.file.seek(SeekFrom::Start(self.good))?;
        }
        self.torn = true;
        self.file.write_all(frames)?;
        self.file.sync_data()?;
        self.good += frames.len() as u64;
        self.torn = false;
        Ok(())
    }

    /// Nobody is to read it.
    pub fn discard(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }

    /// Nothing follows.
    pub fn end(mut self) -> io::Result<()> {
        self.append(&entry::end(0)?)
    }
}

/// Reads one as it grows.
#[derive(Debug)]
pub struct LateReader {
    path: PathBuf,
    read: u64,
}

impl LateReader {
    /// From the beginning of one.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0 }
    }

    /// Those in a folder.
    pub fn find(folder: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX)) {
                found.push(Self::of(&path));
            }
        }
        Ok(found)
    }

    /// Which file it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who writes it.
    pub fn writer(&self) -> Option<u32> {
        self.path.extension()?.to_str()?.parse().ok()
    }

    /// Tells what has come since the last time: a key with its owner, or without. True: nothing follows any more.
    pub fn follow(&mut self, mut see: impl FnMut(&str, Option<Kept<'_>>)) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (mut frames, mut ended) = (Frames::of(&bytes), false);
        while let Some(payload) = frames.next_in_line() {
            match payload.split_first() {
                Some((&entry::ENTRIES, entries)) => {
                    entry::each(entries, &mut |entry| match entry {
                        Entry::Owned(kept) => see(kept.key, Some(kept)),
                        Entry::Released(key) => see(key, None),
                    });
                }
                _ => ended = true,
            }
        }
        self.read += frames.read() as u64;
        Ok(ended)
    }

    /// Removes the file: its end was read, or its writer is no more.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}

#[cfg(test)]
mod tests;
