//! Durations as people write them: `800ms`, `2s`, `1m`.

use std::time::Duration;

/// Reads `250us`, `800ms`, `1.5s`, `2m` or `1h`.
///
/// # Errors
/// One sentence that names the text and the units.
pub fn parse(text: &str) -> Result<Duration, String> {
    let problem = || format!("`{text}` is not a duration; write a number and a unit (us, ms, s, m, h), as in 800ms");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(problem)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| problem())?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(problem()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| problem())
}

/// Writes a duration in whole milliseconds, as the admin API reads it.
pub fn millis(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse("800ms"), Ok(Duration::from_millis(800)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse(&millis(Duration::from_secs(3))), Ok(Duration::from_secs(3)));
    }

    #[test]
    fn refuses_the_rest_by_name() {
        for wrong in ["", "5", "s", "5 s", "-1s", "1.2.3s", "1e3s", "99999999999999999999999h"] {
            let problem = parse(wrong).expect_err(wrong);
            assert!(problem.contains(wrong), "{problem}");
        }
    }
}
