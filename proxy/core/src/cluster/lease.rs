//! Leases: a node that joined is a member for as long as it renews.
//!
//! A lease that lapsed never comes back: its holder must join again. One thing only holds a lapse back, and that is
//! our own absence: when our tick comes late (the process was stopped, the machine was starved), renewals were sent
//! that we did not read, so every lease gets a full TTL anew. So it is with leases that were found at a start, for as
//! long as nobody answers renewals yet ([`Leases::hold`]). How many leases lapse at once never matters: a failure that
//! takes half of the nodes must not be mistaken for ours.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// The shortest TTL that may be asked for.
pub const SHORTEST_TTL: Duration = Duration::from_millis(300);

/// The longest: a day. A node that may be silent for longer should stand in the configuration.
pub const LONGEST_TTL: Duration = Duration::from_hours(24);

/// How often [`Leases::tick`] should be called: a lease lapses at its TTL plus at most this.
pub const TICK: Duration = Duration::from_millis(50);

/// A tick that comes later than this after the last one says that we were away. Nodes renew three times a TTL, so a
/// stall of two thirds of the shortest TTL can eat a renewal that was sent in time.
pub const LONGEST_GAP: Duration = Duration::from_millis(200);

/// A lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How long it lasts from a renewal on.
    pub ttl: Duration,
    /// When it lapses unless renewed.
    pub until: Duration,
}

/// What a tick brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick<K> {
    /// Leases that lapsed, the longest overdue first.
    pub lapsed: Vec<K>,
    /// We were away for so long, and every lease was extended.
    pub away: Option<Duration>,
}

/// Every lease, by key.
#[derive(Debug, Clone)]
pub struct Leases<K> {
    leases: HashMap<K, Lease>,
    due: BTreeSet<(Duration, K)>,
    last_tick: Duration,
    /// An absence that a call between two ticks found; the next tick tells of it.
    away: Option<Duration>,
    /// Nobody answers renewals yet, so no lease runs.
    held: bool,
}

impl<K: Clone + Ord + Hash> Leases<K> {
    /// No leases; `now` counts as the first tick.
    pub fn new(now: Duration) -> Self {
        Self { leases: HashMap::new(), due: BTreeSet::new(), last_tick: now, away: None, held: false }
    }

    /// From now until [`Leases::run`] no lease runs: nobody answers renewals.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Renewals are answered from now on: leases that were held have their whole TTL from here. The second time, and
    /// where none was held, this does nothing, so that it cannot be used to keep a lease from lapsing.
    pub fn run(&mut self, now: Duration) {
        if std::mem::take(&mut self.held) {
            self.last_tick = now;
            self.extend(now);
        }
    }

    /// Grants a lease, or replaces the one that is there.
    pub fn grant(&mut self, key: K, ttl: Duration, now: Duration) {
        self.notice_absence(now);
        self.put_back(key, Some(Lease { ttl, until: now + ttl }));
    }

    /// Renews a lease for its TTL. False: there is none, or it has lapsed; it stays lapsed.
    pub fn renew<Q: ?Sized + Hash + Eq + ToOwned<Owned = K>>(&mut self, key: &Q, now: Duration) -> bool
    where
        K: Borrow<Q>,
    {
        self.notice_absence(now);
        let Some(lease) = self.leases.get_mut(key) else { return false };
        if lease.until <= now {
            return false;
        }
        let old = std::mem::replace(&mut lease.until, now + lease.ttl);
        let new = lease.until;
        let key = key.to_owned();
        self.due.remove(&(old, key.clone()));
        self.due.insert((new, key));
        true
    }

    /// Whether there is a lease that has not lapsed.
    pub fn alive<Q: ?Sized + Hash + Eq>(&mut self, key: &Q, now: Duration) -> bool
    where
        K: Borrow<Q>,
    {
        self.notice_absence(now);
        self.get(key).is_some_and(|lease| lease.until > now)
    }

    /// The lease under a key, whether or not it is overdue.
    pub fn get<Q: ?Sized + Hash + Eq>(&self, key: &Q) -> Option<Lease>
    where
        K: Borrow<Q>,
    {
        self.leases.get(key).copied()
    }

    /// Puts a lease back as it was (or takes it away), to undo a change that could not be written down.
    pub fn put_back(&mut self, key: K, lease: Option<Lease>) {
        let old = match lease {
            Some(lease) => {
                self.due.insert((lease.until, key.clone()));
                self.leases.insert(key.clone(), lease).filter(|old| old.until != lease.until)
            }
            None => self.leases.remove(&key),
        };
        if let Some(old) = old {
            self.due.remove(&(old.until, key));
        }
    }

    /// Ends a lease. False: there was none.
    pub fn end<Q: ?Sized + Hash + Eq + ToOwned<Owned = K>>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let Some(lease) = self.leases.remove(key) else { return false };
        self.due.remove(&(lease.until, key.to_owned()));
        true
    }

    /// Takes away every lease that is due. To be called every [`TICK`].
    pub fn tick(&mut self, now: Duration) -> Tick<K> {
        if self.held {
            self.extend(now);
        }
        self.notice_absence(now);
        self.last_tick = now;
        let mut lapsed = Vec::new();
        while let Some((until, _)) = self.due.first()
            && *until <= now
            && let Some((_, key)) = self.due.pop_first()
        {
            self.leases.remove(&key);
            lapsed.push(key);
        }
        Tick { lapsed, away: self.away.take() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// A renewal may be the first thing we read after we were away, so every call looks, not the tick alone.
    fn notice_absence(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last_tick);
        if gap <= LONGEST_GAP {
            return;
        }
        self.last_tick = now;
        // Whose leases do not run yet need not hear that we were away.
        self.away = (!self.held).then_some(gap);
        self.extend(now);
    }

    /// Every lease has at least its TTL from now on.
    fn extend(&mut self, now: Duration) {
        self.due.clear();
        for (key, lease) in &mut self.leases {
            lease.until = lease.until.max(now + lease.ttl);
            self.due.insert((lease.until, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
