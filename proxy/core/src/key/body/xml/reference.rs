//! References in text (XML 1.0 §4.1): the five names that need no declaration, and characters by number.

use arrayvec::ArrayVec;

use super::super::value::{Seen, Step};

/// What stands between `&` and `;`, as far as it was read. `#x10FFFF` is the longest that can mean anything.
#[derive(Debug, Default)]
pub(super) struct Reference(ArrayVec<u8, 10>);

impl Reference {
    /// The next byte; the character at the end.
    pub(super) fn take(&mut self, byte: u8) -> Step<Option<char>> {
        if byte != b';' {
            return self.0.try_push(byte).map(|()| None).map_err(|_| Seen::Malformed);
        }
        let character = match self.0.as_slice() {
            b"lt" => Some('<'),
            b"gt" => Some('>'),
            b"amp" => Some('&'),
            b"apos" => Some('\''),
            b"quot" => Some('"'),
            [b'#', b'x', digits @ ..] => number(digits, 16),
            [b'#', digits @ ..] => number(digits, 10),
            _ => None,
        };
        character.map(Some).ok_or(Seen::Malformed)
    }
}

/// A character that may stand in XML (§2.2).
fn number(digits: &[u8], radix: u32) -> Option<char> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    let character = char::from_u32(u32::from_str_radix(text, radix).ok()?)?;
    let allowed = matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{1_0000}'..);
    allowed.then_some(character)
}
