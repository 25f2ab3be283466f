//! Requests with a safe method go to any node, all others to the primary.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `reads` | `all`, `backups` | `all` | who answers reads: every node, or all but the primary while one of them is up |
//! | `balance` | `least-connections`, `random` | `least-connections` | how reads are spread over those |
//! | `no_primary` | `park`, `refuse`, `next` | `park` | a write without a primary: wait for one, 503, or the first node that is up |
//! | `park` | time, up to 1m | `2s` | how long a write waits for a primary |
//!
//! Safe are GET, HEAD, OPTIONS and TRACE (RFC 9110 §9.2.1). There is no round robin of reads: turns count writes too, so
//! a client that reads and writes by turns would meet one node of two with all its reads.

use pointsman_policy::{Members, Needs, NoPrimary, Policy, Request, Verdict, Wait, export_policy, is_safe};
use serde::Deserialize;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Who answers reads.
    pub reads: Reads,
    /// How reads are spread.
    pub balance: Balance,
    /// What becomes of a write while there is no primary.
    pub no_primary: NoPrimary,
    /// How long it waits for one.
    pub park: Wait,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reads: Reads::default(),
            balance: Balance::default(),
            no_primary: NoPrimary::default(),
            park: Wait::seconds(2),
        }
    }
}

/// Who answers reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Every node.
    #[default]
    All,
    /// All but the primary; the primary where no other is up.
    Backups,
}

/// How reads are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The fewest requests under way.
    #[default]
    LeastConnections,
    /// Each as likely as the other.
    Random,
}

/// Reads here, writes there.
#[derive(Debug)]
pub struct ReadWriteSplit {
    settings: Settings,
    /// Who answers reads, where that is not everybody who is up. A list costs host and guest an allocation.
    readers: Vec<u32>,
}

impl Policy for ReadWriteSplit {
    type Settings = Settings;
    const PINS: bool = true;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings, readers: Vec::new() })
    }

    fn needs(&self) -> Needs {
        Needs { headers: vec![":method".to_owned()], ..Needs::default() }
    }

    fn members(&mut self, members: &Members) {
        self.readers.clear();
        if self.settings.reads == Reads::Backups {
            self.readers.extend(members.eligible().iter().filter(|&&index| members.primary() != Some(index)));
        }
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        if reads(request) { self.read(request, members) } else { self.write(members, &[]) }
    }

    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        if reads(request) {
            self.read(request, members).without(tried, request.random, members)
        } else {
            self.write(members, tried)
        }
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let read = self.read(request, members).describe(members);
        let write = self.write(members, &[]).describe(members);
        match method(request) {
            Some(method) if is_safe(method) => format!("{method} reads: {read}"),
            Some(method) => format!("{method} writes: {write}"),
            None => format!("a read: {read}; a write: {write}"),
        }
    }
}

impl ReadWriteSplit {
    fn read(&self, request: &Request<'_>, members: &Members) -> Verdict {
        let readers = if self.readers.is_empty() { members.eligible() } else { &self.readers };
        match (readers.len() as u64, self.settings.balance) {
            (0, _) => None.into(),
            (_, Balance::LeastConnections) => Verdict::Lightest(self.readers.clone()),
            (count, Balance::Random) => Verdict::Node(readers[(request.random % count) as usize]),
        }
    }

    fn write(&self, members: &Members, tried: &[u32]) -> Verdict {
        self.settings.no_primary.send(self.settings.park, members, tried)
    }
}

#[inline]
fn method<'a>(request: &Request<'a>) -> Option<&'a str> {
    request.headers.first()?.as_deref()
}

#[inline]
fn reads(request: &Request<'_>) -> bool {
    method(request).is_some_and(is_safe)
}

export_policy!(ReadWriteSplit);

#[cfg(test)]
mod tests;
