//! One primary a service: who is, who is next, and the epoch that tells one reign from another.
//!
//! The first that is up is elected, in member order: by ordinal, those without one last, then by id. It stays until it is
//! gone, drained, down or another life of itself: who comes back finds another in its place (no flapping back). Between
//! two primaries the service has none for as long as the configuration says, so that the first has noticed. The epoch
//! rises with every election and never falls; nodes refuse one that is below the highest they have seen, so that an old
//! primary that noticed nothing does no harm.
//!
//! Here a failed health check deposes, as the vote of the one proxy that there is. Where several share a store, whoever
//! counts their votes says `down` only once a majority does.
//!
//! An epoch must be written down before anyone hears of it: [`Election`] changes in place and can be cloned before, to be
//! put back when it could not be written.

use std::time::Duration;

use super::node::Incarnation;

/// Who holds the office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The node's id.
    pub id: String,
    /// Which life of it.
    pub incarnation: Incarnation,
}

/// Why a primary is one no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fall {
    /// It left, or its lease lapsed.
    Gone,
    /// It was drained.
    Drained,
    /// It failed its checks.
    Down,
    /// Its process is another, or stands at another address.
    Reborn,
    /// The configuration wants no primary any more.
    Abolished,
}

/// What a step brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There is no primary from now on.
    Deposed {
        /// Who was it.
        holder: Holder,
        /// Its epoch.
        epoch: u64,
        /// Why it is no longer.
        why: Fall,
    },
    /// There is one from now on.
    Elected {
        /// Who is it.
        holder: Holder,
        /// Higher than any before, unless `resumed`.
        epoch: u64,
        /// Whether it was the primary before this process began, and goes on.
        resumed: bool,
    },
}

/// A node as the election sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its life.
    pub incarnation: Incarnation,
    /// Whether it may be elected: it takes requests.
    pub up: bool,
    /// Whether it may not stay.
    pub down: bool,
    /// Whether an operator drained it.
    pub drained: bool,
}

/// The office of one service.
#[derive(Debug, Clone, Default)]
pub struct Election {
    epoch: u64,
    holder: Option<Holder>,
    /// Who was the primary when this process began, as far as it has not come yet.
    expected: Option<String>,
    /// Before this nobody is elected.
    not_before: Duration,
}

impl Election {
    /// The office as it was written down: the highest epoch ever, and whose it was. That node goes on in the same epoch as
    /// soon as it is up. `takeover_after` from `now`, and where nobody is named, whoever else is up is elected: not before,
    /// since an old primary may still believe in its office.
    pub fn restored(epoch: u64, primary: Option<String>, takeover_after: Duration, now: Duration) -> Self {
        let not_before = if epoch > 0 { now + takeover_after } else { Duration::ZERO };
        Self { epoch, holder: None, expected: primary, not_before }
    }

    /// Who is the primary.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// The epoch of the primary, or of the last there was; 0: there never was one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who was the primary when this process began and is waited for: up to then nobody else is elected.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// Whether a node holds the office and may keep it: between two steps it may have lost that.
    pub fn holds(&self, candidate: &Candidate<'_>) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.id == candidate.id && fall(holder, Some(candidate)).is_none())
    }

    /// The next change, if there is one to make now; to be called until there is none. `candidates` in member order;
    /// `takeover_after`: how long the office stays empty, `None`: for good.
    pub fn step<'a>(
        &mut self,
        takeover_after: Option<Duration>,
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        now: Duration,
    ) -> Option<Change> {
        if let Some(holder) = &self.holder {
            let itself = candidates.clone().find(|candidate| candidate.id == holder.id);
            let why = if takeover_after.is_none() { Some(Fall::Abolished) } else { fall(holder, itself.as_ref()) };
            let (why, holder) = (why?, self.holder.take()?);
            // Counted from now, when we know it; it may have been so for longer.
            self.not_before = now + takeover_after.unwrap_or_default();
            return Some(Change::Deposed { holder, epoch: self.epoch, why });
        }
        takeover_after?;
        let mut able = candidates.filter(|candidate| candidate.up && !candidate.down && !candidate.drained);
        // Nobody has been elected since, so that whoever was goes on, however late.
        if let Some(again) = able.clone().find(|candidate| self.expected.as_deref() == Some(candidate.id)) {
            return Some(self.elect(again, true));
        }
        if now < self.not_before {
            return None;
        }
        let next = able.next()?;
        self.epoch += 1;
        Some(self.elect(next, false))
    }

    fn elect(&mut self, candidate: Candidate<'_>, resumed: bool) -> Change {
        self.expected = None;
        let holder = Holder { id: candidate.id.to_owned(), incarnation: candidate.incarnation };
        self.holder = Some(holder.clone());
        Change::Elected { holder, epoch: self.epoch, resumed }
    }
}

/// Why a holder may not stay, if it may not.
fn fall(holder: &Holder, itself: Option<&Candidate<'_>>) -> Option<Fall> {
    match itself {
        None => Some(Fall::Gone),
        Some(candidate) if candidate.incarnation != holder.incarnation => Some(Fall::Reborn),
        Some(candidate) if candidate.drained => Some(Fall::Drained),
        Some(candidate) if candidate.down => Some(Fall::Down),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
