//! A bounded time to wait, as a setting.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use crate::Verdict;

/// How long a request may wait for the membership to change: `800ms`, `2s`, `1m`. From 1 ms to 1 minute, which is the
/// longest that a host parks a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(u32);

impl Wait {
    const LONGEST: u32 = 60_000;

    /// So many seconds, up to 60.
    pub const fn seconds(seconds: u32) -> Self {
        assert!(seconds > 0 && seconds <= 60, "1 to 60 seconds");
        Self(seconds * 1000)
    }

    /// Waits so long.
    #[cold]
    pub fn park(self) -> Verdict {
        Verdict::Park(self.0)
    }
}

/// Milliseconds; none when the text is no time within the bounds.
fn parse(text: &str) -> Option<u32> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    let time = text[..digits].parse::<u32>().ok()?.checked_mul(unit)?;
    (1..=Wait::LONGEST).contains(&time).then_some(time)
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Wait;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a time such as \"800ms\" or \"2s\", up to \"1m\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wait, E> {
                parse(text).map(Wait).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, time) in [("1ms", 1), ("800ms", 800), ("2s", 2000), ("60s", 60_000), ("1m", 60_000)] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
        for text in ["", "2", "s", "0s", "0ms", "61s", "2m", "1h", "-1s", "1.5s", "2 s", "5000000m", "99999999999ms"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
