//! At random, by weight times warm-up share times standing.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `degraded` | number, 0 to 1 | 0.5 | what a degraded node counts against an up one |
//!
//! A node that is draining or down gets nothing. Where everybody's product is 0 (all just started, or all degraded at
//! `degraded: 0`), all eligible nodes count alike: somebody must serve. A pick takes the same time for any number of
//! nodes: it looks into a table of columns (Walker's alias method, built as in Vose, "A Linear Algorithm for Generating
//! Random Numbers with a Given Distribution", 1991).

mod columns;

use pointsman_policy::{Members, Policy, Request, State, Verdict, export_policy};
use serde::Deserialize;

use crate::columns::Columns;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What a degraded node counts against an up one, 0 to 1.
    pub degraded: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { degraded: 0.5 }
    }
}

/// The table of the nodes that may be picked.
#[derive(Debug)]
pub struct WeightedHealth {
    degraded: f64,
    columns: Columns,
}

impl Policy for WeightedHealth {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&settings.degraded) {
            return Err("`degraded`: give a number from 0 (no requests) to 1 (as many as when up)".to_owned());
        }
        Ok(Self { degraded: settings.degraded, columns: Columns::default() })
    }

    fn members(&mut self, members: &Members) {
        let shares: Vec<(u32, f64)> =
            members.eligible().iter().map(|&index| (index, self.effective(index, members))).collect();
        self.columns = Columns::new(&shares);
    }

    fn pick(&self, request: &Request<'_>, _members: &Members) -> Verdict {
        self.columns.at(request.random).into()
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let verdict = self.pick(request, members);
        let total: f64 = members.eligible().iter().map(|&index| self.effective(index, members)).sum();
        let share = verdict.first().map_or(0.0, |index| self.effective(index, members));
        // In whole parts of a thousand: printing a float takes more code than the policy.
        let thousandths = if total > 0.0 { (share / total * 1000.0) as u32 } else { 0 };
        format!("{}, which gets {thousandths} of 1000 requests", verdict.describe(members))
    }
}

impl WeightedHealth {
    /// Weight times warm-up share times what the state counts.
    fn effective(&self, index: u32, members: &Members) -> f64 {
        let weight = members.node(index).map_or(0.0, |node| f64::from(node.weight));
        let state = if members.state(index) == State::Degraded { self.degraded } else { 1.0 };
        weight * f64::from(members.share(index)) * state
    }
}

export_policy!(WeightedHealth);

#[cfg(test)]
mod tests;
