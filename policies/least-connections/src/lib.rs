//! The node with the fewest requests under way; ties rotate.
//!
//! No settings. Counts are those of the whole proxy, not of one worker, as they are when the request is sent: the policy
//! names nobody, and the host compares them. That reads every node's count, so its time grows with the number of nodes,
//! which is the price of a true minimum; `two-choices` reads two.

use pointsman_policy::{Members, NoSettings, Policy, Request, Verdict, export_policy};

/// The fewest requests under way.
#[derive(Debug)]
pub struct LeastConnections;

impl Policy for LeastConnections {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn pick(&self, _: &Request<'_>, members: &Members) -> Verdict {
        if members.eligible().is_empty() { None.into() } else { Verdict::Lightest(Vec::new()) }
    }
}

export_policy!(LeastConnections);

#[cfg(test)]
mod tests;
