//! Escapes in strings of JSON (RFC 8259 §7), surrogate pairs among them.

use super::super::super::percent::digit;
use super::super::value::{Seen, Step};

/// Where in an escape, or between the two of a pair, one is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Escape {
    /// The first of a pair.
    high: Option<u16>,
    /// Hexadecimal digits still to come, and those read.
    digits: Option<(u8, u16)>,
}

impl Escape {
    /// Whether no pair is open.
    pub(super) fn is_whole(self) -> bool {
        self.high.is_none()
    }

    /// Whether an escape is over, be it half of a pair.
    pub(super) fn is_between(self) -> bool {
        self.digits.is_none()
    }

    /// The next byte after the backslash; the character once it is whole.
    pub(super) fn take(&mut self, byte: u8) -> Step<Option<char>> {
        let Some((left, code)) = self.digits else { return self.begin(byte) };
        let code = code << 4 | u16::from(digit(byte).ok_or(Seen::Malformed)?);
        if left > 1 {
            self.digits = Some((left - 1, code));
            return Ok(None);
        }
        self.digits = None;
        match (self.high.take(), code) {
            (None, 0xD800..=0xDBFF) => {
                self.high = Some(code);
                Ok(None)
            }
            (Some(high), 0xDC00..=0xDFFF) => {
                let pair = 0x1_0000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(code) - 0xDC00);
                char::from_u32(pair).map(Some).ok_or(Seen::Malformed)
            }
            (None, _) => char::from_u32(code.into()).map(Some).ok_or(Seen::Malformed),
            (Some(_), _) => Err(Seen::Malformed),
        }
    }

    fn begin(&mut self, byte: u8) -> Step<Option<char>> {
        let character = match byte {
            b'u' => {
                self.digits = Some((4, 0));
                return Ok(None);
            }
            _ if self.high.is_some() => return Err(Seen::Malformed),
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return Err(Seen::Malformed),
        };
        Ok(Some(character))
    }
}
