//! Lives of nodes by number, so that an owner takes twenty bits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::cluster::node::Incarnation;

/// Lives that a service may see while a process lasts; who comes after them owns nothing.
const MOST: usize = 1 << 20;

/// The number of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LifeId(pub(super) u32);

/// One life of a node, as far as owners are concerned.
#[derive(Debug)]
pub struct Life {
    /// The node's id.
    pub node: Box<str>,
    /// Which life. 0: one that a snapshot tells of, whichever it was.
    pub incarnation: Incarnation,
    owned: AtomicU32,
}

impl Life {
    /// Keys that it owns.
    pub fn owned(&self) -> u32 {
        self.owned.load(Ordering::Relaxed)
    }
}

/// All lives. Reading takes no lock; a new one copies the list, which happens when a node comes.
#[derive(Debug, Default)]
pub(super) struct Lives {
    known: ArcSwap<Known>,
    writing: Mutex<()>,
}

#[derive(Debug, Default, Clone)]
struct Known {
    list: Vec<Arc<Life>>,
    /// Those whose incarnation is known. It is unique in a process, so the id need not be compared.
    by_incarnation: HashMap<Incarnation, LifeId>,
}

impl Known {
    fn find(&self, node: &str, incarnation: Incarnation) -> Option<LifeId> {
        if incarnation.0 > 0 {
            return self.by_incarnation.get(&incarnation).copied();
        }
        let restored = |life: &Arc<Life>| life.incarnation.0 == 0 && *life.node == *node;
        self.list.iter().position(restored).map(|at| LifeId(at as u32))
    }
}

impl Lives {
    /// The number of a life, which it gets when it is first asked for. `None`: there were too many.
    pub(super) fn intern(&self, node: &str, incarnation: Incarnation) -> Option<LifeId> {
        if let Some(id) = self.known.load().find(node, incarnation) {
            return Some(id);
        }
        let _writing = self.writing.lock();
        let mut known = Known::clone(&self.known.load());
        if let Some(id) = known.find(node, incarnation) {
            return Some(id);
        }
        let id = LifeId(u32::try_from(known.list.len()).ok().filter(|id| (*id as usize) < MOST)?);
        known.list.push(Arc::new(Life { node: node.into(), incarnation, owned: AtomicU32::new(0) }));
        if incarnation.0 > 0 {
            known.by_incarnation.insert(incarnation, id);
        }
        self.known.store(Arc::new(known));
        Some(id)
    }

    pub(super) fn get(&self, id: LifeId) -> Arc<Life> {
        Arc::clone(&self.known.load().list[id.0 as usize])
    }

    /// The same to look at: requests for the keys of one node need not count its readers.
    pub(super) fn with<R>(&self, id: LifeId, look: impl FnOnce(&Life) -> R) -> R {
        look(&self.known.load().list[id.0 as usize])
    }

    pub(super) fn all(&self) -> Vec<Arc<Life>> {
        self.known.load().list.clone()
    }

    /// Every life of a node.
    pub(super) fn of(&self, node: &str) -> Vec<LifeId> {
        let known = self.known.load();
        let named = known.list.iter().enumerate().filter(|(_, life)| *life.node == *node);
        named.map(|(at, _)| LifeId(at as u32)).collect()
    }

    /// It owns so many keys more.
    pub(super) fn add(&self, id: LifeId, keys: usize) {
        self.known.load().list[id.0 as usize].owned.fetch_add(keys as u32, Ordering::Relaxed);
    }

    /// It owns so many keys less.
    pub(super) fn take(&self, id: LifeId, keys: usize) {
        self.known.load().list[id.0 as usize].owned.fetch_sub(keys as u32, Ordering::Relaxed);
    }
}
