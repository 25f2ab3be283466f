//! Round robin at first; then whoever comes back meets the same node for as long as it is there.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `new` | `round-robin`, `least-connections` | `round-robin` | who takes somebody who comes for the first time |
//! | `on_failure` | `pick`, `refuse` | `pick` | the node could not be reached: another one, or 503 |
//!
//! Who comes back is known by a signed cookie (`sticky_cookie`) or by a key of the request (`owners`); both are the
//! host's. A node that is gone is nobody's: the next request is as a first one, unless `owners.on_gone` says otherwise.

use pointsman_policy::{Members, Needs, Policy, Request, Verdict, export_policy};
use serde::Deserialize;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Who takes somebody who comes for the first time.
    pub new: New,
    /// What becomes of a request whose node could not be reached.
    pub on_failure: OnFailure,
}

/// Who takes somebody who comes for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum New {
    /// Any node in turn.
    #[default]
    RoundRobin,
    /// The node with the fewest requests under way.
    LeastConnections,
}

/// What becomes of a request whose node could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Another node takes it, if it may be tried again.
    #[default]
    Pick,
    /// 503.
    Refuse,
}

/// The node of before.
#[derive(Debug)]
pub struct Sticky {
    settings: Settings,
}

impl Policy for Sticky {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    fn needs(&self) -> Needs {
        Needs { owner: true, ..Needs::default() }
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        match (owner(request, members), self.settings.on_failure) {
            (Some(owner), OnFailure::Pick) => Verdict::Node(owner),
            (Some(owner), OnFailure::Refuse) => Verdict::Only(owner),
            (None, _) => self.take_new(request, members),
        }
    }

    /// Another than the node of before is picked as for a first request.
    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        let left = owner(request, members).is_some_and(|owner| tried.contains(&owner));
        let verdict = if left && self.settings.on_failure == OnFailure::Pick {
            self.take_new(request, members)
        } else {
            self.pick(request, members)
        };
        verdict.without(tried, request.random, members)
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let verdict = self.pick(request, members).describe(members);
        let why = if owner(request, members).is_some() { "as before" } else { "for the first time" };
        format!("{why}: {verdict}")
    }
}

impl Sticky {
    fn take_new(&self, request: &Request<'_>, members: &Members) -> Verdict {
        match self.settings.new {
            New::LeastConnections if !members.eligible().is_empty() => Verdict::Lightest(Vec::new()),
            New::RoundRobin | New::LeastConnections => members.at_turn(request.turn).into(),
        }
    }
}

/// The node of before, where it may be picked.
#[inline]
fn owner(request: &Request<'_>, members: &Members) -> Option<u32> {
    request.owner.filter(|&index| members.is_eligible(index))
}

export_policy!(Sticky);

#[cfg(test)]
mod tests;
