//! Where lines go: nowhere, standard output, or a file that is rotated.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pointsman_config::plan;

/// An open place for lines.
#[derive(Debug)]
pub(super) enum Sink {
    Off,
    Stdout,
    File(Rotated),
}

/// A file that moves aside when it is full: `access.log` becomes `access.log.1`, that becomes `access.log.2`.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    file: File,
    size: u64,
    max_bytes: u64,
    keep: u32,
}

impl Sink {
    pub(super) fn open(plan: &plan::AccessLog) -> io::Result<Self> {
        Ok(match plan {
            plan::AccessLog::Off => Self::Off,
            plan::AccessLog::Stdout => Self::Stdout,
            plan::AccessLog::File { path, max_bytes, keep } => {
                let (file, size) = append(path)?;
                Self::File(Rotated { path: path.clone(), file, size, max_bytes: *max_bytes, keep: *keep })
            }
        })
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            _ if lines.is_empty() => Ok(()),
            Self::Off => Ok(()),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(rotated) => rotated.write(lines),
        }
    }
}

impl Rotated {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size >= self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            // What is not there yet cannot be moved on.
            let _ = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        } else {
            fs::rename(&self.path, self.numbered(1))?;
        }
        (self.file, self.size) = append(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(named)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(named)?;
    let size = file.metadata().map_err(named)?.len();
    Ok((file, size))
}
