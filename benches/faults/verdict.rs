//! What was expected, what was seen, and whether the two agree.

use std::fmt::Write;

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) fault: &'static str,
    pub(crate) measured: String,
    pub(crate) expected: String,
    pub(crate) seen: Option<Spread>,
    /// Digits behind the point that mean something.
    #[serde(skip)]
    pub(crate) digits: usize,
    /// Requests that failed, where this line counts them.
    pub(crate) failed: Option<u64>,
    pub(crate) fine: bool,
}

/// Smallest, median and largest of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { min, median, max })
    }
}

impl Verdict {
    /// Times in milliseconds, each at most `bound` and what the polling may add. Nothing measured is not fine.
    pub(crate) fn within(
        fault: &'static str,
        measured: &str,
        times: impl IntoIterator<Item = f64>,
        bound: f64,
        slack: f64,
    ) -> Self {
        let seen = Spread::of(times);
        Self {
            fault,
            measured: format!("{measured}, ms"),
            expected: format!("≤ {bound:.0} (+ {slack:.0} for polling)"),
            seen,
            digits: 1,
            failed: None,
            fine: seen.is_some_and(|seen| seen.max <= bound + slack),
        }
    }

    /// Failed requests, of which there should be none.
    pub(crate) fn no_failures(fault: &'static str, measured: String, failed: u64) -> Self {
        Self {
            fault,
            measured,
            expected: "0 failed".into(),
            seen: None,
            digits: 0,
            failed: Some(failed),
            fine: failed == 0,
        }
    }

    /// Any other figures, judged by the caller.
    pub(crate) fn judged(
        fault: &'static str,
        measured: &str,
        expected: &str,
        values: impl IntoIterator<Item = f64>,
        fine: bool,
    ) -> Self {
        let seen = Spread::of(values);
        Self { fault, measured: measured.into(), expected: expected.into(), seen, digits: 0, failed: None, fine }
    }

    /// Shows that many digits behind the point.
    pub(crate) fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }
}

/// Every line, as Markdown.
pub(crate) fn table(verdicts: &[Verdict]) -> String {
    let mut text = String::from(
        "| fault | measured | expected | min | median | max | failed requests | as expected |\n|---|---|---|---|---|---|---|---|\n",
    );
    for verdict in verdicts {
        let Verdict { fault, measured, expected, seen, digits, failed, fine } = verdict;
        let figure = |of: fn(&Spread) -> f64| {
            seen.as_ref().map_or_else(|| "–".into(), |seen| format!("{:.*}", *digits, of(seen)))
        };
        let failed = failed.map_or_else(|| "–".into(), |failed| failed.to_string());
        let _ = writeln!(
            text,
            "| {fault} | {measured} | {expected} | {} | {} | {} | {failed} | {} |",
            figure(|seen| seen.min),
            figure(|seen| seen.median),
            figure(|seen| seen.max),
            if *fine { "yes" } else { "**NO**" },
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_decides_and_the_slack_is_granted_once() {
        let verdict = |times: &[f64]| Verdict::within("deaths", "x", times.iter().copied(), 250.0, 25.0);
        assert!(verdict(&[10.0, 275.0]).fine);
        assert!(!verdict(&[10.0, 275.1]).fine);
        assert!(!verdict(&[]).fine, "nothing measured proves nothing");
    }

    #[test]
    fn a_median_of_few_and_of_many() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
    }

    #[test]
    fn what_is_wrong_stands_out() {
        let text = table(&[Verdict::no_failures("swaps", "9 requests".into(), 2)]);
        assert!(text.ends_with("| swaps | 9 requests | 0 failed | – | – | – | 2 | **NO** |\n"), "{text}");
    }
}
