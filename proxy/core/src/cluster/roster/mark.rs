//! The high-water mark of ordinals: what a policy that counts in ordinals takes for the number of places.

use super::{Entry, Roster};
use crate::cluster::node::Source;

impl Roster {
    /// The highest ordinal that ever counted; 0 when the service numbers none of its nodes. A static node's counts at
    /// once, since the operator wrote it down; a joined node's once it has passed a check: a mistyped number of a node
    /// that serves nobody must not move everybody's customers.
    pub fn high_water(&self) -> u64 {
        self.high_water
    }

    /// How far the mark can be lowered: to the greatest ordinal of the nodes that are there now, checked or not.
    pub fn lowest_mark(&self) -> u64 {
        let greatest = self.entries.values().filter_map(|entry| entry.node.spec.ordinal).max().unwrap_or(0);
        self.high_water.min(greatest)
    }

    /// Lowers the mark that far.
    pub fn lower_mark(&mut self) {
        self.high_water = self.lowest_mark();
        self.dirty = true;
    }

    /// Sets the mark to what is on disk, where another process may have raised or lowered it.
    pub fn set_mark(&mut self, ordinal: u64) {
        self.dirty |= self.high_water != ordinal;
        self.high_water = ordinal;
    }

    /// The mark as it is once this node is there.
    pub(super) fn mark_with(&self, entry: &Entry) -> u64 {
        let counts = entry.passed || entry.node.source == Source::Static;
        self.high_water.max(entry.node.spec.ordinal.filter(|_| counts).unwrap_or(0))
    }
}
