//! One shard: a table that readers share, and what its writer needs beside it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrayvec::ArrayString;
use parking_lot::Mutex;

use super::lives::LifeId;
use super::table::{Entry, Hash, Place, Table};
use super::waiting::{Bench, Waiter};

/// Bytes of a key that lie beside its slot; of a longer one all lie elsewhere.
const INLINE: usize = 36;
/// Slots of a shard that holds anything.
const FEWEST: usize = 32;
/// Slots that are looked at for one that may give way.
const SAMPLE: usize = 16;

/// Whether a claim may take one more place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vacancy {
    Free,
    /// Another key has to give way.
    Evict,
}

/// What became of an insertion.
#[derive(Debug)]
pub(super) enum Insert {
    Held,
    /// It is in. Who was pushed out for it, and whether that one was past its time.
    New {
        pushed_out: [Option<(Entry, bool)>; 2],
    },
    /// Nobody here could give way.
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    table: ArcSwap<Table>,
    writer: Mutex<Writer>,
}

/// Keys as text, by slot: only those who list and save want them.
#[derive(Debug, Default)]
struct Writer {
    texts: Vec<ArrayString<INLINE>>,
    long: HashMap<usize, Box<str>>,
    live: usize,
    /// Slots that are not empty: taken or left.
    used: usize,
    bench: Bench,
}

impl Shard {
    /// `oldest`: who was seen before is past its time, and asking for it now does not bring it back.
    pub(super) fn find(&self, hash: Hash, second: u32, oldest: u32) -> Option<Entry> {
        let table = self.table.load();
        loop {
            let (at, entry) = table.find(hash).filter(|(_, entry)| entry.seen >= oldest)?;
            // Once a second at most, so that a key which is asked for all the time is not written all the time.
            let fresh = entry.followed && entry.seen >= second;
            // The first who goes by a claim must have said so, or the claim may be withdrawn under it.
            if fresh || table.touch(at, entry, second) || entry.followed {
                return Some(entry);
            }
        }
    }

    pub(super) fn peek(&self, hash: Hash) -> Option<Entry> {
        self.table.load().find(hash).map(|(_, entry)| entry)
    }

    /// Writes under the lock; whoever waits for this key, or for any where none is named, is woken after it.
    fn write<R>(&self, hash: Option<Hash>, write: impl FnOnce(&mut Writer) -> R) -> R {
        let mut writer = self.writer.lock();
        let written = write(&mut writer);
        let woken = writer.bench.take(hash);
        drop(writer);
        woken.iter().for_each(|waiter| waiter.wake());
        written
    }

    /// `oldest`: who was seen before is past its time, and gives way as if it were not there. `tell` hears of it before
    /// anybody else can change it.
    pub(super) fn insert(
        &self,
        hash: Hash,
        (key, entry): (&str, Entry),
        oldest: u32,
        vacancy: Vacancy,
        tell: impl FnOnce(&str, Entry),
    ) -> Insert {
        self.write(Some(hash), |writer| {
            let table = self.roomy(writer);
            let Some(place) = table.place(hash) else { return Insert::Full };
            let mut pushed_out = [None, None];
            let (at, again) = match place {
                Place::At(at) => {
                    let Some((_, held)) = table.at(at) else { return Insert::Full };
                    if held.seen >= oldest {
                        return Insert::Held;
                    }
                    pushed_out[0] = Some((held, true));
                    writer.remove(&table, at);
                    (at, true)
                }
                Place::Free(at) => (at, false),
            };
            if vacancy == Vacancy::Evict && pushed_out[0].is_none() {
                let Some((victim, held)) = idlest(&table, hash) else { return Insert::Full };
                pushed_out[1] = Some((held, held.seen < oldest));
                writer.remove(&table, victim);
            }
            writer.put(&table, at, again, hash, key, entry);
            tell(key, entry);
            Insert::New { pushed_out }
        })
    }

    pub(super) fn remove(&self, hash: Hash, tell: impl FnOnce(&str)) -> Option<Entry> {
        self.write(Some(hash), |writer| {
            let (table, at, entry) = self.held(hash)?;
            tell(writer.text(at));
            writer.remove(&table, at);
            Some(entry)
        })
    }

    /// Forgets a key if it still is whose it was and nobody has gone by it.
    pub(super) fn remove_if(&self, hash: Hash, from: (LifeId, u16), tell: impl FnOnce(&str)) -> Option<Entry> {
        self.write(Some(hash), |writer| {
            let (table, at, entry) = self.held(hash)?;
            if (entry.life, entry.epoch) != from || !table.retire(at, entry) {
                return None;
            }
            tell(writer.text(at));
            writer.remove(&table, at);
            Some(entry)
        })
    }

    pub(super) fn give(&self, hash: Hash, to: LifeId, tell: impl FnOnce(&str, Entry)) -> Option<(LifeId, Entry)> {
        self.write(Some(hash), |writer| {
            let (table, at, _) = self.held(hash)?;
            let (from, entry) = table.give(at, to);
            tell(writer.text(at), entry);
            Some((from, entry))
        })
    }

    /// Gives a key to another if it still is whose it was. `Err`: it is this one's now; `None`: nobody's.
    pub(super) fn give_if(
        &self,
        hash: Hash,
        from: (LifeId, u16),
        to: LifeId,
        tell: impl FnOnce(&str, Entry),
    ) -> Option<Result<Entry, Entry>> {
        self.write(Some(hash), |writer| {
            let (table, at, held) = self.held(hash)?;
            if (held.life, held.epoch) != from {
                return Some(Err(held));
            }
            let (_, entry) = table.give(at, to);
            tell(writer.text(at), entry);
            Some(Ok(entry))
        })
    }

    /// Gives a key the owner and epoch that another process says, if it still is whose it was. Answers whether it was.
    pub(super) fn follow_if(
        &self,
        hash: Hash,
        from: (LifeId, u16),
        to: (LifeId, u16),
        tell: impl FnOnce(&str, Entry),
    ) -> bool {
        self.write(Some(hash), |writer| {
            let held = self.held(hash).filter(|(_, _, held)| (held.life, held.epoch) == from);
            let Some((table, at, _)) = held else { return false };
            let entry = table.follow(at, to);
            tell(writer.text(at), entry);
            true
        })
    }

    /// For writers: where a key is, and whose.
    fn held(&self, hash: Hash) -> Option<(Arc<Table>, usize, Entry)> {
        let table = self.table.load_full();
        let Some(Place::At(at)) = table.place(hash) else { return None };
        let (_, entry) = table.at(at)?;
        Some((table, at, entry))
    }

    /// Waits for a key that has this owner to change hands; false: it has done so. Who was seen before `oldest` is past its
    /// time, and no owner.
    pub(super) fn join(&self, hash: Hash, owner: Option<(LifeId, u16)>, oldest: u32, waiter: &Arc<Waiter>) -> bool {
        let mut writer = self.writer.lock();
        let held = self.held(hash).filter(|(_, _, entry)| entry.seen >= oldest);
        let unchanged = held.map(|(_, _, entry)| (entry.life, entry.epoch)) == owner;
        if unchanged {
            writer.bench.join(hash, waiter);
        }
        unchanged
    }

    pub(super) fn leave(&self, waiter: &Arc<Waiter>) {
        self.writer.lock().bench.leave(waiter);
    }

    /// Bytes of memory that the shard takes.
    pub(super) fn bytes(&self) -> usize {
        let writer = self.writer.lock();
        let long: usize = writer.long.values().map(|text| text.len() + 48).sum();
        self.table.load().bytes() + writer.texts.capacity() * size_of::<ArrayString<INLINE>>() + long
    }

    pub(super) fn give_all(&self, from: LifeId, to: LifeId, tell: impl Fn(&str, Entry)) -> usize {
        self.write(None, |writer| {
            let table = self.table.load();
            let mut given = 0;
            for at in (0..table.len()).filter(|at| table.at(*at).is_some_and(|(_, entry)| entry.life == from)) {
                let (_, entry) = table.give(at, to);
                tell(writer.text(at), entry);
                given += 1;
            }
            given
        })
    }

    /// Forgets those of whom `out` says so; each is told to `gone`.
    pub(super) fn forget(&self, out: impl Fn(Entry) -> bool, gone: impl Fn(Entry)) -> usize {
        let mut writer = self.writer.lock();
        let table = self.table.load();
        let mut forgotten = 0;
        for at in 0..table.len() {
            if let Some((_, entry)) = table.at(at).filter(|(_, entry)| out(*entry)) {
                writer.remove(&table, at);
                gone(entry);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// Every key and its owner, under the lock of the writer.
    pub(super) fn each(&self, mut see: impl FnMut(&str, Entry)) {
        let writer = self.writer.lock();
        let table = self.table.load();
        for at in 0..table.len() {
            if let Some((_, entry)) = table.at(at) {
                see(writer.text(at), entry);
            }
        }
    }

    /// A table with room for one more, in which a search is short: at most four of five slots are not empty. A new one is
    /// filled to two thirds, whether there were many keys or many that had left.
    fn roomy(&self, writer: &mut Writer) -> Arc<Table> {
        let table = self.table.load_full();
        if (writer.used + 1) * 5 <= table.len() * 4 {
            return table;
        }
        let next = Table::new(((writer.live + 1) * 3 / 2).max(FEWEST));
        let mut filled = Writer { texts: vec![ArrayString::new(); next.len()], ..Writer::default() };
        for at in 0..table.len() {
            if let Some((hash, entry)) = table.at(at)
                && let Some(Place::Free(to)) = next.place(hash)
            {
                filled.put(&next, to, false, hash, writer.text(at), entry);
            }
        }
        filled.bench = std::mem::take(&mut writer.bench);
        *writer = filled;
        let next = Arc::new(next);
        self.table.store(Arc::clone(&next));
        next
    }
}

impl Writer {
    fn text(&self, at: usize) -> &str {
        self.long.get(&at).map_or(self.texts[at].as_str(), |text| &**text)
    }

    fn put(&mut self, table: &Table, at: usize, again: bool, hash: Hash, key: &str, entry: Entry) {
        match ArrayString::from(key) {
            Ok(text) => self.texts[at] = text,
            Err(_) => drop(self.long.insert(at, key.into())),
        }
        self.live += 1;
        self.used += usize::from(!again);
        table.put(at, hash, entry);
    }

    fn remove(&mut self, table: &Table, at: usize) {
        table.clear(at);
        self.texts[at].clear();
        self.long.remove(&at);
        self.live -= 1;
    }
}

/// Of some keys, the one that was asked for longest ago. Which are looked at depends on the hash, so that no key is looked
/// at more often than others.
fn idlest(table: &Table, hash: Hash) -> Option<(usize, Entry)> {
    let length = table.len();
    let start = hash.victim() % length.max(1);
    let around = (start..length).chain(0..start);
    let held = around.filter_map(|at| table.at(at).map(|(_, entry)| (at, entry)));
    held.take(SAMPLE).min_by_key(|(_, entry)| entry.seen)
}
