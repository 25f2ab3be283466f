//! Says when a file that the configuration rests on may have changed.
//!
//! Folders are watched, not files: editors write a new file and rename it, and a symlink may be swapped. Other files of
//! those folders change too (a log beside the configuration, say), so an event only leads to a look at the files that
//! matter, and nothing is read again while they are what they were.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Watches folders and sends one unit for any change below them.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    seen: Vec<Option<Trace>>,
}

/// What tells one content of a file from another without reading it: device, inode, length, time of the last write and
/// of the last change in nanoseconds.
type Trace = (u64, u64, u64, i128, i128);

/// Follows links, so a link that was swapped leaves another trace. `None`: nothing is there.
fn trace(file: &PathBuf) -> Option<Trace> {
    let found = std::fs::metadata(file).ok()?;
    let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let (written, changed) = (time(found.mtime(), found.mtime_nsec()), time(found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.size(), written, changed))
}

impl Watch {
    /// A watch on nothing yet, and the end that is told of changes.
    pub(super) fn new() -> (Self, mpsc::Receiver<()>) {
        // One pending unit says all: the reload reads everything again.
        let (changed, told) = mpsc::channel(1);
        let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and the reload itself reads: only what can change contents counts.
            if event.map_or(true, |e| !e.kind.is_access() || closed_after_write(e.kind)) {
                let _ = changed.try_send(());
            }
        });
        if let Err(error) = &made {
            log::warn!("files cannot be watched ({error}); use SIGHUP or POST /v1/config/reload after a change");
        }
        (Self { watcher: made.ok(), folders: BTreeSet::new(), files: Vec::new(), seen: Vec::new() }, told)
    }

    /// Watches the folders of exactly these files, and of what they link to. Answers whether any is new here: a change
    /// from before that has left no event.
    pub(super) fn files<'a>(&mut self, files: impl Iterator<Item = &'a Path>) -> bool {
        let files: Vec<PathBuf> = files.map(Path::to_owned).collect();
        let listed = files != self.files;
        if listed {
            self.seen = files.iter().map(trace).collect();
            self.files = files;
        }
        let wanted: BTreeSet<PathBuf> = self.files.iter().flat_map(|file| folders(file)).collect();
        let Some(watcher) = &mut self.watcher else { return listed };
        for gone in self.folders.difference(&wanted) {
            // A folder that was removed cannot be unwatched; that is what was wanted.
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                log::warn!("changes in {} cannot be seen: {error}", new.display());
            }
        }
        self.folders = wanted;
        listed
    }
}

impl Watch {
    /// Whether any of the files is another than at the last look.
    pub(super) fn differs(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(trace).collect();
        let differs = now != self.seen;
        self.seen = now;
        differs
    }
}

fn closed_after_write(kind: notify::EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
}

/// The folder that holds a file and the folder of what it links to.
fn folders(file: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut found = vec![parent(file)];
    if let Ok(target) = file.canonicalize() {
        found.push(parent(&target));
    }
    found
}
