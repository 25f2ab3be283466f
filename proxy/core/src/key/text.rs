//! The text of a key: borrowed where it stands, copied where it has to be made.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;

use arrayvec::ArrayString;

/// Bytes that a copied key holds without the allocator.
pub const INLINE: usize = 96;

/// The text of a key.
#[derive(Debug, Clone)]
pub enum Key<'f> {
    /// As it stands in the request.
    Borrowed(&'f str),
    /// Made, and short.
    Inline(ArrayString<INLINE>),
    /// Made, and long.
    Heap(String),
}

impl Default for Key<'_> {
    fn default() -> Self {
        Self::Inline(ArrayString::new())
    }
}

impl Deref for Key<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Inline(text) => text,
            Self::Heap(text) => text,
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Key<'_> {}

impl Key<'_> {
    /// Adds text to its end.
    pub(super) fn push(&mut self, more: &str) {
        if let Self::Borrowed(text) = *self {
            *self = Self::copied(text);
        }
        match self {
            Self::Inline(text) => {
                if text.try_push_str(more).is_err() {
                    *self = Self::Heap(format!("{text}{more}"));
                }
            }
            Self::Heap(text) => text.push_str(more),
            Self::Borrowed(_) => {}
        }
    }

    /// A copy of a text.
    pub(super) fn copied(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| Self::Heap(text.to_owned()), Self::Inline)
    }

    /// To be changed in place.
    pub(super) fn make_mut(&mut self) -> &mut str {
        if let Self::Borrowed(text) = *self {
            *self = Self::copied(text);
        }
        match self {
            Self::Inline(text) => text,
            Self::Heap(text) => text,
            Self::Borrowed(_) => unreachable!("it was copied above"),
        }
    }

    /// A part of it, given by a function that finds it; `None` where that finds none. What is borrowed stays so.
    pub(super) fn part(self, find: impl FnOnce(&str) -> Option<&str>) -> Option<Self> {
        if let Self::Borrowed(text) = self {
            return find(text).map(Self::Borrowed);
        }
        find(&self).map(Self::copied)
    }

    /// An address of which so many leading bits count. All of them: the address alone; fewer: with its length behind.
    pub(super) fn address(address: IpAddr, v4: u8, v6: u8) -> Self {
        let mut text = ArrayString::new();
        // The longest, an IPv6 address with its length, has 43 bytes.
        let written = match address.to_canonical() {
            IpAddr::V4(ip) if v4 >= 32 => write!(text, "{ip}"),
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
                write!(text, "{}/{v4}", Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) if v6 >= 128 => write!(text, "{ip}"),
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
                write!(text, "{}/{v6}", Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        };
        debug_assert!(written.is_ok(), "an address is short");
        Self::Inline(text)
    }
}
