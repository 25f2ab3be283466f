//! Durations, sizes and percentages as people write them.

use std::time::Duration;

use serde::Serializer;

/// A number with a unit did not parse: what to write instead.
pub(crate) type Cure = &'static str;

const DURATION: Cure = "write a number and a unit: \"800ms\", \"1s\", \"2m\", \"1h\" (also us)";
const SIZE: Cure = "write a number and a unit: \"64KiB\", \"16MiB\", \"1GiB\" (also B, KB, MB, GB)";
const PERCENT: Cure = "write a percentage: \"20%\"";

/// `800ms`, `1.5s`, `2m`. Units: us, ms, s, m, h.
pub(crate) fn duration(text: &str) -> Result<Duration, Cure> {
    let (number, unit) = split(text);
    let nanos: u64 = match unit {
        "us" | "\u{b5}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DURATION),
    };
    scaled(number, nanos).map(Duration::from_nanos).ok_or(DURATION)
}

/// `16MiB` in bytes. Units: B, KiB, MiB, GiB and their decimal brothers.
pub(crate) fn size(text: &str) -> Result<u64, Cure> {
    let (number, unit) = split(text);
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(SIZE),
    };
    scaled(number, bytes).ok_or(SIZE)
}

/// `20%` as 0.2; 0% to 100%.
pub(crate) fn percent(text: &str) -> Result<f64, Cure> {
    let (number, unit) = split(text);
    let thousandths = scaled(number, 1_000).filter(|n| *n <= 100_000 && unit == "%").ok_or(PERCENT)?;
    Ok(thousandths as f64 / 100_000.0)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches(' '))
}

/// A decimal number times a unit, in whole ones; `None` if it is no number, too large, or finer than the unit allows.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit);
    let scale = 10_u128.pow(fraction.len() as u32);
    if parts % scale != 0 {
        return None;
    }
    whole.checked_mul(unit)?.checked_add(u64::try_from(parts / scale).ok()?)
}

/// A duration in the shortest unit that keeps it whole, as [`duration`] reads it.
pub(crate) fn show_duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    for (unit, size) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)] {
        if nanos >= size && nanos.is_multiple_of(size) {
            return format!("{}{unit}", nanos / size);
        }
    }
    format!("{}us", nanos / 1_000)
}

/// For `#[serde(serialize_with)]`: a duration as [`show_duration`] writes it.
pub(crate) fn serialize_duration<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&show_duration(*time))
}

/// [`serialize_duration`] where there may be none.
#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
pub(crate) fn serialize_optional_duration<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize_duration(time, to),
        None => to.serialize_none(),
    }
}

/// A size in the largest binary unit that keeps it whole, as [`size`] reads it.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(duration("800ms"), Ok(Duration::from_millis(800)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2 m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("100us"), Ok(Duration::from_micros(100)));
        for wrong in ["", "5", "s", "-1s", "1.s", "1..5s", "1e3s", "5 sec", "99999999999999h", "1.0000000001s", "1s2"] {
            assert!(duration(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn sizes_and_percentages_are_read_exactly() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("1.5KiB"), Ok(1536));
        assert_eq!(size("1KB"), Ok(1000));
        assert!(
            size("16mb").is_err() && size("16").is_err() && size("0.5B").is_err() && size("99999999999GiB").is_err()
        );
        assert_eq!(percent("20%"), Ok(0.2));
        assert_eq!(percent("0.5%"), Ok(0.005));
        assert!(percent("101%").is_err() && percent("20").is_err() && percent("-1%").is_err());
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        for micros in [1, 999, 1_000, 1_500, 1_000_000, 90_000_000, 7_200_000_000] {
            let time = Duration::from_micros(micros);
            assert_eq!(duration(&show_duration(time)), Ok(time));
        }
        for bytes in [1, 1023, 1024, 64 << 10, 16 << 20, 3 << 30] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
    }
}
