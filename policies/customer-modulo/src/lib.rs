//! Customer id modulo the number of slots, plus one, is the ordinal of the customer's node.
//!
//! | setting | type | default | meaning |
//! |---|---|---|---|
//! | `slots` | integer, 1 to 4294967295 | the highest ordinal the service ever had | the modulus |
//! | `on_missing` | `refuse`, `round-robin` | `refuse` | a request without an id: 400, or any node in turn |
//! | `failover` | `none`, `next`, `primary` | `none` | the customer's node is down: 503, the next eligible ordinal, the primary |
//! | `park` | time, up to 1m | off | how long a request waits that would be refused because its node, or the primary, is not available |
//!
//! The modulus is never the number of nodes alive: a dead node moves its own customers only. Ids are decimal numbers of
//! any size, with a `-` in front if negative; anything else is hashed (the contract's stable hash). Two customers with
//! the same remainder share a node.

mod slot;

use pointsman_policy::{KeyNeed, Members, Needs, Policy, Request, Verdict, Wait, export_policy, hash};
use serde::Deserialize;

use crate::slot::remainder;

/// What stands under `with:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The modulus; absent: the highest ordinal that the service ever had.
    pub slots: Option<u32>,
    /// What becomes of a request without an id.
    pub on_missing: OnMissing,
    /// Where a customer goes whose node is down.
    pub failover: Failover,
    /// How long a request waits for somebody to be available whom it may go to; absent: not at all.
    pub park: Option<Wait>,
}

/// What becomes of a request without an id. An empty id counts as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// 400.
    #[default]
    Refuse,
    /// Any eligible node in turn.
    RoundRobin,
}

/// Where a customer goes whose node is down, draining or not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failover {
    /// Nowhere: 503.
    #[default]
    None,
    /// To the next eligible ordinal upward, from the highest on to the lowest.
    Next,
    /// To the primary.
    Primary,
}

/// Each customer has one home.
#[derive(Debug)]
pub struct CustomerModulo {
    settings: Settings,
}

impl Policy for CustomerModulo {
    type Settings = Settings;
    const PINS: bool = true;

    fn new(settings: Settings) -> Result<Self, String> {
        match settings.slots {
            Some(0) => Err("`slots`: 0 is no modulus; give the number of slots, 1 or more".to_owned()),
            _ => Ok(Self { settings }),
        }
    }

    fn needs(&self) -> Needs {
        Needs { key: KeyNeed::Number, ..Needs::default() }
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        let Some(id) = Id::of(request) else { return self.missing(request, members) };
        match self.ordinal(&id, members) {
            Some(ordinal) => match members.by_ordinal(ordinal).filter(|&home| members.is_eligible(home)) {
                Some(home) => self.at_home(home),
                None => self.fail_over(ordinal, members, &[]),
            },
            None => Verdict::refuse(503, "no node of the service has an ordinal, and `slots` is not set"),
        }
    }

    fn pick_again(&self, request: &Request<'_>, members: &Members, _attempt: u32, tried: &[u32]) -> Verdict {
        let Some(ordinal) = Id::of(request).and_then(|id| self.ordinal(&id, members)) else {
            return self.pick(request, members).without(tried, request.random, members);
        };
        match members.by_ordinal(ordinal).filter(|home| members.is_eligible(*home) && !tried.contains(home)) {
            Some(home) => self.at_home(home),
            None => self.fail_over(ordinal, members, tried),
        }
    }

    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        let verdict = self.pick(request, members).describe(members);
        let Some(id) = Id::of(request) else { return format!("no id: {verdict}") };
        let (id_text, how) = match id {
            Id::Number(number) => (number.to_string(), ""),
            Id::Text(text, _) => (text.to_owned(), if slot::is_decimal(text) { "" } else { "its hash " }),
        };
        match self.ordinal(&id, members) {
            Some(ordinal) => {
                format!(
                    "{id_text}: {how}mod {} = {}, so ordinal {ordinal}: {verdict}",
                    self.slots(members),
                    ordinal - 1
                )
            }
            None => verdict,
        }
    }
}

impl CustomerModulo {
    fn slots(&self, members: &Members) -> u64 {
        self.settings.slots.map_or_else(|| members.high_water(), u64::from)
    }

    /// The ordinal of an id's home; none when there is no modulus.
    #[inline]
    fn ordinal(&self, id: &Id<'_>, members: &Members) -> Option<u64> {
        let slots = self.slots(members);
        if slots == 0 {
            return None;
        }
        Some(
            match *id {
                Id::Number(number) => number % slots,
                Id::Text(text, told) => {
                    let hashed = || told.unwrap_or_else(|| hash::xxh64(text.as_bytes(), 0)) % slots;
                    remainder(text, slots).unwrap_or_else(hashed)
                }
            } + 1,
        )
    }

    #[inline]
    fn at_home(&self, home: u32) -> Verdict {
        if self.settings.failover == Failover::None { Verdict::Only(home) } else { Verdict::Node(home) }
    }

    #[cold]
    fn fail_over(&self, ordinal: u64, members: &Members, tried: &[u32]) -> Verdict {
        let usable = |index: &u32| members.is_eligible(*index) && !tried.contains(index);
        let (heir, cure) = match self.settings.failover {
            Failover::None => (None, "failover is off"),
            Failover::Next => {
                let (below, above) =
                    members.ordinals().split_at(members.ordinals().partition_point(|&(o, _)| o <= ordinal));
                (above.iter().chain(below).map(|&(_, index)| index).find(usable), "so is every other numbered node")
            }
            Failover::Primary => (members.primary().filter(usable), "no primary can stand in"),
        };
        match (heir, self.settings.park) {
            (Some(index), _) => Verdict::Node(index),
            (None, Some(wait)) => wait.park(),
            (None, None) => {
                Verdict::refuse(503, format!("node {ordinal}, where this id belongs, is not available; {cure}"))
            }
        }
    }

    #[cold]
    fn missing(&self, request: &Request<'_>, members: &Members) -> Verdict {
        match self.settings.on_missing {
            OnMissing::Refuse => Verdict::refuse(400, "the request carries no customer id"),
            OnMissing::RoundRobin => members.at_turn(request.turn).into(),
        }
    }
}

/// A customer's id.
enum Id<'a> {
    /// As the host read it.
    Number(u64),
    /// Anything else, also numbers with a sign or of more digits, and its hash if the host told it.
    Text(&'a str, Option<u64>),
}

impl<'a> Id<'a> {
    /// The id, if the request has one.
    #[inline]
    fn of(request: &Request<'a>) -> Option<Self> {
        let text = || request.key.filter(|id| !id.is_empty()).map(|id| Self::Text(id, request.key_hash));
        request.number.map(Self::Number).or_else(text)
    }
}

export_policy!(CustomerModulo);

#[cfg(test)]
mod tests;
