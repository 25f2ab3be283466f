//! Percent-decoding (RFC 3986 §2.1).

use std::borrow::Cow;

/// What a plus stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// For itself, as in a path.
    Stays,
    /// For a space, as in a query.
    IsSpace,
}

/// The text that `encoded` stands for; `None` when an escape is cut or malformed, or the bytes are not UTF-8.
pub(super) fn decode(encoded: &str, plus: Plus) -> Option<Cow<'_, str>> {
    let is_plain = |byte: u8| byte != b'%' && (byte != b'+' || plus == Plus::Stays);
    if encoded.bytes().all(is_plain) {
        return Some(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            b'+' if plus == Plus::IsSpace => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
