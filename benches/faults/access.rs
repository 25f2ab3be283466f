//! The proxy's access log, read back: when each request came, how long it took, which node had it and how many were tried.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// Now in milliseconds since 1970. Everything here is measured on this one clock, because the log is stamped by it.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64() * 1e3
}

/// One request. Times in milliseconds since 1970; stamps are cut to whole milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// When its head was read.
    pub(crate) began: f64,
    /// When its last byte was sent.
    pub(crate) ended: f64,
    /// When the last attempt began; an earlier attempt had failed by then.
    pub(crate) last_attempt: f64,
    /// Status sent; 0 when nothing was.
    pub(crate) status: u16,
    /// The node tried last.
    pub(crate) node: String,
    /// Nodes tried.
    pub(crate) attempts: u32,
    /// Why the proxy answered by itself.
    pub(crate) refused: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    time: String,
    status: u16,
    #[serde(default)]
    node: String,
    attempts: u32,
    duration_us: u64,
    upstream_us: Option<u64>,
    refused: Option<String>,
}

impl Line {
    /// Whether the client got what it asked for. Everything that is asked here answers below 400.
    pub(crate) fn failed(&self) -> bool {
        !(200..400).contains(&self.status)
    }

    /// Whether `dead` was tried, where it was the only node that could fail: the log names the last node alone.
    pub(crate) fn tried(&self, dead: &str) -> bool {
        self.node == dead || self.attempts > 1
    }

    /// When the last attempt that failed was sent, never too early: the first of two when the head was read, which the
    /// stamp cuts to a whole millisecond; one of several before the last began.
    pub(crate) fn last_failed_attempt(&self) -> f64 {
        if self.attempts <= 2 { self.began + 1.0 } else { self.last_attempt }
    }
}

/// Reads the whole log.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, String> {
    let text = std::fs::read_to_string(path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    text.lines().map(|line| parse(line).ok_or_else(|| format!("{}: no line of ours: {line}", path.display()))).collect()
}

fn parse(line: &str) -> Option<Line> {
    let raw: Raw = serde_json::from_str(line).ok()?;
    let began = millis(&raw.time)?;
    let took = raw.duration_us as f64 / 1e3;
    // The body follows the head of the answer, so this is late by the time of the body: never too early.
    let last_attempt = began + took - raw.upstream_us.map_or(0.0, |upstream| upstream as f64 / 1e3);
    Some(Line {
        began,
        ended: began + took,
        last_attempt,
        status: raw.status,
        node: raw.node,
        attempts: raw.attempts,
        refused: raw.refused,
    })
}

/// `2026-11-21T13:42:03.123Z` in milliseconds since 1970.
fn millis(stamp: &str) -> Option<f64> {
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds * 1000 + number(20, 23)?) as f64)
}

/// Days since 1970-01-01, by Howard Hinnant's `days_from_civil`
/// (<https://howardhinnant.github.io/date_algorithms.html>). Years begin in March, so that a leap day comes last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are from `date -u -d @SECONDS`.
    #[test]
    fn known_moments() {
        for (seconds, stamp) in [
            (0.0, "1970-01-01T00:00:00.007Z"),
            (951_782_400.0, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199.0, "2024-02-29T23:59:59.007Z"),
            (1_735_689_599.0, "2024-12-31T23:59:59.007Z"),
        ] {
            assert_eq!(millis(stamp), Some(seconds * 1e3 + 7.0), "{stamp}");
        }
        assert_eq!(millis("yesterday"), None);
    }

    #[test]
    fn a_line_tells_when_its_last_attempt_began() {
        let text = r#"{"time":"1970-01-01T00:00:01.000Z","request_id":"x","status":200,"node":"oms-2","attempts":2,
            "duration_us":5000,"upstream_us":2000}"#;
        let line = parse(text).expect("a line");
        // Of two attempts the first was sent at once; the time until the second was spent waiting for it.
        let figures = (line.began, line.last_attempt, line.ended, line.last_failed_attempt());
        assert_eq!(figures, (1000.0, 1003.0, 1005.0, 1001.0));
        assert!(line.tried("oms-1") && line.tried("oms-2") && !line.failed());
    }

    #[test]
    fn a_request_without_an_answer_has_failed() {
        let text = r#"{"time":"1970-01-01T00:00:01.000Z","status":0,"attempts":0,"duration_us":5}"#;
        let line = parse(text).expect("a line");
        assert!(line.failed() && !line.tried("oms-1"));
    }
}
