//! The declaration at the head of a document (XML 1.0 §2.8).

use super::super::value::LONGEST;

/// Whether a processing instruction (what stands between `<?` and `>`) leaves the document readable: it is no
/// declaration, or one that names no encoding but UTF-8 or ASCII. One that fills the buffer may name another behind it.
pub(super) fn is_readable(instruction: &[u8]) -> bool {
    let Some(rest) = instruction.strip_prefix(b"xml").filter(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
    else {
        return true;
    };
    if instruction.len() == LONGEST {
        return false;
    }
    let Some(at) = rest.windows(8).position(|window| window == b"encoding") else { return true };
    let mut bytes = rest[at + 8..].iter().copied().skip_while(u8::is_ascii_whitespace);
    if bytes.next() != Some(b'=') {
        return false;
    }
    let mut bytes = bytes.skip_while(u8::is_ascii_whitespace);
    let Some(quote) = bytes.next().filter(|quote| matches!(quote, b'"' | b'\'')) else { return false };
    let name: arrayvec::ArrayVec<u8, 16> =
        bytes.take_while(|byte| *byte != quote).map(|byte| byte.to_ascii_lowercase()).take(16).collect();
    matches!(name.as_slice(), b"utf-8" | b"utf8" | b"us-ascii" | b"ascii")
}
