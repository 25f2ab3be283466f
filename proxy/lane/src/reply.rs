//! What may be seen of a node's response: a view over the bytes that were read, without a copy.

use pointsman_core::facts::HeaderValue;

use crate::head::ResponseHead;

/// The head of a final response, or of a 101, where it was read.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    head: &'a ResponseHead,
    bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// A view of `head` over the bytes it was read from.
    pub fn new(head: &'a ResponseHead, bytes: &'a [u8]) -> Self {
        Self { head, bytes }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The value of a field, `name` in any case.
    pub fn header(&self, name: &str) -> HeaderValue<'a> {
        let lines = self.head.lines().iter();
        let mut found = lines
            .filter(|line| line.name.of(self.bytes).eq_ignore_ascii_case(name.as_bytes()))
            .map(|line| line.value.of(self.bytes));
        match (found.next(), found.next()) {
            (None, _) => HeaderValue::Absent,
            (Some(value), None) => std::str::from_utf8(value).map_or(HeaderValue::Ambiguous, HeaderValue::One),
            _ => HeaderValue::Ambiguous,
        }
    }
}
