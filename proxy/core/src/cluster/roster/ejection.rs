//! Passive ejection: a node that fails the requests it gets is taken out for a while, whatever its checks say.
//!
//! A node goes after so many failures in a row, or when a share of what it finished within the window failed. It comes
//! back when its time is over, and each time that it goes again soon after, the time doubles. A ceiling bounds how many
//! are out at once, and the last node that takes requests never goes.
//!
//! Its checks may bring it back sooner, if what they see is what went wrong: no connection could be made, or nothing is
//! known against them yet. A check that passes while requests fail was wrong once and is not believed again, until the
//! node has been well for as long as it was out.

use std::time::Duration;

use super::{Condition, Entry, Roster};

/// When a node is taken out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EjectionRule {
    /// Failures in a row.
    pub failures: u32,
    /// Share of what a node finished within the window that failed, 0 to 1.
    pub share: f64,
    /// Requests finished within the window below which the share says nothing.
    pub requests: u32,
    /// Length of the windows in which the share is counted, one after another.
    pub window: Duration,
    /// Time out, the first time.
    pub time: Duration,
    /// However often it goes.
    pub max_time: Duration,
    /// Share of all nodes that may be out at once; one may be, where there are two.
    pub max_share: f64,
}

/// Why a node was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// So many failures in a row.
    Row(u32),
    /// So many of so many requests within the window failed.
    Share(u64, u64),
}

/// What was decided about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Its id.
    pub id: String,
    /// What becomes of it.
    pub what: Sentence,
}

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// It is taken out for so long.
    Ejected(Cause, Duration),
    /// It would be, but too many are out already, or it is the last that takes requests.
    Spared(Cause),
    /// Its time is over.
    Served,
    /// Its checks vouch for it.
    Vouched,
}

/// What is held against one node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Docket {
    out: Option<Out>,
    /// Ejections in a row.
    times: u32,
    /// When it last came back, and how long it had been sent out for.
    back: Option<(Duration, Duration)>,
    /// Requests finished and failed when the window began.
    window: (u64, u64),
}

/// A node that is out.
#[derive(Debug, Clone, Copy)]
struct Out {
    until: Duration,
    time: Duration,
    /// Whether its checks may end it.
    vouchable: bool,
}

impl Docket {
    pub(super) fn is_out(&self) -> bool {
        self.out.is_some()
    }
}

impl Entry {
    /// Until when it is out, if it is.
    pub fn ejected_until(&self) -> Option<Duration> {
        self.docket.out.map(|out| out.until)
    }

    /// Its checks took it down and brought it up again: they have seen for themselves, and what was before is over.
    pub(super) fn acquit(&mut self) {
        self.docket.out = None;
        self.docket.window = self.counts();
        self.node.load.record.forgive();
    }

    /// Requests that it finished and that failed, in its life.
    fn counts(&self) -> (u64, u64) {
        let load = &self.node.load;
        let holds = u64::from(load.in_flight().saturating_sub(load.queued()));
        (load.started().saturating_sub(holds), load.record.failures())
    }

    /// Why it is to go, if it is. Asks what happened since it was last asked.
    fn charge(&self, rule: &EjectionRule) -> Option<Cause> {
        let row = self.node.load.record.take_peak();
        if row >= rule.failures {
            return Some(Cause::Row(row));
        }
        let (finished, failed) = self.counts();
        let (before, failed_before) = self.docket.window;
        let (finished, failed) = (finished.saturating_sub(before), failed.saturating_sub(failed_before));
        let enough = finished >= u64::from(rule.requests).max(1);
        (enough && failed as f64 >= rule.share * finished as f64)
            .then_some(Cause::Share(failed.min(finished), finished))
    }

    fn eject(&mut self, rule: &EjectionRule, now: Duration) -> Duration {
        let docket = &mut self.docket;
        let soon = docket.back.is_some_and(|(at, time)| now.saturating_sub(at) < time);
        docket.times = if soon { docket.times.saturating_add(1) } else { 1 };
        let doubled = 1_u32.checked_shl(docket.times - 1).filter(|n| *n > 0).and_then(|n| rule.time.checked_mul(n));
        let time = doubled.unwrap_or(rule.max_time).min(rule.max_time);
        let vouchable = docket.times == 1 || self.node.load.record.unreachable();
        docket.out = Some(Out { until: now + time, time, vouchable });
        self.warming = None;
        time
    }

    fn readmit(&mut self, ramp: bool, now: Duration) {
        if let Some(out) = self.docket.out.take() {
            self.docket.back = Some((now, out.time));
        }
        self.docket.window = self.counts();
        self.node.load.record.forgive();
        self.warming = (ramp && self.condition == Condition::Up).then_some(now);
    }
}

impl Roster {
    /// Whether time alone may change who is out. Else there is nothing to judge before a request fails.
    pub fn has_cases(&self, now: Duration) -> bool {
        self.rules.eject.is_some_and(|rule| {
            now >= self.window + rule.window || self.entries.values().any(|entry| entry.docket.is_out())
        })
    }

    /// Takes out the nodes that failed too often since the last time, and brings back those whose time is over or for
    /// whom `vouched` says that their checks passed since they went. To be called when a request has failed, and every
    /// tick while [`Roster::has_cases`].
    pub fn judge(&mut self, now: Duration, vouched: impl Fn(&Entry) -> bool) -> Vec<Judgement> {
        let Some(rule) = self.rules.eject else { return Vec::new() };
        let mut said = self.release(now, vouched);
        let room = ((self.entries.len() as f64 * rule.max_share) as usize).max(1);
        let mut out = self.entries.values().filter(|entry| entry.docket.is_out()).count();
        let mut serving = self.entries.values().filter(|entry| self.serves(entry)).count();
        let over = now >= self.window + rule.window;
        let Self { entries, drains, .. } = self;
        for entry in entries.values_mut() {
            let id = &entry.node.spec.id;
            let at_bar = entry.condition == Condition::Up && !entry.docket.is_out() && !drains.contains(id);
            if at_bar && let Some(cause) = entry.charge(&rule) {
                let id = id.clone();
                let what = if out < room && serving > 1 {
                    (out, serving) = (out + 1, serving - 1);
                    Sentence::Ejected(cause, entry.eject(&rule, now))
                } else {
                    Sentence::Spared(cause)
                };
                self.dirty |= matches!(what, Sentence::Ejected(..));
                said.push(Judgement { id, what });
            }
            if drains.contains(&entry.node.spec.id) {
                entry.node.load.record.forgive();
            }
            if over {
                entry.docket.window = entry.counts();
            }
        }
        if over {
            self.window = now;
        }
        said
    }

    /// Brings back who may come back.
    fn release(&mut self, now: Duration, vouched: impl Fn(&Entry) -> bool) -> Vec<Judgement> {
        let ramp = self.rules.slow_start.is_some();
        let mut said = Vec::new();
        for entry in self.entries.values_mut() {
            let Some(out) = entry.docket.out else { continue };
            let what = if out.until <= now {
                Sentence::Served
            } else if out.vouchable && vouched(entry) {
                Sentence::Vouched
            } else {
                continue;
            };
            entry.readmit(ramp, now);
            self.dirty = true;
            said.push(Judgement { id: entry.node.spec.id.clone(), what });
        }
        said
    }

    /// Whether a node takes requests in its own right, and not because there is no other.
    pub(super) fn serves(&self, entry: &Entry) -> bool {
        self.takes_traffic(entry) && !entry.docket.is_out()
    }

    /// The configuration no longer takes nodes out: nobody stays out.
    pub(super) fn pardon(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.docket = Docket::default());
    }
}

#[cfg(test)]
mod tests;
