//! What was expected beside what was seen.

use serde::Serialize;

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claim {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    pub(crate) fine: bool,
    /// It speaks of time, so it holds for a quiet machine and the build that is shipped.
    pub(crate) timed: bool,
}

impl Claim {
    /// None of these are allowed.
    pub(crate) fn none(what: &str, seen: u64) -> Self {
        Self::judged(what, "0", seen, seen == 0)
    }

    /// Between them, both included.
    pub(crate) fn at_most(what: &str, bound: u64, seen: u64) -> Self {
        Self::judged(what, &format!("≤ {bound}"), seen, seen <= bound)
    }

    /// Judged by the play.
    pub(crate) fn judged(what: &str, expected: &str, seen: impl ToString, fine: bool) -> Self {
        Self { what: what.into(), expected: expected.into(), seen: seen.to_string(), fine, timed: false }
    }

    /// Nothing is expected of it but that it is told.
    pub(crate) fn told(what: &str, seen: impl ToString) -> Self {
        Self::judged(what, "–", seen, true)
    }

    pub(crate) fn timed(mut self) -> Self {
        self.timed = true;
        self
    }
}
