//! What was measured, and what of it is demanded, as tables.

use std::fmt::Write;

use crate::bounds::Figure;
use crate::measure::Round;
use crate::open_loop::OpenLoop;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::statistics::{Estimate, RESAMPLES, Spread};
use crate::verdict::{Judgement, ratios};

/// What ratios of the tables are taken against.
const YARDSTICK: &str = "nginx";

/// All tables, as Markdown.
pub(crate) fn report(results: &Results, judgement: &Judgement) -> String {
    let mut text = String::new();
    for scenario in scenarios(results) {
        closed(&mut text, scenario, results);
        idle(&mut text, scenario, results);
        if let Some(open) = results.open_loop.iter().find(|open| open.scenario == scenario) {
            open_loop(&mut text, open, results);
        }
    }
    demands(&mut text, judgement);
    for problem in &results.left_out {
        let _ = writeln!(text, "\n{}", problem.trim_end());
    }
    text
}

fn scenarios(results: &Results) -> Vec<Scenario> {
    let mut found = Vec::new();
    let closed = results.rounds.iter().map(|round| round.scenario);
    let idle = results.idle.iter().map(|idle| idle.scenario);
    for scenario in closed.chain(idle).chain(results.open_loop.iter().map(|open| open.scenario)) {
        if !found.contains(&scenario) {
            found.push(scenario);
        }
    }
    found
}

fn closed(text: &mut String, scenario: Scenario, results: &Results) {
    let rounds: Vec<&Round> = results.rounds.iter().filter(|round| round.scenario == scenario).collect();
    if rounds.is_empty() {
        return;
    }
    let turns = rounds.iter().map(|round| round.round + 1).max().unwrap_or(0);
    let _ = writeln!(
        text,
        "\n## {scenario}: {}, {turns} rounds of {} s\n\nMedian (least to most); ratio of the CPU time of the same rounds: \
         median [95% interval].\n",
        conditions(scenario, results),
        results.terms.seconds
    );
    text.push_str("| proxy | CPU us/request | against nginx | requests/s | p50 us | p99 us | log bytes | failed |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for proxy in names(&rounds) {
        let of = Of { rounds: &rounds, proxy };
        let ratio = Estimate::of(&ratios(&results.rounds, scenario, Figure::Cpu, proxy, YARDSTICK));
        let _ = writeln!(
            text,
            "| {proxy} | {} | {} | {} | {} | {} | {} | {} |",
            of.spread(|round| Some(round.cpu_us), 2),
            ratio.map_or("–".into(), |ratio| ratio.text(2)),
            of.spread(|round| Some(round.per_second), 0),
            of.spread(|round| Some(round.p50_us), 0),
            of.spread(|round| Some(round.p99_us), 0),
            of.spread(|round| round.log_bytes, 0),
            of.failed(),
        );
    }
}

fn idle(text: &mut String, scenario: Scenario, results: &Results) {
    let measured: Vec<_> = results.idle.iter().filter(|idle| idle.scenario == scenario).collect();
    let mut counts: Vec<usize> = measured.iter().map(|idle| idle.connections).collect();
    counts.sort_unstable();
    counts.dedup();
    if counts.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {scenario}: KiB that an idle keep-alive connection beyond the first thousand holds\n");
    let heads: Vec<String> = counts.iter().map(|count| format!("{count} idle")).collect();
    let _ = writeln!(text, "| proxy | {} |\n|---{}|", heads.join(" | "), "|---".repeat(counts.len()));
    let mut names: Vec<&str> = measured.iter().map(|idle| idle.proxy.as_str()).collect();
    names.dedup();
    for proxy in names {
        let cells: Vec<String> = counts
            .iter()
            .map(|count| {
                let at = measured.iter().find(|idle| idle.proxy == proxy && idle.connections == *count);
                at.map_or("–".into(), |idle| format!("{:.2}", idle.kib_per_connection))
            })
            .collect();
        let _ = writeln!(text, "| {proxy} | {} |", cells.join(" | "));
    }
}

fn open_loop(text: &mut String, open: &OpenLoop, results: &Results) {
    let rounds: Vec<&Round> = open.rounds.iter().collect();
    let pairs = rounds.iter().map(|round| round.round + 1).max().unwrap_or(0);
    let peaks: Vec<String> = open.peaks.iter().map(|(name, peak)| format!("{name} {peak:.0}/s")).collect();
    let _ = writeln!(
        text,
        "\n## {}, open loop: {:.0} requests due each second, {}, {pairs} pairs of {} s\n\nPeaks in a closed loop just before: \
         {}. Latency counts from when a request was due; median (least to most).\n",
        open.scenario,
        open.rate,
        conditions(open.scenario, results),
        results.terms.seconds,
        peaks.join(", ")
    );
    text.push_str(
        "| proxy | CPU us/request | p50 us | p99 us | p99 against nginx | generator late, p99 us | failed |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|\n");
    for proxy in names(&rounds) {
        let of = Of { rounds: &rounds, proxy };
        let ratio = Estimate::of(&ratios(&open.rounds, open.scenario, Figure::OpenLoopP99, proxy, YARDSTICK));
        let _ = writeln!(
            text,
            "| {proxy} | {} | {} | {} | {} | {} | {} |",
            of.spread(|round| Some(round.cpu_us), 2),
            of.spread(|round| Some(round.p50_us), 0),
            of.spread(|round| Some(round.p99_us), 0),
            ratio.map_or("–".into(), |ratio| ratio.text(2)),
            of.spread(|round| Some(round.late_p99_us), 0),
            of.failed(),
        );
    }
}

fn demands(text: &mut String, judgement: &Judgement) {
    let _ = writeln!(
        text,
        "\n## What is demanded\n\nRatios are of the same rounds: median [95% interval, percentile bootstrap of {RESAMPLES} resamples]. \
         The end of the interval that is nearer the bound decides; of several peers the one it is hardest against is shown.\n"
    );
    text.push_str(
        "| demand | scenario | whose | against | median [interval] | bound | holds |\n|---|---|---|---|---|---|---|\n",
    );
    for verdict in &judgement.verdicts {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} {} | {} |",
            verdict.line,
            verdict.scenario,
            verdict.of,
            verdict.against,
            verdict.estimate.text(2),
            verdict.sign,
            verdict.limit,
            verdict.holds
        );
    }
    for (line, scenarios) in &judgement.silent {
        let scenarios: Vec<String> = scenarios.iter().map(Scenario::to_string).collect();
        let _ = writeln!(text, "| {line} | {} | | | not in this run | | |", scenarios.join(", "));
    }
}

fn conditions(scenario: Scenario, results: &Results) -> String {
    format!(
        "{} connections, {} nodes, one worker unless the name says more, access log {}{}",
        scenario.connections(results.terms.connections),
        results.terms.nodes,
        if results.terms.access_log { "on" } else { "off" },
        if results.terms.tuned { ", nginx and HAProxy set up for large replies" } else { "" }
    )
}

/// The rounds of one proxy.
struct Of<'a> {
    rounds: &'a [&'a Round],
    proxy: &'a str,
}

impl Of<'_> {
    fn spread(&self, value: impl Fn(&Round) -> Option<f64>, digits: usize) -> String {
        let rounds = self.rounds.iter().filter(|round| round.proxy == self.proxy);
        let values: Vec<f64> = rounds.filter_map(|round| value(round)).collect();
        Spread::of(&values).map_or("–".into(), |spread| spread.text(digits))
    }

    fn failed(&self) -> u64 {
        self.rounds.iter().filter(|round| round.proxy == self.proxy).map(|round| round.failed).sum()
    }
}

/// Who took part, in the order of the first round.
fn names<'a>(rounds: &[&'a Round]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for round in rounds {
        if !names.contains(&round.proxy.as_str()) {
            names.push(&round.proxy);
        }
    }
    names
}
