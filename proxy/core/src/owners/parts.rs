//! Owners one part of the table at a time, for whoever keeps them on disk: not all of them twice in memory, and whoever
//! claims a key waits for one part at most.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Claim, Incarnation, OwnerTable, second};

/// An owner as it is kept: without the life of its node, which is of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The key.
    pub key: &'a str,
    /// Id of the node that owns it.
    pub node: &'a str,
    /// Rises each time the key is given to another node, modulo 2^16.
    pub epoch: u16,
    /// Whole seconds since somebody asked for it.
    pub idle: u32,
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

    /// Takes in an owner that was kept, in place of another that the key may have. False: it is past its time, or there is
    /// no room.
    pub fn take_in(&self, kept: Kept<'_>, now: Duration) -> bool {
        let Kept { key, node, epoch, idle } = kept;
        if idle > self.ttl.load(Ordering::Relaxed) || key.len() > super::LONGEST_KEY {
            return false;
        }
        let Some(life) = self.lives.intern(node, Incarnation(0)) else { return false };
        if let Some(held) = self.peek(key, now) {
            if (held.life, held.epoch) == (life, epoch) {
                return true;
            }
            self.release(key, now);
        }
        if self.len() >= self.capacity.load(Ordering::Relaxed) {
            return false;
        }
        let second = second(now);
        matches!(self.claim_for(key, life, epoch, second.saturating_sub(idle), second), Claim::New(_))
    }
}
