//! Owners as bytes, for whoever keeps them on disk or hands them to the next process.
//!
//! A snapshot is `PMOWNERS`, the version (1), the nodes (a count, then each id behind its length), and the owners: number
//! of the node, epoch, seconds since it was asked for, the key behind its length; behind the last a number that no node
//! has, and how many owners there were. All numbers are little-endian. Incarnations are those of a process and are left
//! out: who reads it knows of the node alone. Whether the bytes are what was written is for their keeper to check (it has
//! a checksum); what they cannot be is told here.

use std::collections::HashMap;
use std::time::Duration;

use super::lives::LifeId;
use super::{Incarnation, LONGEST_KEY, OwnerTable, second};

const MAGIC: &[u8; 8] = b"PMOWNERS";
/// Of the format.
pub const VERSION: u16 = 1;
const END: u32 = u32::MAX;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Something else, or nothing.
    #[error("not a snapshot of owners")]
    Other,
    /// Written by a version that this one does not know.
    #[error("a snapshot of version {0}, which this version cannot read")]
    Version(u16),
    /// Cut off, or changed.
    #[error("the snapshot is damaged at byte {0}")]
    Damaged(usize),
}

/// How a snapshot was taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Owners that are known now.
    pub known: usize,
    /// Owners that were past their time, that had another owner already, or for which there was no room.
    pub left_out: usize,
}

impl OwnerTable {
    /// All owners. Takes one shard after the other: each is of one moment, all are not.
    pub fn snapshot(&self, now: Duration) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.len() * 32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let mut numbers: HashMap<LifeId, u32> = HashMap::new();
        let mut names: HashMap<Box<str>, u32> = HashMap::new();
        let mut nodes = Vec::new();
        for (at, life) in self.lives().iter().enumerate() {
            let next = names.len() as u32;
            let number = *names.entry(life.node.clone()).or_insert_with(|| {
                nodes.push(life.node.clone());
                next
            });
            numbers.insert(LifeId(at as u32), number);
        }
        out.extend_from_slice(&(nodes.len() as u32).to_le_bytes());
        nodes.iter().for_each(|node| text(&mut out, node));
        let (second, mut count) = (second(now), 0_u64);
        for shard in &self.shards {
            shard.each(|key, entry| {
                // A node that came after the list was written is in the next snapshot.
                let Some(number) = numbers.get(&entry.life) else { return };
                out.extend_from_slice(&number.to_le_bytes());
                out.extend_from_slice(&entry.epoch.to_le_bytes());
                out.extend_from_slice(&second.saturating_sub(entry.seen).to_le_bytes());
                text(&mut out, key);
                count += 1;
            });
        }
        out.extend_from_slice(&END.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out
    }

    /// Takes in the owners of a snapshot beside those that are known; who is known already stays. Nothing is taken in of
    /// bytes that cannot be read to their end.
    pub fn restore(&self, bytes: &[u8], now: Duration) -> Result<Restored, Unreadable> {
        let mut restored = Restored::default();
        read(bytes, &mut |_| None::<LifeId>, &mut |_, _, _, _| {})?;
        let second = second(now);
        let mut intern = |node: &str| self.lives.intern(node, Incarnation(0));
        read(bytes, &mut intern, &mut |life: &Option<LifeId>, epoch, idle, key| {
            let seen = second.saturating_sub(idle);
            let past = idle > self.ttl.load(std::sync::atomic::Ordering::Relaxed);
            let taken = life.filter(|_| !past && self.len() < self.capacity());
            match taken.map(|life| self.claim_for(key, life, epoch, seen, second)) {
                Some(super::Claim::New(_)) => restored.known += 1,
                _ => restored.left_out += 1,
            }
        })?;
        Ok(restored)
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Reads a snapshot: each node is told to `node`, each owner with what that said to `owner`.
fn read<N>(
    bytes: &[u8],
    node: &mut dyn FnMut(&str) -> N,
    owner: &mut dyn FnMut(&N, u16, u32, &str),
) -> Result<(), Unreadable> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(8).ok() != Some(MAGIC) {
        return Err(Unreadable::Other);
    }
    let version = u16::from_le_bytes(reader.array()?);
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let count = u32::from_le_bytes(reader.array()?);
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(node(reader.text(usize::from(u16::MAX))?));
    }
    let mut owners = 0_u64;
    loop {
        let start = reader.at;
        let number = u32::from_le_bytes(reader.array()?);
        if number == END {
            let whole = u64::from_le_bytes(reader.array()?) == owners && reader.at == bytes.len();
            return if whole { Ok(()) } else { Err(Unreadable::Damaged(start)) };
        }
        let named = nodes.get(number as usize).ok_or(Unreadable::Damaged(start))?;
        let epoch = u16::from_le_bytes(reader.array()?);
        let idle = u32::from_le_bytes(reader.array()?);
        owner(named, epoch, idle, reader.text(LONGEST_KEY)?);
        owners += 1;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let taken = self.bytes.get(self.at..self.at + length).ok_or(Unreadable::Damaged(self.at))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| Unreadable::Damaged(at))
    }

    fn text(&mut self, longest: usize) -> Result<&'a str, Unreadable> {
        let at = self.at;
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let text = std::str::from_utf8(self.take(length)?).ok().filter(|_| length <= longest);
        text.ok_or(Unreadable::Damaged(at))
    }
}
