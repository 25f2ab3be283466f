//! Slots that are read without a lock: open addressing over atomics, one writer at a time.
//!
//! A slot is three words: two of the key's hash and one of the owner. It belongs to one key for as long as the table lasts:
//! where a key has left, none but itself comes back. So what a reader finds behind a key's hash is that key's, however
//! many write meanwhile. Places that were left are won back when the table is made anew. All accesses are sequentially
//! consistent: lookups are loads, which cost no more for it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::lives::LifeId;

const EMPTY: u64 = 0;
/// Somebody was here: a search goes on behind it.
const LEFT: u64 = 1;

const SEEN_BITS: u32 = 28;
const EPOCH_BITS: u32 = 15;
/// Epochs begin anew behind it.
pub(super) const LAST_EPOCH: u16 = (1 << EPOCH_BITS) - 1;
const FOLLOWED_BITS: u32 = 1;
/// The last second that a slot can hold: four years of running.
pub(super) const LATEST: u64 = (1 << SEEN_BITS) - 1;

/// 128 bits of a key, keyed by secrets. Two keys that share them would be taken for one another: of two million, with a
/// chance of 1 in 10^26.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash {
    first: u64,
    second: u64,
}

impl Hash {
    pub(super) fn new(first: u64, second: u64) -> Self {
        Self { first: first.max(LEFT + 1), second }
    }

    /// Bits that choose a shard; others than those that choose a slot.
    pub(super) fn shard(self) -> usize {
        self.second as usize & 0xFFFF_FFFF
    }

    /// Bits that choose where one looks for somebody to give way.
    pub(super) fn victim(self) -> usize {
        (self.second >> 32) as usize
    }
}

/// Whose a key is, and when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) life: LifeId,
    pub(super) epoch: u16,
    pub(super) seen: u32,
    /// Whether anybody but who claimed the key may have gone by it.
    pub(super) followed: bool,
}

/// The epoch behind this one.
pub(super) fn after(epoch: u16) -> u16 {
    epoch.wrapping_add(1) & LAST_EPOCH
}

impl Entry {
    fn pack(self) -> u64 {
        u64::from(self.life.0) << (SEEN_BITS + FOLLOWED_BITS + EPOCH_BITS)
            | u64::from(self.epoch & LAST_EPOCH) << (SEEN_BITS + FOLLOWED_BITS)
            | u64::from(self.followed) << SEEN_BITS
            | u64::from(self.seen) & LATEST
    }

    fn unpack(word: u64) -> Self {
        Self {
            life: LifeId((word >> (SEEN_BITS + FOLLOWED_BITS + EPOCH_BITS)) as u32),
            epoch: (word >> (SEEN_BITS + FOLLOWED_BITS)) as u16 & LAST_EPOCH,
            seen: (word & LATEST) as u32,
            followed: word >> SEEN_BITS & 1 == 1,
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    first: AtomicU64,
    second: AtomicU64,
    entry: AtomicU64,
}

/// The slots of a shard. Never full, so that every search ends.
#[derive(Debug, Default)]
pub(super) struct Table(Box<[Slot]>);

/// Where a key is, or may be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    At(usize),
    Free(usize),
}

impl Table {
    pub(super) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| Slot::default()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Slots from where a key's search begins, all of them once.
    fn search(&self, hash: Hash) -> impl Iterator<Item = usize> {
        let length = self.0.len();
        let start = ((u128::from(hash.first) * length as u128) >> 64) as usize;
        (start..length).chain(0..start)
    }

    /// Without a lock. A search ends at a slot that never was taken.
    pub(super) fn find(&self, hash: Hash) -> Option<(usize, Entry)> {
        for at in self.search(hash) {
            let slot = &self.0[at];
            match slot.first.load(SeqCst) {
                EMPTY => return None,
                first if first == hash.first && slot.second.load(SeqCst) == hash.second => {
                    return Some((at, Entry::unpack(slot.entry.load(SeqCst))));
                }
                _ => {}
            }
        }
        None
    }

    /// Says that a key was asked for at a second and is gone by, unless somebody changes it at this moment. Without a lock.
    /// False: somebody does.
    pub(super) fn touch(&self, at: usize, entry: Entry, second: u32) -> bool {
        let now = Entry { seen: second, followed: true, ..entry };
        self.0[at].entry.compare_exchange(entry.pack(), now.pack(), SeqCst, SeqCst).is_ok()
    }

    /// For writers: from now on nobody goes by a key that nobody has gone by; false: somebody has.
    pub(super) fn retire(&self, at: usize, entry: Entry) -> bool {
        !entry.followed && {
            // Long past its time, so that readers pass it over until it is cleared.
            let past = Entry { seen: 0, followed: true, ..entry };
            self.0[at].entry.compare_exchange(entry.pack(), past.pack(), SeqCst, SeqCst).is_ok()
        }
    }

    /// For writers. `None`: the table is full.
    pub(super) fn place(&self, hash: Hash) -> Option<Place> {
        for at in self.search(hash) {
            match self.0[at].first.load(SeqCst) {
                EMPTY => return Some(Place::Free(at)),
                first if first == hash.first && self.0[at].second.load(SeqCst) == hash.second => {
                    return Some(Place::At(at));
                }
                _ => {}
            }
        }
        None
    }

    /// For writers: puts a key where [`Table::place`] said. Readers see it once its first word stands.
    pub(super) fn put(&self, at: usize, hash: Hash, entry: Entry) {
        let slot = &self.0[at];
        slot.entry.store(entry.pack(), SeqCst);
        slot.second.store(hash.second, SeqCst);
        slot.first.store(hash.first, SeqCst);
    }

    /// For writers: takes a key away.
    pub(super) fn clear(&self, at: usize) {
        self.0[at].first.store(LEFT, SeqCst);
    }

    /// For writers: changes an owner, whatever readers do to the time meanwhile. Answers who it was and is.
    pub(super) fn give(&self, at: usize, to: LifeId) -> (LifeId, Entry) {
        let word = &self.0[at].entry;
        let mut old = word.load(SeqCst);
        loop {
            let was = Entry::unpack(old);
            let is = Entry { life: to, epoch: after(was.epoch), seen: was.seen, followed: true };
            match word.compare_exchange(old, is.pack(), SeqCst, SeqCst) {
                Ok(_) => return (was.life, is),
                Err(changed) => old = changed,
            }
        }
    }

    /// For writers: an owner that another process has found, in its epoch, whatever readers do to the time meanwhile.
    pub(super) fn follow(&self, at: usize, (life, epoch): (LifeId, u16)) -> Entry {
        let word = &self.0[at].entry;
        let mut old = word.load(SeqCst);
        loop {
            let is = Entry { life, epoch: epoch & LAST_EPOCH, followed: true, ..Entry::unpack(old) };
            match word.compare_exchange(old, is.pack(), SeqCst, SeqCst) {
                Ok(_) => return is,
                Err(changed) => old = changed,
            }
        }
    }

    /// For writers: what stands in a slot.
    pub(super) fn at(&self, at: usize) -> Option<(Hash, Entry)> {
        let slot = self.0.get(at)?;
        let first = slot.first.load(SeqCst);
        let entry = Entry::unpack(slot.entry.load(SeqCst));
        (first > LEFT).then(|| (Hash { first, second: slot.second.load(SeqCst) }, entry))
    }
}
