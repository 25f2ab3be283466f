//! Those who wait for a key to get an owner, or another.
//!
//! They stand beside the keys of a shard, so that whoever writes a key there, under the lock that it holds anyway, sees who
//! waits for it: nothing is missed between looking and waiting, and nobody is woken for another's key.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::table::Hash;
use super::{Owner, OwnerTable, second};

/// A request that waits for one of its keys to change hands. Dropping it ends the wait.
#[derive(Debug)]
pub struct Waiting {
    table: Arc<OwnerTable>,
    keys: SmallVec<[Hash; 2]>,
    waiter: Arc<Waiter>,
}

#[derive(Debug, Default)]
pub(super) struct Waiter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    over: bool,
    waker: Option<Waker>,
}

/// Who waits at a shard, by key.
#[derive(Debug, Default)]
pub(super) struct Bench(Vec<(Hash, Arc<Waiter>)>);

/// Who is to be woken, once no lock is held.
pub(super) type Woken = SmallVec<[Arc<Waiter>; 1]>;

impl Waiter {
    pub(super) fn wake(&self) {
        let waker = {
            let mut state = self.0.lock();
            state.over = true;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Bench {
    pub(super) fn join(&mut self, hash: Hash, waiter: &Arc<Waiter>) {
        self.0.push((hash, Arc::clone(waiter)));
    }

    pub(super) fn leave(&mut self, waiter: &Arc<Waiter>) {
        self.0.retain(|(_, other)| !Arc::ptr_eq(other, waiter));
        if self.0.is_empty() {
            // A rush that is over gives its memory back.
            self.0 = Vec::new();
        }
    }

    /// Those who wait for this key; for any where none is named.
    pub(super) fn take(&mut self, hash: Option<Hash>) -> Woken {
        if self.0.is_empty() {
            return Woken::new();
        }
        let wanted = |(known, _): &mut (Hash, Arc<Waiter>)| hash.is_none_or(|hash| *known == hash);
        self.0.extract_if(.., wanted).map(|(_, waiter)| waiter).collect()
    }
}

impl OwnerTable {
    /// Waits for one of these keys to have another owner than was seen (`None`: none). `None`: one has already.
    pub fn wait<'k>(
        self: &Arc<Self>,
        seen: impl Iterator<Item = (&'k str, Option<Owner>)>,
        now: Duration,
    ) -> Option<Waiting> {
        let oldest = self.oldest(second(now));
        let mut waiting = Waiting { table: Arc::clone(self), keys: SmallVec::new(), waiter: Arc::default() };
        for (key, owner) in seen {
            let hash = self.hash(key);
            let owner = owner.map(|owner| (owner.life, owner.epoch));
            if !self.shard(hash).join(hash, owner, oldest, &waiting.waiter) {
                return None;
            }
            waiting.keys.push(hash);
        }
        Some(waiting)
    }
}

impl Waiting {
    /// Whether a key has changed hands since.
    pub fn is_over(&self) -> bool {
        self.waiter.0.lock().over
    }

    /// Ready once one has; until then `waker` is woken when that happens. The last waker counts.
    pub fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.waiter.0.lock();
        if state.over {
            return Poll::Ready(());
        }
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for hash in &self.keys {
            self.table.shard(*hash).leave(&self.waiter);
        }
    }
}
