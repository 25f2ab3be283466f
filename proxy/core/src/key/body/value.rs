//! What scanners share: what they say, and where they keep a value.

use arrayvec::ArrayVec;

/// Bytes of a value in a body at most; a longer one is malformed. Every scanner has room for one.
pub const LONGEST: usize = 256;

/// What a scanner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Not yet known.
    More,
    /// Nobody asks.
    Unasked,
    /// The value stands in the buffer, and is not empty.
    Found,
    Missing,
    Malformed,
    Ambiguous,
    TooLarge,
}

/// A decided scan leaves its loop by the error.
pub(super) type Step<T = ()> = Result<T, Seen>;

/// A value as it is put together.
#[derive(Debug, Clone, Default)]
pub(super) struct Value(ArrayVec<u8, LONGEST>);

impl Value {
    pub(super) fn push(&mut self, byte: u8) -> Step {
        self.0.try_push(byte).map_err(|_| Seen::Malformed)
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) -> Step {
        self.0.try_extend_from_slice(bytes).map_err(|_| Seen::Malformed)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// What it says once it is whole.
    pub(super) fn seen(&self) -> Seen {
        match self.text() {
            Some("") => Seen::Missing,
            Some(_) => Seen::Found,
            None => Seen::Malformed,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}
