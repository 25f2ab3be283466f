//! Whoever keeps owners elsewhere hears of every change.

use std::fmt::Debug;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::lives::Lives;
use super::table::Entry;

/// A key that has got an owner, or has lost it. What is forgotten because nobody asked for it, or because the table was
/// full, is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// The key.
    pub key: &'a str,
    /// Id of the node that owns it from now on, and the owner's epoch. `None`: it was released.
    pub owner: Option<(&'a str, u16)>,
}

/// Hears of changes: those of one key in their order. Called on the request path while a shard is locked, so it must not
/// wait, and must not ask the table.
pub trait Sink: Debug + Send + Sync {
    /// This changed.
    fn changed(&self, change: Change<'_>);
}

#[derive(Debug, Default)]
pub(super) struct Told(ArcSwapOption<Arc<dyn Sink>>);

impl Told {
    pub(super) fn set(&self, sink: Option<Arc<dyn Sink>>) {
        self.0.store(sink.map(Arc::new));
    }

    pub(super) fn owned(&self, lives: &Lives, key: &str, entry: Entry) {
        if let Some(sink) = &*self.0.load() {
            lives.with(entry.life, |life| sink.changed(Change { key, owner: Some((&life.node, entry.epoch)) }));
        }
    }

    pub(super) fn released(&self, key: &str) {
        if let Some(sink) = &*self.0.load() {
            sink.changed(Change { key, owner: None });
        }
    }
}
