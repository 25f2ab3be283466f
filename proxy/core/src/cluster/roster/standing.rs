//! From what is known of a node to how it stands, and how much of its share it gets while it warms up.

use std::sync::Arc;
use std::time::Duration;

use pointsman_config::plan::AllDown;

use super::{Entry, Roster};
use crate::cluster::membership::{Member, Standing};
use crate::cluster::node::Source;

/// What a node's checks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Not checked yet in this life: takes nothing.
    Unchecked,
    /// Up.
    Up,
    /// Down.
    Down,
}

/// How a node stands. `try_any`: no node is up, and the configuration says to try those that are not. `alone`: nobody
/// serves but nodes that were taken out because requests failed; better those than nobody.
///
/// A node that joined is tried only if it has passed a check in this life: it may be a wrong address. A static node is
/// tried as soon as its first check failed: the operator wrote it down, so it may be the check that is wrong.
pub(super) fn of(entry: &Entry, drained: bool, try_any: bool, alone: bool) -> Standing {
    if drained {
        return Standing::Draining;
    }
    let known = entry.passed || (entry.node.source == Source::Static && entry.condition == Condition::Down);
    match entry.condition {
        Condition::Up if !entry.docket.is_out() => Standing::Up,
        Condition::Up if alone => Standing::Degraded,
        Condition::Up => Standing::Down,
        _ if try_any && known => Standing::Degraded,
        _ => Standing::Down,
    }
}

/// How a node that comes up is given its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    /// How long until it has all of it.
    pub window: Duration,
    /// Thousandths that it has at least.
    pub floor: u16,
}

/// Steps of a ramp. Each is a version that every policy instance is told of, so there are ten and not a thousand; and
/// the first is a tenth, since a node that gets nothing never warms up.
const STEPS: u32 = 10;

/// The share of a node in thousandths, and when it next rises.
pub(super) fn share(began: Option<Duration>, ramp: Option<Ramp>, now: Duration) -> (u16, Option<Duration>) {
    let (Some(began), Some(ramp)) = (began, ramp) else { return (1000, None) };
    let step = ramp.window / STEPS;
    if step.is_zero() {
        return (1000, None);
    }
    let done = now.saturating_sub(began).as_nanos() / step.as_nanos();
    match u16::try_from(done) {
        // The tenth step is the full share: a ramp of 10 s is over after 9.
        Ok(done) if done < 9 => (ramp.floor + (1000 - ramp.floor) / 9 * done, Some(began + step * u32::from(done + 1))),
        _ => (1000, None),
    }
}

impl Roster {
    /// Whether nobody takes requests in good health, and the configuration says to try those that do not.
    pub(super) fn desperate(&self) -> bool {
        self.rules.all_down != AllDown::Fail && !self.entries.values().any(|entry| self.takes_traffic(entry))
    }

    /// Every node with how it stands now.
    pub(super) fn members(&mut self, desperate: bool, now: Duration) -> Vec<Member> {
        let alone = !self.entries.values().any(|entry| self.serves(entry));
        let mut next_step = None;
        let members = self
            .entries
            .values()
            .map(|entry| {
                let (share, step) = share(entry.warming, self.rules.slow_start, now);
                next_step = [next_step, step].into_iter().flatten().min();
                let standing = of(entry, self.drains.contains(&entry.node.spec.id), desperate, alone);
                Member { node: Arc::clone(&entry.node), standing, share }
            })
            .collect();
        self.next_step = next_step;
        members
    }
}
