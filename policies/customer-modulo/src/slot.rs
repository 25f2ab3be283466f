//! Remainders of decimal numbers of any size. Short ones without a sign the host has read already.

/// Whether an id is a decimal number: digits, with a `-` in front if negative.
pub(crate) fn is_decimal(id: &str) -> bool {
    let digits = id.strip_prefix('-').unwrap_or(id);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The Euclidean remainder (0 to `modulus - 1`, also for negative numbers) of a decimal number of any size; none when
/// the id is no decimal number. `modulus` must not be 0.
#[inline]
pub(crate) fn remainder(id: &str, modulus: u64) -> Option<u64> {
    let bytes = id.as_bytes();
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, bytes),
    };
    if digits.is_empty() {
        return None;
    }
    let rest = if digits.len() <= CHUNK {
        number(digits)? % modulus
    } else if u32::try_from(modulus).is_ok() {
        by_chunks(digits, modulus)?
    } else {
        by_digits(digits, modulus)?
    };
    Some(if negative && rest != 0 { modulus - rest } else { rest })
}

/// 10^18 is the highest power of ten below 2^60: a number of so many digits fits whatever they are.
const CHUNK: usize = 18;

/// The value of up to 19 digits; none when one of them is no digit.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

/// Nine digits a step: a remainder below 2^32 times 10^9 plus nine digits is below 2^62.
fn by_chunks(digits: &[u8], modulus: u64) -> Option<u64> {
    let mut rest = 0;
    for chunk in digits.chunks(9) {
        rest = (rest * 10u64.pow(chunk.len() as u32) + number(chunk)?) % modulus;
    }
    Some(rest)
}

/// A digit a step, for a modulus so large that ten times a remainder may overflow: ten times is eight times and twice.
fn by_digits(digits: &[u8], modulus: u64) -> Option<u64> {
    let add = |a: u64, b: u64| if b < modulus - a { a + b } else { a.wrapping_sub(modulus).wrapping_add(b) };
    let mut rest = 0;
    for digit in digits {
        let twice = add(rest, rest);
        let four = add(twice, twice);
        let ten = add(add(four, four), twice);
        rest = add(ten, number(std::slice::from_ref(digit))? % modulus);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{by_chunks, by_digits, is_decimal, remainder};

    #[test]
    fn around_the_edges_of_machine_words() {
        for edge in [1u128 << 31, 1 << 32, 1 << 53, 1 << 63, (1 << 64) - 1, 1 << 64, 10u128.pow(18), 10u128.pow(19)] {
            for id in edge - 3..edge + 3 {
                for modulus in [1u64, 2, 3, 7, 16, 1000, 4_294_967_295, 4_294_967_296, u64::MAX] {
                    let expected = (id % u128::from(modulus)) as u64;
                    assert_eq!(remainder(&id.to_string(), modulus), Some(expected), "{id} mod {modulus}");
                    let negative = (modulus - expected) % modulus;
                    assert_eq!(remainder(&format!("-{id}"), modulus), Some(negative), "-{id} mod {modulus}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_has_no_remainder() {
        for id in ["", "-", "+5", "5 ", " 5", "5.0", "1e3", "0x10", "--5", "5-", "٣", "abc", "12345678901234567890x"] {
            assert_eq!(remainder(id, 7), None, "{id:?}");
            assert!(!is_decimal(id), "{id:?}");
        }
    }

    #[test]
    fn leading_zeros_change_nothing() {
        assert_eq!(remainder(&format!("{}42", "0".repeat(100)), 10), Some(2));
        assert_eq!(remainder("-0", 3), Some(0));
        assert_eq!(remainder("007", 5), Some(2));
    }

    proptest! {
        #[test]
        fn it_is_the_euclidean_remainder(id in any::<i128>(), modulus in 1..=u64::MAX) {
            let expected = id.rem_euclid(i128::from(modulus)) as u64;
            prop_assert_eq!(remainder(&id.to_string(), modulus), Some(expected));
            prop_assert!(is_decimal(&id.to_string()));
        }

        /// 10^k is 1 modulo 3 and 9: the digit sum is an oracle for numbers no machine word holds.
        #[test]
        fn of_any_size(digits in "[0-9]{1,400}") {
            let sum: u64 = digits.bytes().map(|byte| u64::from(byte - b'0')).sum();
            prop_assert_eq!(remainder(&digits, 9), Some(sum % 9));
        }

        #[test]
        fn both_ways_agree(digits in "[0-9]{1,80}", modulus in 1..=u64::from(u32::MAX)) {
            prop_assert_eq!(by_chunks(digits.as_bytes(), modulus), by_digits(digits.as_bytes(), modulus));
        }

        #[test]
        fn it_never_panics(id in ".{0,60}", modulus in 1..=u64::MAX) {
            let rest = remainder(&id, modulus);
            prop_assert_eq!(rest.is_some(), is_decimal(&id));
            prop_assert!(rest.is_none_or(|rest| rest < modulus));
        }
    }
}
