//! The few things a store does to files, so that a test can let each of them fail or lose what was not synced.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Named files that can be appended to, made durable, and replaced whole.
pub trait Disk: Send {
    /// The content of a file; `None` when there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Appends to a file (created when missing) and returns once the bytes, and the file's name, would survive a power
    /// cut. On an error, any part of the bytes may be there.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Replaces a file by these bytes, atomically and durably: after a crash it has the old content or the new.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file; fine when there is none.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// Files of one folder on a real disk.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The file that is appended to, kept open.
    open: Option<(String, File)>,
}

impl Folder {
    /// A folder, which exists.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

impl Disk for Folder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.path.join(name)) {
            Ok(mut file) => file.read_to_end(&mut bytes).map(|_| Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            let file = OpenOptions::new().create(true).append(true).open(self.path.join(name))?;
            self.sync_names()?;
            self.open = Some((name.to_owned(), file));
        }
        let Some((_, file)) = &mut self.open else { return Err(ErrorKind::NotFound.into()) };
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let aside = self.path.join(format!("{name}.new"));
        let written = Self::write_and_sync(&aside, bytes).and_then(|()| std::fs::rename(&aside, self.path.join(name)));
        if written.is_err() {
            // Half a file would only take up room on a disk that may be full.
            let _ = std::fs::remove_file(&aside);
        }
        written.and_then(|()| self.sync_names())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.take_if(|(open, _)| open == name);
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
