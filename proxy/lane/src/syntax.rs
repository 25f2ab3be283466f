//! Which bytes RFC 9110 §5 and RFC 9112 allow where, and fast ways to find the others.

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
}

static TOKEN: [bool; 256] = token_table();

/// `tchar` of RFC 9110 §5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Length of the `token` that `bytes` starts with; 0 when it starts with something else.
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !is_token_byte(*b)).unwrap_or(bytes.len())
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// High bit set in each byte of `word` that is below `limit` (1 to 128). May also mark a byte above a true one, so only
/// "none is marked" and the lowest mark are to be trusted (Hacker's Delight, §6-1).
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES.wrapping_mul(limit as u64)) & !word & HIGHS
}

/// High bit set in each byte of `word` that equals `byte`, with the same caution.
const fn equals(word: u64, byte: u8) -> u64 {
    below(word ^ ONES.wrapping_mul(byte as u64), 1)
}

/// Where the first line feed stands. Eight bytes a turn: a head is read once by this and once by the checks.
pub(crate) fn line_feed(bytes: &[u8]) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let found = equals(u64::from_le_bytes(*chunk), b'\n');
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let done = chunks.len() * 8;
    rest.iter().position(|b| *b == b'\n').map(|at| done + at)
}

/// Whether every byte may stand in a field value (RFC 9110 §5.5): no control byte but the tab.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    let fine = |b: u8| b >= 0x20 && b != 0x7f || b == b'\t';
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        if below(word, 0x20) | equals(word, 0x7f) != 0 && !chunk.iter().all(|b| fine(*b)) {
            return false;
        }
    }
    rest.iter().all(|b| fine(*b))
}

/// Whether every byte is visible and no white space: what a request target consists of. Bytes from 0x80 on are judged
/// by the caller.
pub(crate) fn is_visible(bytes: &[u8]) -> bool {
    let fine = |b: u8| b > 0x20 && b != 0x7f;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        if below(word, 0x21) | equals(word, 0x7f) != 0 && !chunk.iter().all(|b| fine(*b)) {
            return false;
        }
    }
    rest.iter().all(|b| fine(*b))
}

/// Without spaces and tabs at both ends (`OWS`, RFC 9110 §5.6.3).
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 §5.6.1).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|m| !m.is_empty())
}

/// A decimal number of digits only: no sign, no white space, no separators, no overflow of 63 bits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    i64::try_from(value).is_ok().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_is_digits_and_nothing_else() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"9223372036854775807"), Some(i64::MAX as u64));
        for wrong in ["", "+1", "-1", " 1", "1 ", "0x1", "1,1", "1e3", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_list_loses_its_blanks_and_empty_members() {
        assert_eq!(members(b" a ,, b\t,").collect::<Vec<_>>(), [b"a", b"b"]);
    }

    proptest! {
        #[test]
        fn eight_at_a_time_finds_what_one_at_a_time_finds(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(line_feed(&bytes), bytes.iter().position(|b| *b == b'\n'));
            prop_assert_eq!(is_field_value(&bytes), bytes.iter().all(|b| !(*b < 0x20 && *b != b'\t') && *b != 0x7f));
            prop_assert_eq!(is_visible(&bytes), bytes.iter().all(|b| *b > 0x20 && *b != 0x7f));
        }

        #[test]
        fn text_with_one_odd_byte_is_seen(at in 0usize..40, odd in any::<u8>()) {
            let mut bytes = vec![b'a'; 40];
            bytes[at] = odd;
            prop_assert_eq!(is_field_value(&bytes), odd >= 0x20 && odd != 0x7f || odd == b'\t');
            prop_assert_eq!(line_feed(&bytes), (odd == b'\n').then_some(at));
        }
    }
}
