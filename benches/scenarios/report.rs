//! What a play leaves behind: NAME.json for programs, NAME.html for people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::claim::Claim;
use crate::shot::{Outcome, Shot, Times};
use crate::stage::{Asked, Phase, Stage};

/// Kept samples of failures: enough to see what went wrong, few enough to read.
const SAMPLES: usize = 40;

/// NAME.json.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) about: &'static str,
    /// Whether every claim is fine; those about time only where they were asked for.
    pub(crate) fine: bool,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) kills: u64,
    pub(crate) misrouted: u64,
    pub(crate) duplicated: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Requests answered by each node.
    pub(crate) per_node: BTreeMap<String, u64>,
    /// Requests and failures by what was asked.
    pub(crate) per_kind: BTreeMap<&'static str, Counted>,
    /// Failures by what happened.
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) phases: Vec<Part>,
    /// What was done to nodes.
    pub(crate) marks: Vec<Deed>,
    pub(crate) seconds: f64,
    pub(crate) profile: &'static str,
    /// The first failures.
    pub(crate) samples: Vec<Sample>,
    #[serde(skip)]
    pub(crate) times: Vec<(String, Times)>,
    #[serde(skip)]
    pub(crate) ends: Vec<(f64, bool)>,
}

/// Requests of one kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

/// A part of the play.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) from_s: f64,
    pub(crate) until_s: f64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// What was done to a node, and how long the proxy took to see it.
#[derive(Debug, Serialize)]
pub(crate) struct Deed {
    pub(crate) what: &'static str,
    pub(crate) node: String,
    pub(crate) at_s: f64,
    pub(crate) seen_after_ms: f64,
}

/// One failure.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    at_s: f64,
    kind: &'static str,
    key: u64,
    what: String,
    node: Option<String>,
}

impl Report {
    /// Of a play that has ended.
    pub(crate) async fn of(stage: Stage, scenario: &'static str, about: &'static str) -> Result<Self, String> {
        let ran = stage.ran()?;
        let misrouted = stage.shots.iter().filter(|shot| shot.outcome == Outcome::Misrouted).count() as u64;
        // Each node counts for itself what it should not have been asked; a client sees no more than that.
        let by_nodes = stage.counted("misrouted").await?;
        let answered = stage.shots.iter().filter(|shot| shot.ran_once()).count() as u64;
        let mut claims = vec![
            Claim::none(
                "misrouted requests, as the clients and the play see them",
                misrouted,
                stage.shots.len() as u64,
            ),
            Claim::none("misrouted requests, as the nodes count them", by_nodes, stage.counted("requests").await?),
            Claim::none("requests that ran twice, by the nodes' ledgers", ran.twice, ran.ids),
            Claim::at_least(
                "requests in the nodes' ledgers: each POST that was answered well",
                answered.max(1),
                ran.ids,
            ),
        ];
        claims.extend(stage.claims.iter().cloned());
        let fine = claims.iter().all(|claim| claim.fine || (claim.timed && !stage.terms.holds_times()));
        let times = Times::of(&stage.shots);
        Ok(Self {
            scenario,
            about,
            fine,
            requests: stage.shots.len() as u64,
            failed: stage.shots.iter().filter(|shot| shot.failed()).count() as u64,
            kills: stage.marked("kill").count() as u64,
            misrouted: misrouted.max(by_nodes),
            duplicated: ran.twice,
            p50_ms: rounded(times.at(0.5)),
            p99_ms: rounded(times.at(0.99)),
            per_node: counts(stage.shots.iter().filter_map(|shot| shot.node.as_deref().map(str::to_owned))),
            per_kind: kinds(&stage.shots),
            failures: counts(stage.shots.iter().filter_map(|shot| shot.outcome.failure())),
            asked: stage.asked.clone(),
            claims,
            phases: stage.phases.iter().map(|phase| part(phase, &stage.within(&phase.name))).collect(),
            marks: stage.marks.iter().map(deed).collect(),
            seconds: rounded(stage.now().as_secs_f64()),
            profile: stage.terms.profile(),
            samples: stage.shots.iter().filter(|shot| shot.failed()).take(SAMPLES).map(sample).collect(),
            times: stage
                .phases
                .iter()
                .map(|phase| (phase.name.clone(), Times::of(stage.within(&phase.name))))
                .collect(),
            ends: stage.shots.iter().map(|shot| (shot.ended.as_secs_f64(), shot.failed())).collect(),
        })
    }

    /// Writes both files; answers the page's name.
    pub(crate) fn write(&self, out: &std::path::Path) -> Result<PathBuf, String> {
        let problem = |problem: std::io::Error| format!("{}: {problem}", out.display());
        std::fs::create_dir_all(out).map_err(problem)?;
        let json = serde_json::to_string_pretty(self).map_err(|problem| problem.to_string())?;
        std::fs::write(out.join(format!("{}.json", self.scenario)), json).map_err(problem)?;
        let page = out.join(format!("{}.html", self.scenario));
        std::fs::write(&page, crate::page::page(self)).map_err(problem)?;
        Ok(page)
    }
}

fn kinds(shots: &[Shot]) -> BTreeMap<&'static str, Counted> {
    let mut kinds: BTreeMap<&'static str, Counted> = BTreeMap::new();
    for shot in shots {
        let counted = kinds.entry(shot.kind).or_default();
        counted.requests += 1;
        counted.failed += u64::from(shot.failed());
    }
    kinds
}

fn counts(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

fn part(phase: &Phase, shots: &[&Shot]) -> Part {
    let times = Times::of(shots.iter().copied());
    Part {
        name: phase.name.clone(),
        from_s: rounded(phase.from.as_secs_f64()),
        until_s: rounded(phase.until.as_secs_f64()),
        requests: shots.len() as u64,
        failed: shots.iter().filter(|shot| shot.failed()).count() as u64,
        p50_ms: rounded(times.at(0.5)),
        p99_ms: rounded(times.at(0.99)),
        max_ms: rounded(times.at(1.0)),
    }
}

fn deed(mark: &crate::stage::Mark) -> Deed {
    let seen_after_ms = rounded(mark.until.saturating_sub(mark.from).as_secs_f64() * 1e3);
    Deed { what: mark.what, node: mark.node.clone(), at_s: rounded(mark.from.as_secs_f64()), seen_after_ms }
}

fn sample(shot: &Shot) -> Sample {
    Sample {
        at_s: rounded(shot.ended.as_secs_f64()),
        kind: shot.kind,
        key: shot.key,
        what: shot.outcome.failure().unwrap_or_default(),
        node: shot.node.as_deref().map(str::to_owned),
    }
}

/// To a thousandth: clocks tell no more.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
