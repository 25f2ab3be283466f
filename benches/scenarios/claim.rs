//! What was expected beside what was seen.

use serde::Serialize;

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claim {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// Of how many that were looked at; absent where nothing is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<u64>,
    pub(crate) fine: bool,
    /// It speaks of time, so it holds for a quiet machine and the build that is shipped.
    pub(crate) timed: bool,
}

impl Claim {
    /// None of the `of` that were looked at is allowed. Where there was none to look at nothing is shown, and that is not fine.
    pub(crate) fn none(what: &str, seen: u64, of: u64) -> Self {
        Self { of: Some(of), ..Self::judged(what, "0", seen, seen == 0 && of > 0) }
    }

    /// So many at least.
    pub(crate) fn at_least(what: &str, bound: u64, seen: u64) -> Self {
        Self::judged(what, &format!("≥ {bound}"), seen, seen >= bound)
    }

    /// Between 1 and that: where nothing was counted no bound was tried.
    pub(crate) fn some_up_to(what: &str, bound: u64, seen: u64) -> Self {
        Self::judged(what, &format!("1 to {bound}"), seen, (1..=bound).contains(&seen))
    }

    /// Judged by the play.
    pub(crate) fn judged(what: &str, expected: &str, seen: impl ToString, fine: bool) -> Self {
        Self { what: what.into(), expected: expected.into(), seen: seen.to_string(), of: None, fine, timed: false }
    }

    /// Nothing is expected of it but that it is told.
    pub(crate) fn told(what: &str, seen: impl ToString) -> Self {
        Self::judged(what, "–", seen, true)
    }

    pub(crate) fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// What was seen, and of how many.
    pub(crate) fn told_of(&self) -> String {
        self.of.map_or_else(|| self.seen.clone(), |of| format!("{} of {of}", self.seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looked_at_is_not_fine() {
        let fine = |seen, of| Claim::none("x", seen, of).fine;
        assert_eq!((fine(0, 9), fine(1, 9), fine(0, 0)), (true, false, false));
        assert_eq!(Claim::none("x", 0, 9).told_of(), "0 of 9");
        let fine = |seen| Claim::some_up_to("x", 32, seen).fine;
        assert_eq!((fine(0), fine(1), fine(32), fine(33)), (false, true, true, false));
        assert_eq!((Claim::at_least("x", 3, 2).fine, Claim::at_least("x", 3, 3).fine), (false, true));
    }
}
