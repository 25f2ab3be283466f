//! Owners: which node a key belongs to, because it was seen there first.
//!
//! The table is shared by all workers. A lookup takes no lock: it reads atomics of one shard's table, found through one
//! atomic pointer ([`table`]). Whoever learns a key, moves or forgets one holds the lock of its shard (one of 256), which
//! others who write to that shard wait for, and nobody who looks up. Time comes in as an argument.
//!
//! Memory is bounded by the number of owners: 80 to 97 bytes each for keys of up to 36 bytes, spare places counted.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::cluster::node::Incarnation;
use lives::Lives;
use shard::{Shard, Vacancy};
use sink::Told;
use table::{Entry, Hash};

pub mod decide;
mod lives;
pub mod parts;
mod shard;
mod sink;
pub mod snapshot;
mod table;
mod waiting;

pub use lives::{Life, LifeId};
pub use sink::{Change, Sink};
pub use waiting::Waiting;

/// Bytes of a key at most.
pub const LONGEST_KEY: usize = 256;

/// Owners of a shard, about, below which one more shard would be a waste.
const PER_SHARD: usize = 4096;
const MOST_SHARDS: usize = 256;

/// Times are kept in whole seconds of a clock that begins here: what a snapshot brings may be older than the process.
const EPOCH: u64 = 1 << 27;

/// To whom a key belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Which life of which node: [`OwnerTable::life`].
    pub life: LifeId,
    /// Rises each time the key is given to another node, modulo 2^16.
    pub epoch: u16,
    /// Since when nobody has asked for it, in whole seconds.
    pub idle: Duration,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The key had no owner, and belongs to the claimant now.
    New(Owner),
    /// The key belongs to somebody: perhaps the claimant, perhaps another.
    Held(Owner),
    /// It could not be learnt: it is longer than [`LONGEST_KEY`], or no place could be made for it.
    Refused,
}

/// What happened to owners since the table was made.
#[derive(Debug, Default)]
pub struct Counts {
    /// Keys that were learnt.
    pub claimed: AtomicU64,
    /// Keys that nobody had asked for within the TTL.
    pub expired: AtomicU64,
    /// Keys that gave way to others since the table was full.
    pub evicted: AtomicU64,
    /// Keys that were released.
    pub released: AtomicU64,
    /// Keys that were given to another node.
    pub moved: AtomicU64,
    /// Claims that were refused.
    pub refused: AtomicU64,
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// The owners of one service.
#[derive(Debug)]
pub struct OwnerTable {
    shards: Box<[Shard]>,
    lives: Lives,
    /// Secret: else a client could choose keys that are taken for another's.
    seeds: [RandomState; 2],
    /// Owners in all shards, and those a claim has just made room for.
    entries: AtomicUsize,
    capacity: AtomicUsize,
    ttl: AtomicU32,
    counts: Counts,
    told: Told,
}

impl OwnerTable {
    /// No owners. `capacity`: how many there may be; `ttl`: how long one is known after the last request for it, a second
    /// or more.
    pub fn new(capacity: usize, ttl: Duration) -> Self {
        let shards = (capacity / PER_SHARD).next_power_of_two().clamp(1, MOST_SHARDS);
        let table = Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            lives: Lives::default(),
            seeds: [RandomState::new(), RandomState::new()],
            entries: AtomicUsize::new(0),
            capacity: AtomicUsize::new(0),
            ttl: AtomicU32::new(0),
            counts: Counts::default(),
            told: Told::default(),
        };
        table.configure(capacity, ttl);
        table
    }

    /// New bounds. Where there are more owners than may be, each that comes pushes one out, until enough have expired.
    pub fn configure(&self, capacity: usize, ttl: Duration) {
        self.capacity.store(capacity.max(1), Ordering::SeqCst);
        let seconds = ttl.as_secs().clamp(1, EPOCH - 1);
        self.ttl.store(u32::try_from(seconds).unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whom every change is told from now on.
    pub fn tell(&self, sink: Option<Arc<dyn Sink>>) {
        self.told.set(sink);
    }

    /// Which node an owner is, and how many keys it owns.
    pub fn life(&self, owner: Owner) -> Arc<Life> {
        self.lives.get(owner.life)
    }

    /// Every life of a node that was seen, with what it owns.
    pub fn lives(&self) -> Vec<Arc<Life>> {
        self.lives.all()
    }

    /// The owner of a key; from now on it is known for the whole TTL again. Takes no lock and does not allocate.
    pub fn find(&self, key: &str, now: Duration) -> Option<Owner> {
        let hash = self.hash(key);
        let second = second(now);
        let entry = self.shard(hash).find(hash, second, self.oldest(second))?;
        self.known(entry, second)
    }

    /// The owner of a key, for somebody who looks on.
    pub fn peek(&self, key: &str, now: Duration) -> Option<Owner> {
        let hash = self.hash(key);
        let entry = self.shard(hash).peek(hash)?;
        self.known(entry, second(now))
    }

    /// Gives a key to this life of a node unless it has an owner. An owner that is known is found without a lock.
    pub fn claim(&self, key: &str, node: &str, incarnation: Incarnation, now: Duration) -> Claim {
        let life = if key.len() <= LONGEST_KEY { self.lives.intern(node, incarnation) } else { None };
        let Some(life) = life else {
            count(&self.counts.refused, 1);
            return Claim::Refused;
        };
        let entry = Entry { life, epoch: 0, seen: second(now), followed: false };
        self.claim_as(key, entry, second(now))
    }

    /// Gives a key the owner of another: `ClOrdID` the owner of `OrigClOrdID`, so that a chain of replacements stays at one
    /// node. Each key of a chain has its own time to live. `None`: the other has no owner.
    pub fn alias(&self, key: &str, known: &str, now: Duration) -> Option<Claim> {
        Some(self.share(key, self.find(known, now)?, now))
    }

    /// Gives a key this owner of another, unless it has one.
    pub fn share(&self, key: &str, owner: Owner, now: Duration) -> Claim {
        if key.len() > LONGEST_KEY {
            count(&self.counts.refused, 1);
            return Claim::Refused;
        }
        self.claim_for(key, owner.life, owner.epoch, second(now), second(now))
    }

    /// Nobody will ask for the key again.
    pub fn release(&self, key: &str, now: Duration) -> Option<Owner> {
        let hash = self.hash(key);
        let entry = self.shard(hash).remove(hash, |key| self.told.released(key))?;
        self.gone(entry);
        let owner = self.known(entry, second(now))?;
        count(&self.counts.released, 1);
        Some(owner)
    }

    /// Forgets a key that was claimed for nothing, unless somebody has found it or moved it meanwhile. Answers whether it was
    /// forgotten.
    pub fn withdraw(&self, key: &str, owner: Owner) -> bool {
        let hash = self.hash(key);
        let removed = self.shard(hash).remove_if(hash, (owner.life, owner.epoch), |key| self.told.released(key));
        let Some(entry) = removed else { return false };
        self.gone(entry);
        count(&self.counts.released, 1);
        true
    }

    /// Gives a key that has an owner to another life; its epoch rises. `None`: it has none.
    pub fn reassign(&self, key: &str, node: &str, incarnation: Incarnation, now: Duration) -> Option<Owner> {
        let hash = self.hash(key);
        let to = self.lives.intern(node, incarnation)?;
        let (from, entry) = self.shard(hash).give(hash, to, self.owned())?;
        self.moved(from, to, 1);
        self.known(entry, second(now))
    }

    /// Gives a key whose owner is gone to another life, unless somebody did so first: then it is [`Claim::Held`] by whom they
    /// chose, and that one is to serve. `from` is the owner that was found gone.
    pub fn take_over(&self, key: &str, from: Owner, node: &str, incarnation: Incarnation, now: Duration) -> Claim {
        let Some(to) = self.lives.intern(node, incarnation) else { return Claim::Refused };
        let (hash, second) = (self.hash(key), second(now));
        match self.shard(hash).give_if(hash, (from.life, from.epoch), to, self.owned()) {
            Some(Ok(entry)) => {
                self.moved(from.life, to, 1);
                Claim::New(Owner { life: entry.life, epoch: entry.epoch, idle: Duration::ZERO })
            }
            Some(Err(held)) => self.known(held, second).map_or(Claim::Refused, Claim::Held),
            None => self.claim_for(key, to, table::after(from.epoch), second, second),
        }
    }

    /// Bytes of memory that the owners take, spare places counted.
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Gives every key of a node, whichever life of it, to a life of another. Takes one shard after the other: keys that
    /// the node claims meanwhile may stay with it. Answers how many.
    pub fn reassign_all(&self, from: &str, node: &str, incarnation: Incarnation) -> usize {
        let Some(to) = self.lives.intern(node, incarnation) else { return 0 };
        let mut moved = 0;
        for life in self.lives.of(from).into_iter().filter(|life| *life != to) {
            let given: usize = self.shards.iter().map(|shard| shard.give_all(life, to, self.owned())).sum();
            self.moved(life, to, given);
            moved += given;
        }
        moved
    }

    /// Keys of a node, at most so many, in no order. Takes one shard after the other.
    pub fn list(&self, node: &str, most: usize, now: Duration) -> Vec<(String, Owner)> {
        let lives = self.lives.of(node);
        let mut found = Vec::new();
        for shard in &self.shards {
            shard.each(|key, entry| {
                if found.len() < most && lives.contains(&entry.life) {
                    found.extend(self.known(entry, second(now)).map(|owner| (key.to_owned(), owner)));
                }
            });
        }
        found
    }

    /// Forgets who was not asked for within the TTL, in one shard of all: `turn` counts the calls. To be called often, off
    /// the request path. Answers how many were forgotten.
    pub fn sweep(&self, turn: usize, now: Duration) -> usize {
        let shard = &self.shards[turn % self.shards.len()];
        let oldest = self.oldest(second(now));
        let forgotten = shard.forget(|entry| entry.seen < oldest, |entry| self.gone(entry));
        count(&self.counts.expired, forgotten);
        forgotten
    }

    fn claim_for(&self, key: &str, life: LifeId, epoch: u16, seen: u32, second: u32) -> Claim {
        self.claim_as(key, Entry { life, epoch: epoch & table::LAST_EPOCH, seen, followed: true }, second)
    }

    fn claim_as(&self, key: &str, entry: Entry, second: u32) -> Claim {
        let Entry { life, epoch, .. } = entry;
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let oldest = self.oldest(second);
        if let Some(owner) = shard.find(hash, second, oldest).and_then(|entry| self.known(entry, second)) {
            return Claim::Held(owner);
        }
        let reserved = self.reserve();
        let vacancy = if reserved { Vacancy::Free } else { Vacancy::Evict };
        match shard.insert(hash, (key, entry), oldest, vacancy, self.owned()) {
            shard::Insert::Held => {
                self.give_back(reserved);
                // Whoever goes by it says so.
                let held = shard.find(hash, second, oldest).and_then(|entry| self.known(entry, second));
                held.map_or(Claim::Refused, Claim::Held)
            }
            shard::Insert::New { pushed_out } => {
                if !reserved {
                    // Before the one that gave way is taken off: else a third could come in between.
                    self.entries.fetch_add(1, Ordering::Relaxed);
                }
                self.lives.add(life, 1);
                count(&self.counts.claimed, 1);
                for (entry, expired) in pushed_out.into_iter().flatten() {
                    self.gone(entry);
                    count(if expired { &self.counts.expired } else { &self.counts.evicted }, 1);
                }
                Claim::New(Owner { life, epoch, idle: Duration::ZERO })
            }
            shard::Insert::Full => {
                self.give_back(reserved);
                count(&self.counts.refused, 1);
                Claim::Refused
            }
        }
    }

    /// Tells that a key is this one's.
    fn owned(&self) -> impl Fn(&str, Entry) {
        |key, entry| self.told.owned(&self.lives, key, entry)
    }

    /// Counts one more, if there may be one more.
    fn reserve(&self) -> bool {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let more = |entries| (entries < capacity).then_some(entries + 1);
        self.entries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, reserved: bool) {
        self.entries.fetch_sub(usize::from(reserved), Ordering::Relaxed);
    }

    fn gone(&self, entry: Entry) {
        self.lives.take(entry.life, 1);
        self.entries.fetch_sub(1, Ordering::Relaxed);
    }

    fn moved(&self, from: LifeId, to: LifeId, keys: usize) {
        self.lives.take(from, keys);
        self.lives.add(to, keys);
        count(&self.counts.moved, keys);
    }

    /// Who was asked for before this second is past its time.
    fn oldest(&self, second: u32) -> u32 {
        second.saturating_sub(self.ttl.load(Ordering::Relaxed))
    }

    /// What is past its time is not there any more, swept or not.
    fn known(&self, entry: Entry, second: u32) -> Option<Owner> {
        let idle = second.saturating_sub(entry.seen);
        let known = idle <= self.ttl.load(Ordering::Relaxed);
        known.then_some(Owner { life: entry.life, epoch: entry.epoch, idle: Duration::from_secs(idle.into()) })
    }

    fn hash(&self, key: &str) -> Hash {
        Hash::new(self.seeds[0].hash_one(key), self.seeds[1].hash_one(key))
    }

    fn shard(&self, hash: Hash) -> &Shard {
        &self.shards[hash.shard() % self.shards.len()]
    }
}

fn second(now: Duration) -> u32 {
    u32::try_from((now.as_secs() + EPOCH).min(table::LATEST)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
