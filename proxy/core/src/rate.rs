//! So many requests a second per key, without a lock and in bounded memory however many keys there are.
//!
//! Each key has a bucket in the form of the generic cell rate algorithm (ITU-T I.371, annex A): one number, the time at
//! which the bucket would be full again. Buckets lie in four rows, a key in one cell of each, as in a count-min sketch
//! (Cormode and Muthukrishnan 2005): keys that share a cell in one row hardly ever share it in all four, and the cell
//! that was used least speaks for the key. So a key is never granted more than its rate, and refused too early only
//! when others crowd all four of its cells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pointsman_config::plan::{KeyRule, KeySource, Rate};

use crate::facts::RequestFacts;
use crate::key::{self, Reading};

const ROWS: usize = 4;
/// Cells of a row: 128 KiB of counters a row.
const CELLS: usize = 1 << 14;

/// The buckets of all keys of a service. Shared by all workers.
#[derive(Debug)]
pub struct RateLimiter {
    /// Nanoseconds that one request takes up.
    cost: u64,
    /// How far ahead of time a bucket may be.
    slack: u64,
    key: KeyRule,
    /// What a request without that key counts as.
    client: KeyRule,
    cells: Box<[AtomicU64]>,
}

/// Stands for all who come over Unix sockets without a key.
const NOBODY: u64 = 0;

impl RateLimiter {
    /// Buckets that are all full.
    pub fn new(rate: &Rate) -> Self {
        let cost = 1_000_000_000_u64.div_ceil(rate.per_second.max(1).into());
        let slack = cost.saturating_mul(u64::from(rate.burst.max(1) - 1));
        let cells = (0..ROWS * CELLS).map(|_| AtomicU64::new(0)).collect();
        let client = KeyRule::of(KeySource::ClientAddress { v4: 32, v6: 128 });
        Self { cost, slack, key: rate.key.clone(), client, cells }
    }

    /// Whether a request is within the rate of its key; a request without one counts as its client's, so that nobody
    /// escapes by leaving the key out; all who have no address count as one. `Err`: it is one too many; the next is granted after so long.
    pub fn admit(&self, facts: &impl RequestFacts, now: Duration) -> Result<(), Duration> {
        let key = [&self.key, &self.client].into_iter().find_map(|rule| match key::read(rule, facts) {
            Reading::Key(key) => Some(key),
            Reading::NoKey | Reading::Refuse(_) | Reading::Body => None,
        });
        self.take(key.map_or(NOBODY, |key| key::stable_hash(&key)), now)
    }

    /// Takes one request of the key with this hash.
    fn take(&self, hash: u64, now: Duration) -> Result<(), Duration> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let cells: [&AtomicU64; ROWS] = std::array::from_fn(|row| &self.cells[place(hash, row)]);
        loop {
            let seen = cells.map(|cell| cell.load(Ordering::SeqCst));
            let full_at = seen.into_iter().fold(u64::MAX, u64::min).max(now);
            if let Some(early) = (full_at - now).checked_sub(self.slack).filter(|early| *early > 0) {
                return Err(Duration::from_nanos(early));
            }
            if raise(&cells, &seen, full_at.saturating_add(self.cost)) {
                return Ok(());
            }
        }
    }
}

/// Raises to `next` every cell that was seen below it; `false`: one of them has changed meanwhile, and what was counted
/// on may be taken.
///
/// Each cell is exchanged against what was seen in it, never only raised, and in one order of all workers: of two
/// requests that counted on the same place, the one that comes second to the first cell that both saw low fails there.
/// Were only the lowest exchanged, the two could each find another lowest while the other's are half raised, and both
/// be granted. What a failed round has raised stays: the round that it lost to has raised it as far.
fn raise(cells: &[&AtomicU64], seen: &[u64], next: u64) -> bool {
    let mut below = cells.iter().zip(seen.iter().copied()).filter(|(_, seen)| *seen < next);
    below.all(|(cell, seen)| cell.compare_exchange(seen, next, Ordering::SeqCst, Ordering::SeqCst).is_ok())
}

/// The cell of a hash in a row: other bits of it for each.
fn place(hash: u64, row: usize) -> usize {
    let bits = hash.rotate_right(16 * row as u32) as usize % CELLS;
    row * CELLS + bits
}

#[cfg(test)]
mod tests;
