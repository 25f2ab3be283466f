//! Owners one part of the table at a time, for whoever keeps them on disk: not all of them twice in memory, and whoever
//! claims a key waits for one part at most.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lives::LifeId;
use super::table::LAST_EPOCH;
use super::{Claim, Incarnation, OwnerTable, second};

/// An owner as it is kept: without the life of its node, which is of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The key.
    pub key: &'a str,
    /// Id of the node that owns it.
    pub node: &'a str,
    /// Rises each time the key is given to another node, modulo 2^15.
    pub epoch: u16,
    /// Whole seconds since somebody asked for it.
    pub idle: u32,
}

/// Epochs come round: what is less than half of them ahead is later.
fn is_later(epoch: u16, than: u16) -> bool {
    (1..=LAST_EPOCH / 2).contains(&(epoch.wrapping_sub(than) & LAST_EPOCH))
}

impl OwnerTable {
    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.shards.len()
    }

    /// Every owner of one part, with the time of `now`. Nobody learns, moves or forgets a key of it meanwhile.
    pub fn each_of(&self, part: usize, now: Duration, mut see: impl FnMut(Kept<'_>)) {
        let Some(shard) = self.shards.get(part) else { return };
        let (second, mut lives) = (second(now), self.lives());
        shard.each(|key, entry| {
            let at = entry.life.0 as usize;
            if at >= lives.len() {
                // It came since.
                lives = self.lives();
            }
            if let Some(life) = lives.get(at) {
                see(Kept { key, node: &life.node, epoch: entry.epoch, idle: second.saturating_sub(entry.seen) });
            }
        });
    }

    /// An empty table with the same bounds.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self::new(self.capacity(), Duration::from_secs(self.ttl.load(Ordering::Relaxed).into()))
    }

    /// Whether a key that comes pushes another out.
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }

    /// Takes in an owner that was kept, in place of another that the key may have, and as any that comes where the table is
    /// full: another gives way. False: it is past its time.
    pub fn take_in(&self, kept: Kept<'_>, now: Duration) -> bool {
        let Kept { key, node, epoch, .. } = kept;
        let Some(life) = self.lives.intern(node, Incarnation(0)) else { return false };
        if let Some(held) = self.peek(key, now) {
            if (held.life, held.epoch) == (life, epoch) {
                return true;
            }
            self.release(key, now);
        }
        matches!(self.put_in(kept, life, now), Claim::New(_))
    }

    /// Takes in an owner of whom another process says, while requests go on: one of a later epoch (modulo 2^15) takes the place
    /// of who is known here, and of equal ones the latter stays. A node keeps its life. Answers whether anything changed.
    pub fn take_later(&self, kept: Kept<'_>, now: Duration) -> bool {
        let Some(life) = self.lives.intern(kept.node, Incarnation(0)) else { return false };
        let hash = self.hash(kept.key);
        loop {
            let Some(held) = self.peek(kept.key, now) else {
                match self.put_in(kept, life, now) {
                    Claim::New(_) => return true,
                    Claim::Refused => return false,
                    // A request was faster.
                    Claim::Held(_) => continue,
                }
            };
            if !is_later(kept.epoch, held.epoch) {
                return false;
            }
            let to = if *self.life(held).node == *kept.node { held.life } else { life };
            let from = (held.life, held.epoch);
            if self.shard(hash).follow_if(hash, from, (to, kept.epoch), self.owned()) {
                if to != held.life {
                    self.moved(held.life, to, 1);
                }
                return true;
            }
        }
    }

    fn put_in(&self, kept: Kept<'_>, life: LifeId, now: Duration) -> Claim {
        let Kept { key, epoch, idle, .. } = kept;
        if idle > self.ttl.load(Ordering::Relaxed) || key.len() > super::LONGEST_KEY {
            return Claim::Refused;
        }
        let second = second(now);
        self.claim_for(key, life, epoch, second.saturating_sub(idle), second)
    }
}
