//! Percent-decoding (RFC 3986 §2.1).

use super::text::Key;

/// What a plus stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// For itself, as in a path.
    Stays,
    /// For a space, as in a query.
    IsSpace,
}

/// The text that `encoded` stands for; `None` when an escape is cut or malformed, or the bytes are not UTF-8.
pub(super) fn decode(encoded: &str, plus: Plus) -> Option<Key<'_>> {
    let is_plain = |byte: u8| byte != b'%' && (byte != b'+' || plus == Plus::Stays);
    if encoded.bytes().all(is_plain) {
        return Some(Key::Borrowed(encoded));
    }
    let mut key = Key::default();
    let mut rest = encoded.as_bytes();
    // Bytes of one character may come from several escapes.
    let mut character = arrayvec::ArrayVec::<u8, 4>::new();
    while let Some((byte, after)) = one(rest, plus)? {
        rest = after;
        character.try_push(byte).ok()?;
        match std::str::from_utf8(&character) {
            Ok(whole) => {
                key.push(whole);
                character.clear();
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return None,
        }
    }
    character.is_empty().then_some(key)
}

/// Whether `encoded` stands for `name`, a plus for a space.
pub(super) fn is(encoded: &str, name: &str) -> bool {
    let (mut rest, mut name) = (encoded.as_bytes(), name.bytes());
    loop {
        match one(rest, Plus::IsSpace) {
            Some(Some((byte, after))) if name.next() == Some(byte) => rest = after,
            Some(None) => return name.next().is_none(),
            _ => return false,
        }
    }
}

/// The next byte and what follows it; `Some(None)` at the end, `None` where an escape is broken.
fn one(encoded: &[u8], plus: Plus) -> Option<Option<(u8, &[u8])>> {
    Some(match encoded {
        [] => None,
        [b'%', rest @ ..] => {
            let [high, low, rest @ ..] = rest else { return None };
            Some((digit(*high)? << 4 | digit(*low)?, rest))
        }
        [b'+', rest @ ..] if plus == Plus::IsSpace => Some((b' ', rest)),
        [byte, rest @ ..] => Some((*byte, rest)),
    })
}

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
