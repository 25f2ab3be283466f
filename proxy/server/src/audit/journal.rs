//! A file of lines that grows by whole lines, moves aside when it is full, and is made whole when it is opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::json;

use super::Record;

/// Bytes that a line may have, its end included: two descriptions of a node with all of its labels.
pub(super) const LONGEST: usize = 128 * 1024;

/// An open file of lines.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in it.
    size: u64,
    max_bytes: u64,
    keep: u32,
}

impl Journal {
    /// Opens it; what a crash left of a line is taken off its end and told in a line of its own.
    pub(super) fn open(path: &Path, max_bytes: u64, keep: u32) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut file = create(path)?;
        let torn = torn_end(&mut file)?;
        let size = file.metadata()?.len() - torn.len() as u64;
        let mut journal = Self { path: path.to_owned(), file, size, max_bytes, keep };
        if !torn.is_empty() {
            journal.file.set_len(size)?;
            log::warn!("the last line of {} was cut short by a crash: {} bytes", path.display(), torn.len());
            let text: String = String::from_utf8_lossy(&torn).chars().take(LONGEST / 8).collect();
            let record = Record {
                time: SystemTime::now(),
                before: json!({ "torn": text, "bytes": torn.len() }),
                ..Record::new("proxy", "repair-audit")
            };
            let mut line = serde_json::to_vec(&record)?;
            line.push(b'\n');
            journal.append(&line)?;
        }
        journal.sync_name()?;
        Ok(journal)
    }

    /// Writes whole lines and returns once they would survive a power cut. On an error nothing of them is there.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.size += lines.len() as u64,
            // If this fails too, what is there is no whole line, and the next start takes it off.
            Err(_) => self.file.set_len(self.size)?,
        }
        written
    }

    /// Sets `bytes` aside behind the last line, in a new file where this one is full.
    pub(super) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if self.size >= self.max_bytes {
            self.rotate(bytes)?;
        }
        allocate(&self.file, libc::FALLOC_FL_KEEP_SIZE, self.size, bytes)
    }

    /// The new file has its room before the old one moves: on a full disk everything stays where it is.
    fn rotate(&mut self, bytes: u64) -> io::Result<()> {
        let aside = self.path.with_added_extension("new");
        let _ = fs::remove_file(&aside);
        let new = create(&aside)?;
        if let Err(error) = allocate(&new, libc::FALLOC_FL_KEEP_SIZE, 0, bytes) {
            let _ = fs::remove_file(&aside);
            return Err(error);
        }
        // What was set aside in the old one is given back; that it stays costs room and nothing else.
        let _ = allocate(&self.file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, self.size, bytes);
        for number in (1..self.keep).rev() {
            // What is not there yet cannot be moved on.
            let _ = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        fs::rename(&self.path, self.numbered(1))?;
        fs::rename(&aside, &self.path)?;
        (self.file, self.size) = (new, 0);
        self.sync_name()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        self.path.with_added_extension(number.to_string())
    }

    fn sync_name(&self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// For its owner alone: it says who runs the house.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// What stands behind the last line's end.
fn torn_end(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut from = length;
    let mut tail: Vec<u8> = Vec::new();
    while from > 0 {
        let step = from.min(LONGEST as u64);
        from -= step;
        file.seek(SeekFrom::Start(from))?;
        let mut piece = vec![0; usize::try_from(step).unwrap_or(LONGEST)];
        file.read_exact(&mut piece)?;
        piece.extend_from_slice(&tail);
        if let Some(end) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(piece.split_off(end + 1));
        }
        tail = piece;
    }
    Ok(tail)
}

/// fallocate(2). A file system that cannot set room aside takes each line as it comes.
fn allocate(file: &File, mode: libc::c_int, from: u64, bytes: u64) -> io::Result<()> {
    let (from, bytes) = (i64::try_from(from).unwrap_or(i64::MAX), i64::try_from(bytes).unwrap_or(i64::MAX));
    // SAFETY: takes a descriptor that `file` keeps open for the length of the call, and three numbers; touches no memory.
    #[expect(unsafe_code, reason = "the standard library cannot set room aside in a file")]
    let outcome = unsafe { libc::fallocate(file.as_raw_fd(), mode, from, bytes) };
    if outcome == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(()),
        error => Err(error),
    }
}
