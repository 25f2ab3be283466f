//! Whether what is demanded holds.

use crate::bounds::{BOUNDS, Bound, Figure, Limit};
use crate::measure::Round;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::statistics::Estimate;

/// Below this many ratios no 95% interval can be had: the range of five covers the true median with 93.75%.
const ENOUGH: usize = 5;

/// What was found of one demand in one scenario, against the peer that it is hardest to hold against.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Verdict {
    pub(crate) line: &'static str,
    pub(crate) scenario: Scenario,
    pub(crate) of: &'static str,
    /// The peer, or what the figure is of where there is none.
    pub(crate) against: String,
    /// Of the ratios, round by round; of a single figure its value.
    pub(crate) estimate: Estimate,
    /// How many ratios.
    pub(crate) count: usize,
    /// `≤` or `≥`.
    pub(crate) sign: &'static str,
    pub(crate) limit: f64,
    pub(crate) holds: Holds,
}

/// Whether a demand holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Holds {
    /// By the end of the interval that is nearest the limit.
    Yes,
    /// By the median, but not by the end of the interval.
    InTheMedian,
    No,
    /// Too few rounds for an interval.
    TooFew,
    /// Requests of ours failed, so its figures count for nothing.
    Failed,
}

/// All demands.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) verdicts: Vec<Verdict>,
    /// Lines that the results do not speak of, with the scenarios that are missing.
    pub(crate) silent: Vec<(&'static str, Vec<Scenario>)>,
}

/// Holds the results against every demand.
pub(crate) fn judge(results: &Results) -> Judgement {
    let (mut verdicts, mut silent) = (Vec::new(), Vec::new());
    for bound in BOUNDS {
        let mut without = Vec::new();
        for scenario in bound.scenarios {
            let found = if bound.figure == Figure::IdleKib {
                idle(bound, *scenario, results)
            } else {
                hardest(bound, *scenario, results).into_iter().collect()
            };
            if found.is_empty() {
                without.push(*scenario);
            }
            verdicts.extend(found);
        }
        if !without.is_empty() {
            silent.push((bound.line, without));
        }
    }
    Judgement { verdicts, silent }
}

/// A figure of one proxy over that of another, round by round: a machine that slows down slows both.
pub(crate) fn ratios(rounds: &[Round], scenario: Scenario, figure: Figure, of: &str, against: &str) -> Vec<f64> {
    let turn = |number: usize, name: &str| {
        rounds.iter().find(|round| round.scenario == scenario && round.round == number && round.proxy == name)
    };
    let value = |number, name| {
        let round = turn(number, name)?;
        Some(match figure {
            Figure::Cpu => round.cpu_us,
            Figure::PerSecond => round.per_second,
            Figure::P99 | Figure::OpenLoopP99 => round.p99_us,
            Figure::IdleKib => return None,
        })
    };
    let count = rounds.iter().map(|round| round.round + 1).max().unwrap_or(0);
    (0..count).filter_map(|number| Some(value(number, of)? / value(number, against)?)).collect()
}

fn hardest(bound: &Bound, scenario: Scenario, results: &Results) -> Option<Verdict> {
    let rounds: &[Round] = match bound.figure {
        Figure::OpenLoopP99 => &results.open_loop.iter().find(|open| open.scenario == scenario)?.rounds,
        _ => &results.rounds,
    };
    let failed = rounds.iter().any(|round| round.scenario == scenario && round.proxy == bound.of && round.failed > 0);
    let found = bound.against.iter().filter_map(|peer| {
        let ratios = ratios(rounds, scenario, bound.figure, bound.of, peer);
        let estimate = Estimate::of(&ratios)?;
        let holds = match () {
            () if failed => Holds::Failed,
            () if ratios.len() < ENOUGH => Holds::TooFew,
            () => bound.limit.holds(estimate),
        };
        Some(bound.verdict(scenario, (*peer).into(), estimate, ratios.len(), holds))
    });
    found.min_by(|one, other| bound.limit.room(one.estimate).total_cmp(&bound.limit.room(other.estimate)))
}

fn idle(bound: &Bound, scenario: Scenario, results: &Results) -> Vec<Verdict> {
    let measured = results.idle.iter().filter(|idle| idle.scenario == scenario && idle.proxy == bound.of);
    measured
        .map(|idle| {
            let value = idle.kib_per_connection;
            let estimate = Estimate { median: value, low: value, high: value };
            bound.verdict(scenario, format!("{} idle", idle.connections), estimate, 1, bound.limit.holds(estimate))
        })
        .collect()
}

impl Bound {
    fn verdict(&self, scenario: Scenario, against: String, estimate: Estimate, count: usize, holds: Holds) -> Verdict {
        let (sign, limit) = match self.limit {
            Limit::AtMost(limit) => ("≤", limit),
            Limit::AtLeast(limit) => ("≥", limit),
        };
        Verdict { line: self.line, scenario, of: self.of, against, estimate, count, sign, limit, holds }
    }
}

impl Limit {
    fn holds(self, estimate: Estimate) -> Holds {
        let allows = |value: f64| match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        };
        match (allows(estimate.low) && allows(estimate.high), allows(estimate.median)) {
            (true, _) => Holds::Yes,
            (false, true) => Holds::InTheMedian,
            (false, false) => Holds::No,
        }
    }

    /// How far inside the limit the nearest end of the interval is; negative outside.
    fn room(self, estimate: Estimate) -> f64 {
        match self {
            Self::AtMost(limit) => limit - estimate.high,
            Self::AtLeast(limit) => estimate.low - limit,
        }
    }
}

impl std::fmt::Display for Holds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Yes => "yes",
            Self::InTheMedian => "only in the median",
            Self::No => "no",
            Self::TooFew => "too few rounds",
            Self::Failed => "requests failed",
        })
    }
}

#[cfg(test)]
mod tests;
