//! Which files have changed, by what the file system says of them.
//!
//! Asked once a second rather than told: certificates are often links into folders that are swapped whole, or stand on
//! file systems of a network, whose changes nobody tells.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device, inode, length, time of the last write and of the last change. Follows links. `None`: nothing is there.
type Trace = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

fn trace(file: &Path) -> Trace {
    let found = std::fs::metadata(file).ok()?;
    let (written, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.size(), written, changed))
}

/// What was seen of some files.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// When they were last read.
    read: Vec<(PathBuf, Trace)>,
    /// At the last look.
    last: Vec<(PathBuf, Trace)>,
}

fn all(files: Vec<&Path>) -> Vec<(PathBuf, Trace)> {
    files.into_iter().map(|file| (file.to_owned(), trace(file))).collect()
}

impl Traces {
    /// They are being read now.
    pub(super) fn look(&mut self, files: Vec<&Path>) {
        self.read = all(files);
        self.last.clone_from(&self.read);
    }

    /// Whether they are others than those that were read, and the same as at the last look: a certificate and its key
    /// are written one after the other.
    pub(super) fn changed(&mut self, files: Vec<&Path>) -> bool {
        let now = all(files);
        let changed = now != self.read && now == self.last;
        self.last = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_the_files_have_come_to_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let files = || vec![one.as_path(), two.as_path()];
        std::fs::write(&one, "1").expect("written");
        let mut traces = Traces::default();
        traces.look(files());
        assert!(!traces.changed(files()));
        std::fs::write(&one, "12").expect("written");
        assert!(!traces.changed(files()), "it may still be written");
        std::fs::write(&two, "2").expect("written");
        assert!(!traces.changed(files()), "so may the other");
        assert!(traces.changed(files()));
        traces.look(files());
        assert!(!traces.changed(files()));
        std::fs::remove_file(&two).expect("removed");
        assert!(!traces.changed(files()));
        assert!(traces.changed(files()), "gone is a change too");
    }
}
