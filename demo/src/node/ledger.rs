//! What a node knows because it was told: accounts, orders, payments, sessions. In a file it outlives the process, and
//! nodes that share the file know each other's entries, as replicas of one store do.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Older entries are forgotten beyond this many, so that a load test does not fill the memory.
const KEPT: usize = 1_000_000;

/// Where an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// At this node, in this life or an earlier one.
    Ours,
    /// At another that writes to the same file.
    Theirs,
}

/// The entries of one node.
#[derive(Debug)]
pub(super) struct Ledger {
    node: String,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<String, Whose>,
    in_order: VecDeque<String>,
    file: Option<Shelf>,
}

/// The file, read as far as others have written it.
#[derive(Debug)]
struct Shelf {
    append: File,
    read: File,
    /// A line whose end was not there yet.
    rest: String,
}

impl Ledger {
    /// Opens the file, where there is one, and knows what stands in it: `KIND/KEY<TAB>UNIQUE<TAB>NODE` a line.
    pub(super) fn open(node: &str, path: Option<&Path>) -> io::Result<Self> {
        let mut inner = Inner::default();
        if let Some(path) = path {
            let append = OpenOptions::new().create(true).append(true).open(path)?;
            inner.file = Some(Shelf { append, read: File::open(path)?, rest: String::new() });
            inner.catch_up(node)?;
        }
        Ok(Self { node: node.into(), inner: Mutex::new(inner) })
    }

    /// Notes that the request `unique` made the entry `key` of that kind. One write a line: what was acknowledged survives a
    /// kill of this process, though not of the machine.
    pub(super) fn add(&self, kind: &str, key: &str, unique: &str) -> io::Result<()> {
        let mut inner = self.lock();
        let name = format!("{kind}/{key}");
        if let Some(shelf) = &mut inner.file {
            let line = format!("{}\t{}\t{}\n", plain(&name), plain(unique), self.node);
            shelf.append.write_all(line.as_bytes())?;
        }
        inner.know(name, Whose::Ours);
        Ok(())
    }

    /// Whether it knows that entry, and where it was made. What is not known is looked for in the file once more.
    pub(super) fn knows(&self, kind: &str, key: &str) -> Option<Whose> {
        let mut inner = self.lock();
        let name = format!("{kind}/{key}");
        if !inner.known.contains_key(&name) {
            // A file that cannot be read is an entry that is not known.
            let _ = inner.catch_up(&self.node);
        }
        inner.known.get(&name).copied()
    }

    /// The largest key of a kind whose keys are numbers; 0 if there is none.
    pub(super) fn highest(&self, kind: &str) -> u64 {
        let inner = self.lock();
        let of_kind = |name: &String| name.strip_prefix(kind)?.strip_prefix('/')?.parse().ok();
        inner.known.keys().filter_map(of_kind).max().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn know(&mut self, name: String, whose: Whose) {
        // An entry stays whose it was first.
        if self.known.contains_key(&name) {
            return;
        }
        self.known.insert(name.clone(), whose);
        self.in_order.push_back(name);
        if self.in_order.len() > KEPT
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn catch_up(&mut self, node: &str) -> io::Result<()> {
        let Some(shelf) = &mut self.file else { return Ok(()) };
        let mut text = std::mem::take(&mut shelf.rest);
        shelf.read.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        shelf.rest = text[whole..].to_owned();
        for line in text[..whole].lines() {
            let mut columns = line.split('\t');
            let (name, by) = (columns.next().unwrap_or_default(), columns.nth(1).unwrap_or_default());
            self.know(name.to_owned(), if by == node { Whose::Ours } else { Whose::Theirs });
        }
        Ok(())
    }
}

/// Tabs and line ends are the file's own.
fn plain(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_file_outlives_the_node_and_others_see_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let one = Ledger::open("one", Some(&path)).expect("a ledger");
        let two = Ledger::open("two", Some(&path)).expect("a ledger");
        one.add("user", "anna", "r-1").expect("written");
        assert_eq!((one.knows("user", "anna"), two.knows("user", "anna")), (Some(Whose::Ours), Some(Whose::Theirs)));
        assert_eq!(one.knows("order", "anna"), None, "kinds are apart");
        drop(one);
        let again = Ledger::open("one", Some(&path)).expect("a ledger");
        assert_eq!(again.knows("user", "anna"), Some(Whose::Ours));
        assert_eq!(std::fs::read_to_string(path).expect("text"), "user/anna\tr-1\tone\n");
    }

    #[test]
    fn without_a_file_it_dies_with_the_node() {
        let one = Ledger::open("one", None).expect("a ledger");
        one.add("epoch", "7", "").expect("noted");
        one.add("epoch", "12", "").expect("noted");
        assert_eq!((one.highest("epoch"), one.highest("order")), (12, 0));
        assert_eq!(Ledger::open("one", None).expect("a ledger").knows("epoch", "7"), None);
    }
}
