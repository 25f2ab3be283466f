//! Smooth weighted round robin: exact shares over a cycle, and no bursts within it.
//!
//! No settings: the weights are those of the nodes. Weights 5, 1, 1 give `a a b a c a a`. Over every cycle (the sum of
//! the weights, divided by what they have in common) each node gets exactly its weight, and at any point within it no
//! node is a whole request or more away from its share. Weights that sum to more than 65,536 are scaled to about that,
//! so a share is then exact to half a request in 65,536.
//!
//! Warm-up shares and `degraded` are not looked at: this policy is strict. `weighted-health` looks at both.

mod schedule;

use pointsman_policy::{Members, NoSettings, Policy, Request, Verdict, export_policy};

/// One cycle, worked out when the eligible nodes change.
#[derive(Debug)]
pub struct WeightedRoundRobin {
    cycle: Vec<u32>,
    /// What the cycle was made of: index and weight.
    made_of: Vec<(u32, u32)>,
}

impl Policy for WeightedRoundRobin {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self { cycle: Vec::new(), made_of: Vec::new() })
    }

    fn members(&mut self, members: &Members) {
        let weight = |&index: &u32| (index, members.node(index).map_or(1, |node| node.weight));
        let weights: Vec<(u32, u32)> = members.eligible().iter().map(weight).collect();
        // A standing that changes nothing here (a step of a warm-up) is common, and a cycle is the dearest thing to make.
        if weights != self.made_of {
            self.cycle = schedule::cycle(&weights);
            self.made_of = weights;
        }
    }

    fn pick(&self, request: &Request<'_>, _members: &Members) -> Verdict {
        let at = request.turn.checked_rem(self.cycle.len() as u64);
        at.and_then(|at| self.cycle.get(at as usize).copied()).into()
    }
}

export_policy!(WeightedRoundRobin);

#[cfg(test)]
mod tests;
