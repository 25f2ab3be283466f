//! Bytes of owners. A frame's payload begins with its kind. Entries: the key behind its length (u16), the node's id behind
//! its length (u16; 65535: the key was released, and nothing follows), the epoch (u16), seconds since somebody asked for the
//! key (u32). All numbers are little-endian.

use std::io;

use pointsman_core::owners::parts::Kept;

use crate::frame;

/// Payloads of this kind hold entries.
pub(super) const ENTRIES: u8 = 1;
/// The last frame of a snapshot, or of what a process has learnt after it handed over: how many entries came before (u64).
pub(super) const END: u8 = 2;

/// No frame that is written here is longer: whoever looks for the next whole one behind damage need not look further.
pub(super) const LONGEST_FRAME: usize = 1 << 20;

const RELEASED: u16 = u16::MAX;

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Owned(Kept<'a>),
    Released(&'a str),
}

/// Appends an entry to a payload. Keys and ids are short: longer ones than a u16 can count are never learnt.
pub(super) fn put(out: &mut Vec<u8>, entry: Entry<'_>) {
    match entry {
        Entry::Owned(Kept { key, node, epoch, idle }) => {
            text(out, key);
            text(out, node);
            out.extend_from_slice(&epoch.to_le_bytes());
            out.extend_from_slice(&idle.to_le_bytes());
        }
        Entry::Released(key) => {
            text(out, key);
            out.extend_from_slice(&RELEASED.to_le_bytes());
        }
    }
}

/// Bytes of an entry at most, for a key and an id of these lengths.
pub(super) fn room(key: &str, node: &str) -> usize {
    key.len() + node.len() + 10
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Every entry of a payload behind its kind. The bytes are what was written, as their checksum says; false: they are not
/// of this format all the same.
pub(super) fn each(mut bytes: &[u8], see: &mut dyn FnMut(Entry<'_>)) -> bool {
    while !bytes.is_empty() {
        let Some((entry, rest)) = first(bytes) else { return false };
        see(entry);
        bytes = rest;
    }
    true
}

fn first(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (key, rest) = read_text(bytes)?;
    if rest.first_chunk::<2>()? == &RELEASED.to_le_bytes() {
        return Some((Entry::Released(key), &rest[2..]));
    }
    let (node, rest) = read_text(rest)?;
    let (epoch, rest) = rest.split_first_chunk::<2>()?;
    let (idle, rest) = rest.split_first_chunk::<4>()?;
    let kept = Kept { key, node, epoch: u16::from_le_bytes(*epoch), idle: u32::from_le_bytes(*idle) };
    Some((Entry::Owned(kept), rest))
}

fn read_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// The last frame.
pub(super) fn end(entries: u64) -> io::Result<Vec<u8>> {
    let mut payload = vec![END];
    payload.extend_from_slice(&entries.to_le_bytes());
    frame::wrap(&payload)
}

/// What a file of frames holds, in order.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offset and length of each stretch that a whole frame follows and that is none.
    pub(super) damaged: Vec<(usize, usize)>,
}

impl<'a> Frames<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, damaged: Vec::new() }
    }

    /// Bytes behind the last whole frame.
    pub(super) fn cut(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Bytes up to the end of the last whole frame.
    pub(super) fn read(&self) -> usize {
        self.at
    }

    /// The next payload, as far as no damage lies before it.
    pub(super) fn next_in_line(&mut self) -> Option<&'a [u8]> {
        let (payload, rest) = whole(&self.bytes[self.at..])?;
        self.at = self.bytes.len() - rest.len();
        Some(payload)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(payload) = self.next_in_line() {
            return Some(payload);
        }
        let next = (self.at + 1..self.bytes.len()).find(|at| whole(&self.bytes[*at..]).is_some())?;
        self.damaged.push((self.at, next - self.at));
        self.at = next;
        self.next_in_line()
    }
}

fn whole(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    if length as usize > LONGEST_FRAME { None } else { frame::unwrap(bytes) }
}
