//! Changes on their way from requests to the disk.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use pointsman_core::owners::parts::Kept;

use super::entry::{self, Entry};
use crate::frame;

/// Whoever changes keys at the same time seldom meets another here.
const STRIPES: usize = 16;

/// Bytes of a stripe: 4 MiB in all, some 100,000 changes, a second of very many.
const MOST: usize = 256 << 10;

/// What a stripe has room for without asking for more.
const FIRST: usize = 16 << 10;

/// Takes changes without ever waiting for a disk. Beyond its bound it takes none and says so: then only a snapshot tells
/// what has changed.
#[derive(Debug)]
pub struct Queue {
    /// Entries as they are written. One key is always in the same one, so that its changes stay in their order.
    stripes: [Mutex<Vec<u8>>; STRIPES],
    full: AtomicBool,
    dropped: AtomicU64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::new(Vec::with_capacity(FIRST))),
            full: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Queue {
    /// A key has got this owner, in this epoch; `None`: it was released.
    pub fn put(&self, key: &str, owner: Option<(&str, u16)>) {
        let node = owner.map_or("", |(node, _)| node);
        let stripe = &self.stripes[stripe_of(key)];
        let mut bytes = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() + entry::room(key, node) > MOST {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.full.store(true, Ordering::Relaxed);
            return;
        }
        entry::put(
            &mut bytes,
            match owner {
                Some((node, epoch)) => Entry::Owned(Kept { key, node, epoch, idle: 0 }),
                None => Entry::Released(key),
            },
        );
    }

    /// Takes out what has come, as frames behind those that `out` holds.
    pub fn take(&self, out: &mut Vec<u8>) -> io::Result<()> {
        for stripe in &self.stripes {
            // Made before the lock is taken.
            let mut payload = Vec::with_capacity(FIRST);
            std::mem::swap(&mut *stripe.lock().unwrap_or_else(PoisonError::into_inner), &mut payload);
            if !payload.is_empty() {
                payload.insert(0, entry::ENTRIES);
                out.extend_from_slice(&frame::wrap(&payload)?);
            }
        }
        Ok(())
    }

    /// Whether changes were dropped since this was asked last.
    pub fn overflowed(&self) -> bool {
        self.full.swap(false, Ordering::Relaxed)
    }

    /// Changes that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// FNV-1a (Fowler, Noll, Vo): good enough to spread keys, and no more is needed.
fn stripe_of(key: &str) -> usize {
    let hash = key
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    (hash >> 60) as usize
}
