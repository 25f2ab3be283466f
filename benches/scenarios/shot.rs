//! One request, and what is counted of many.

use std::sync::Arc;
use std::time::Duration;

/// A request that ended, well or badly. Times count from the start of the play.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    /// What it asked for, in a word.
    pub(crate) kind: &'static str,
    /// The number of what it was about: of a user, a client, an order.
    pub(crate) key: u64,
    pub(crate) due: Duration,
    pub(crate) sent: Duration,
    pub(crate) ended: Duration,
    /// Who answered, as `x-node` says.
    pub(crate) node: Option<Arc<str>>,
    pub(crate) outcome: Outcome,
    /// Whether it may run twice (RFC 9110, section 9.2.2).
    pub(crate) safe: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// Any status from 400 on but 421.
    Status(u16),
    /// It came to a node that should not have had it: the node said 421, or the play knows.
    Misrouted,
    /// No whole answer.
    Broken(&'static str),
}

impl Outcome {
    pub(crate) fn of(status: u16) -> Self {
        match status {
            421 => Self::Misrouted,
            200..=399 => Self::Good,
            _ => Self::Status(status),
        }
    }

    /// In words, `None` if it is well.
    pub(crate) fn failure(self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Status(status) => Some(format!("status {status}")),
            Self::Misrouted => Some("misrouted".into()),
            Self::Broken(how) => Some(how.into()),
        }
    }
}

impl Shot {
    pub(crate) fn failed(&self) -> bool {
        self.outcome != Outcome::Good
    }

    /// From due to the last byte.
    pub(crate) fn took(&self) -> Duration {
        self.ended.saturating_sub(self.due)
    }

    /// Whether it was under way at some moment from `from` to `until`.
    pub(crate) fn meets(&self, from: Duration, until: Duration) -> bool {
        self.sent <= until && self.ended >= from
    }

    /// Whether it may run twice and was answered well.
    pub(crate) fn ran_once(&self) -> bool {
        !self.safe && !self.failed()
    }

    /// Whether it may have run at a node that was killed meanwhile: what was not answered, or not in time. A 503 says that
    /// nobody was asked.
    pub(crate) fn was_cut(&self) -> bool {
        matches!(self.outcome, Outcome::Broken(_) | Outcome::Status(502 | 504))
    }

    pub(crate) fn by(&self, node: &str) -> bool {
        self.node.as_deref() == Some(node)
    }
}

/// Milliseconds of requests that were answered, in rising order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn of<'a>(shots: impl IntoIterator<Item = &'a Shot>) -> Self {
        let answered = shots.into_iter().filter(|shot| !matches!(shot.outcome, Outcome::Broken(_)));
        let mut times: Vec<f64> = answered.map(|shot| shot.took().as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest time that at least so large a share of all does not exceed; 0 of nothing.
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let shot = |ms: u64, outcome| {
            let (due, ended) = (Duration::ZERO, Duration::from_millis(ms));
            Shot { kind: "x", key: 0, due, sent: due, ended, node: None, outcome, safe: true }
        };
        let mut shots: Vec<Shot> = (1..=100).rev().map(|ms| shot(ms, Outcome::of(200))).collect();
        shots.push(shot(9000, Outcome::Broken("cut off")));
        let times = Times::of(&shots);
        assert_eq!((times.at(0.5), times.at(0.99), times.at(1.0), times.at(0.0)), (50.0, 99.0, 100.0, 1.0));
        assert_eq!((times.0.len(), Times::default().at(0.5)), (100, 0.0));
    }

    #[test]
    fn a_misdirected_request_is_told_from_one_that_failed() {
        assert_eq!(Outcome::of(421), Outcome::Misrouted);
        assert_eq!(Outcome::of(503).failure().as_deref(), Some("status 503"));
        assert_eq!(Outcome::of(302).failure(), None);
    }
}
