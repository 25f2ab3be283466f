//! Who of the roster is the primary.

use std::time::Duration;

use super::{Condition, Entry, Roster};
use crate::cluster::primary::{Candidate, Change, Election};

impl Roster {
    /// The next change of primary, if there is one to make now; to be called until there is none, after every batch of
    /// changes and with every tick. Nothing is published by it: the caller writes the change down first, and puts the
    /// [`Roster::election`] back as it was where that fails ([`Roster::put_back`]).
    pub fn elect(&mut self, now: Duration) -> Option<Change> {
        let Self { election, entries, drains, rules, .. } = self;
        let candidates = entries.values().map(|entry| candidate(entry, drains.contains(&entry.node.spec.id)));
        let change = election.step(rules.primary, candidates, now);
        self.dirty |= change.is_some();
        change
    }

    /// The office, to be kept across a change that may have to be taken back.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Puts the office back as it was, or as it was written down when this process began ([`Election::restored`]).
    pub fn put_back(&mut self, election: Election) {
        self.election = election;
        self.dirty = true;
    }

    /// Index of the primary among the members. None while it has lost the office and nobody has said so yet: no reader
    /// ever sees a primary that is drained, down or gone.
    pub(super) fn primary(&self) -> Option<u32> {
        self.rules.primary?;
        let holds = |entry: &Entry| self.election.holds(&candidate(entry, self.drained(&entry.node.spec.id)));
        self.entries.values().position(holds).and_then(|index| u32::try_from(index).ok())
    }
}

/// That requests fail takes a node out for a while, and is no reason to depose it, nor one to elect it.
fn candidate(entry: &Entry, drained: bool) -> Candidate<'_> {
    Candidate {
        id: &entry.node.spec.id,
        incarnation: entry.node.incarnation,
        up: entry.condition == Condition::Up && !entry.docket.is_out(),
        down: entry.condition == Condition::Down,
        drained,
    }
}

#[cfg(test)]
mod tests;
