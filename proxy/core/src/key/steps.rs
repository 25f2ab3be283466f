//! What is made of a value on its way to a key.

use pointsman_config::plan::KeyStep;

use super::Trouble;
use super::text::Key;

/// One step. A value to which it does not apply is malformed.
pub(super) fn apply<'f>(step: &KeyStep, mut key: Key<'f>) -> Result<Key<'f>, Trouble> {
    let made = match step {
        KeyStep::Lower => {
            if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
                key.make_mut().make_ascii_lowercase();
            }
            Some(key)
        }
        KeyStep::Upper => {
            if key.bytes().any(|byte| byte.is_ascii_lowercase()) {
                key.make_mut().make_ascii_uppercase();
            }
            Some(key)
        }
        KeyStep::Trim => key.part(|text| Some(text.trim())),
        KeyStep::StripPrefix(prefix) => key.part(|text| Some(text.strip_prefix(prefix.as_str()).unwrap_or(text))),
        KeyStep::StripSuffix(suffix) => key.part(|text| Some(text.strip_suffix(suffix.as_str()).unwrap_or(text))),
        KeyStep::Slice { from, length } => key.part(|text| slice(text, *from, *length)),
        KeyStep::Part { of, at } => key.part(|text| text.split(of.as_str()).nth(*at)),
        KeyStep::Integer => integer(key),
    };
    made.ok_or(Trouble::Malformed)
}

fn slice(text: &str, from: usize, length: Option<usize>) -> Option<&str> {
    let (start, _) = text.char_indices().nth(from)?;
    let rest = &text[start..];
    let end = length.and_then(|length| rest.char_indices().nth(length)).map_or(rest.len(), |(end, _)| end);
    Some(&rest[..end])
}

/// Digits of any number, perhaps with a sign before them, as short as can be.
fn integer(key: Key<'_>) -> Option<Key<'_>> {
    let negative = key.starts_with('-');
    let digits = key.strip_prefix(['-', '+']).unwrap_or(&key);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let kept = if zeros == digits.len() { zeros - 1 } else { zeros };
    let nought = zeros == digits.len();
    let sign = key.len() - digits.len();
    if negative && !nought {
        if kept == 0 {
            return Some(key);
        }
        let mut short = Key::copied("-");
        short.push(&key[1 + kept..]);
        return Some(short);
    }
    key.part(|text| text.get(sign + kept..))
}
