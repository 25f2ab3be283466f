//! Everything goes to the primary; the others are its backups.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `no_primary` | `park`, `refuse`, `next` | `park` | without a primary: wait for one, 503, or the first node that is up |
//! | `park` | time, up to 1m | `2s` | how long a request waits for a primary |
//!
//! A primary that could not be reached counts as none: the request then waits for the next one and does not go astray.
//! With `next` the order of the nodes (by ordinal, then by id) is that of succession, also where nobody elects.

use pointsman_policy::{Members, NoPrimary, Policy, Request, Verdict, Wait, export_policy};
use serde::Deserialize;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What becomes of a request while there is no primary.
    pub no_primary: NoPrimary,
    /// How long it waits for one.
    pub park: Wait,
}

impl Default for Settings {
    fn default() -> Self {
        Self { no_primary: NoPrimary::default(), park: Wait::seconds(2) }
    }
}

/// The primary or, as long as there is none, what the operator says.
#[derive(Debug)]
pub struct PrimaryBackup {
    settings: Settings,
}

impl Policy for PrimaryBackup {
    type Settings = Settings;
    const PINS: bool = true;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    fn pick(&self, _: &Request<'_>, members: &Members) -> Verdict {
        self.settings.no_primary.send(self.settings.park, members, &[])
    }

    fn pick_again(&self, _: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        self.settings.no_primary.send(self.settings.park, members, tried)
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let verdict = self.pick(request, members).describe(members);
        if members.primary().is_some() {
            format!("the primary takes everything: {verdict}")
        } else {
            format!("there is no primary: {verdict}")
        }
    }
}

export_policy!(PrimaryBackup);

#[cfg(test)]
mod tests;
