//! What a row of the table saw, claim by claim, and what follows from it.

use serde::Serialize;

/// One thing that the page demands, and whether it held.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claim {
    pub(crate) what: String,
    pub(crate) seen: String,
    pub(crate) fine: bool,
}

/// Everything that one row saw.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Seen {
    pub(crate) claims: Vec<Claim>,
    /// What a reader may want to know and nobody judges; a latency, say.
    pub(crate) notes: Vec<String>,
    /// Requests that failed during the fault, of those that asked for the faulty service.
    pub(crate) failed: u64,
    /// How many of the claims are the row's own; those of the oracle follow.
    pub(crate) own: Option<usize>,
}

/// How a row ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "why", rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Every claim held, and there was one.
    Expected,
    /// These did not.
    Unexpected(Vec<String>),
    /// The fault could not be injected or judged: as bad as an unexpected end.
    Broken(String),
    /// This machine lacks what it needs.
    Skipped(String),
    /// What it is about is not built yet.
    Later(String),
}

impl Seen {
    /// Notes whether something that is demanded held.
    pub(crate) fn claim(&mut self, what: impl Into<String>, fine: bool, seen: impl std::fmt::Display) {
        self.claims.push(Claim { what: what.into(), seen: seen.to_string(), fine });
    }

    /// A figure that must not be above a bound.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, value: f64, bound: f64) {
        let (what, shown) = (what.into(), usize::from(value.fract() != 0.0));
        self.claim(format!("{what} ≤ {bound}"), value <= bound, format!("{value:.shown$}"));
    }

    /// Two values that must be the same.
    pub(crate) fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: impl Into<String>, seen: T, wanted: T) {
        let what = what.into();
        self.claim(format!("{what} = {wanted:?}"), seen == wanted, format!("{seen:?}"));
    }

    /// Notes something that nobody judges.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Nothing claimed proves nothing.
    pub(crate) fn verdict(&self) -> Verdict {
        let wrong: Vec<String> = self
            .claims
            .iter()
            .filter(|claim| !claim.fine)
            .map(|claim| format!("{}: {}", claim.what, claim.seen))
            .collect();
        match (wrong.is_empty(), self.claims.is_empty()) {
            (true, false) => Verdict::Expected,
            (true, true) => Verdict::Broken("nothing was claimed".into()),
            _ => Verdict::Unexpected(wrong),
        }
    }

    /// What follows holds on every row.
    pub(crate) fn oracle(&mut self) {
        self.own.get_or_insert(self.claims.len());
    }

    /// One line: the row's own claims, then what else did not hold, then the notes.
    pub(crate) fn summary(&self) -> String {
        let own = self.own.unwrap_or(self.claims.len());
        let shown =
            self.claims.iter().enumerate().filter(|(at, claim)| *at < own || !claim.fine).map(|(_, claim)| {
                format!("{}{}: {}", if claim.fine { "" } else { "**NOT** " }, claim.what, claim.seen)
            });
        let held = self.claims.iter().skip(own).filter(|claim| claim.fine).count();
        let oracle = (own < self.claims.len()).then(|| format!("oracle {held}/{}", self.claims.len() - own));
        shown.chain(oracle).chain(self.notes.iter().cloned()).collect::<Vec<_>>().join("; ")
    }
}

impl Verdict {
    /// Whether a run that holds this may end well.
    pub(crate) fn is_fine(&self) -> bool {
        !matches!(self, Self::Unexpected(_) | Self::Broken(_))
    }

    /// As the table shows it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Expected => "as expected".into(),
            Self::Unexpected(_) => "**unexpected**".into(),
            Self::Broken(why) => format!("**broken**: {why}"),
            Self::Skipped(why) => format!("skipped: {why}"),
            Self::Later(why) => format!("later: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_expectation_is_unexpected() {
        let mut seen = Seen::default();
        seen.same("status", 502, 502);
        assert_eq!(seen.verdict(), Verdict::Expected);
        seen.same("status", 200, 502);
        assert_eq!(seen.verdict(), Verdict::Unexpected(vec!["status = 502: 200".into()]));
        assert!(!seen.verdict().is_fine());
    }

    #[test]
    fn a_bound_is_kept_at_the_bound_and_broken_above() {
        let mut seen = Seen::default();
        seen.at_most("failed", 3.0, 3.0);
        assert!(seen.verdict().is_fine());
        seen.at_most("failed", 3.5, 3.0);
        assert_eq!(seen.verdict(), Verdict::Unexpected(vec!["failed ≤ 3: 3.5".into()]));
    }

    #[test]
    fn of_the_oracle_only_what_fails_is_spelt_out() {
        let mut seen = Seen::default();
        seen.same("status", 502, 502);
        seen.oracle();
        seen.same("twice", 0, 0);
        seen.same("astray", 1, 0);
        assert_eq!(seen.summary(), "status = 502: 502; **NOT** astray = 0: 1; oracle 1/2");
    }

    #[test]
    fn a_row_that_claims_nothing_proves_nothing() {
        let mut seen = Seen::default();
        seen.note("all looks well");
        assert!(!seen.verdict().is_fine());
    }

    #[test]
    fn what_could_not_be_tried_is_told_and_is_no_failure() {
        for verdict in [Verdict::Skipped("no root".into()), Verdict::Later("etcd".into())] {
            assert!(verdict.is_fine());
            assert!(verdict.text().contains(": "), "{verdict:?} says why");
        }
        assert!(!Verdict::Broken("no node came up".into()).is_fine());
    }
}
