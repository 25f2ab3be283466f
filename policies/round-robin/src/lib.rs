//! Strict round robin over the eligible nodes. The smallest useful policy: copy this crate to start your own.

use pointsman_policy::{Members, NoSettings, Policy, Request, Verdict, export_policy};

/// Each eligible node in turn.
///
/// Strict within one membership version: over any window of turns, by all workers together, the most and the least
/// picked node differ by one at most. `turn` indexes the eligible nodes; skipping a dead one instead would double its
/// neighbour's share.
#[derive(Debug)]
pub struct RoundRobin;

impl Policy for RoundRobin {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        members.at_turn(request.turn).into()
    }
}

export_policy!(RoundRobin);

#[cfg(test)]
mod tests;
