//! 2,000 health checks a second beside the traffic, next to runs without.

use std::time::{Duration, Instant};

use pointsman_demo::load::{self, End, LoadOptions, Report};
use serde::Serialize;

use crate::Terms;
use crate::fleet::{Fleet, YAML};
use crate::verdict::{Spread, Verdict};

const NAME: &str = "checks";
const PAIRS: usize = 5;
const RATE: f64 = 1000.0;
const SECONDS: u64 = 10;
/// Nodes of the service that is only checked: each ten times a second.
const CROWD: usize = 200;
/// Checks a second that the proxy must get through at least, of 2,000 due.
const ENOUGH: f64 = 1900.0;
/// p99 with checks over p99 without. The checks cost the nodes a part of the same cores, which this does not take out.
const RATIO: f64 = 1.5;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Checks {
    rate: f64,
    pairs: Vec<Pair>,
}

/// A run with checks and one without, equally long, one after the other.
#[derive(Debug, Serialize)]
struct Pair {
    with: Report,
    without: Report,
    /// Checks of the crowd a second, by the proxy's own count.
    per_second: f64,
    /// Share of one core that the thread of the checks took.
    core: f64,
}

/// One run with, one without, and so on.
pub(crate) async fn measure(terms: &Terms) -> Result<Checks, String> {
    let fleet = Fleet::start(terms, "api").await?;
    let rate = terms.rate.unwrap_or(RATE);
    let seconds = if terms.quick { 2 } else { SECONDS };
    let options = LoadOptions {
        end: End::After(Duration::from_secs(seconds)),
        ..LoadOptions::new(fleet.proxy.addr()).ask("GET", "/bytes/64").connections(terms.connections).rate(rate)
    };
    run(&options).await?;
    let mut pairs = Vec::new();
    let count = if terms.quick { 1 } else { PAIRS };
    for number in 0..count {
        let pair = pair(&fleet, &options).await?;
        eprintln!(
            "checks {}/{count}: p99 {:.0} us with {:.0} checks a second ({:.0}% of a core), {:.0} us without; failed {} and {}",
            number + 1,
            pair.with.latency.p99,
            pair.per_second,
            pair.core * 100.0,
            pair.without.latency.p99,
            pair.with.failed,
            pair.without.failed,
        );
        pairs.push(pair);
    }
    Ok(Checks { rate, pairs })
}

async fn pair(fleet: &Fleet, options: &LoadOptions) -> Result<Pair, String> {
    configure(fleet, &crowded(fleet)).await?;
    // The first round is over once the last of them has passed twice.
    let last = format!("crowd-{}", CROWD - 1);
    fleet.proxy.admin.node_is("crowd", &last, "up").await.map_err(|problem| problem.to_string())?;
    let (began, checks, busy) = (Instant::now(), passed(fleet).await?, busy(fleet)?);
    let with = run(options).await?;
    let seconds = began.elapsed().as_secs_f64();
    let per_second = (passed(fleet).await? - checks) / seconds;
    let core = (self::busy(fleet)? - busy) / seconds;
    configure(fleet, YAML).await?;
    let without = run(options).await?;
    Ok(Pair { with, without, per_second, core })
}

async fn run(options: &LoadOptions) -> Result<Report, String> {
    Ok(load::start(options.clone()).map_err(|problem| problem.to_string())?.finish().await)
}

async fn configure(fleet: &Fleet, yaml: &str) -> Result<(), String> {
    fleet.proxy.write_config(yaml).map_err(|problem| problem.to_string())?;
    let outcome = fleet.proxy.admin.reload().await.map_err(|problem| problem.to_string())?;
    match outcome["outcome"].as_str() {
        Some("swapped" | "unchanged") => Ok(()),
        _ => Err(outcome.to_string()),
    }
}

/// The configuration with a service that gets no traffic, whose nodes are the three real ones under many names.
fn crowded(fleet: &Fleet) -> String {
    let node = |number: usize| {
        let address = fleet.nodes[number % fleet.nodes.len()].address();
        format!("      - {{ id: crowd-{number}, address: \"{address}\" }}\n")
    };
    let nodes: String = (0..CROWD).map(node).collect();
    let service = format!(
        "services:\n  crowd:\n    policy: round-robin\n    health: {{ http: /health, interval: 100ms, timeout: 50ms }}\n    nodes:\n{nodes}"
    );
    YAML.replacen("services:\n", &service, 1)
}

/// Checks of the crowd that passed so far.
async fn passed(fleet: &Fleet) -> Result<f64, String> {
    const SERIES: &str = "pointsman_checks_total{result=\"pass\",service=\"crowd\"} ";
    let text = fleet.proxy.admin.get("/metrics").await.map_err(|problem| problem.to_string())?.text();
    let value = text.lines().find_map(|line| line.strip_prefix(SERIES)?.trim().parse().ok());
    value.ok_or_else(|| "/metrics does not count the checks of `crowd`".to_owned())
}

/// Seconds of a core that the thread of the checks took so far (proc(5), `/proc/PID/task/TID/stat`, fields 14 and 15; Linux
/// counts them in hundredths of a second for every program).
fn busy(fleet: &Fleet) -> Result<f64, String> {
    let tasks = format!("/proc/{}/task", fleet.proxy.pid().unwrap_or(0));
    let entries = std::fs::read_dir(&tasks).map_err(|problem| format!("{tasks}: {problem}"))?;
    let stats = entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let ticks: u64 = stats
        .filter_map(|stat| {
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let fields: Vec<u64> = rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
            (name == "checks").then(|| fields.iter().sum::<u64>())
        })
        .sum();
    Ok(ticks as f64 / 100.0)
}

impl Checks {
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let all = |of: fn(&Pair) -> f64| self.pairs.iter().map(of).collect::<Vec<_>>();
        let requests: u64 = self.pairs.iter().map(|pair| pair.with.requests).sum();
        let failed = self.pairs.iter().map(|pair| pair.with.failed).sum();
        let per_second = all(|pair| pair.per_second);
        let enough = per_second.iter().all(|made| *made >= ENOUGH);
        let ratios = all(|pair| pair.with.latency.p99 / pair.without.latency.p99);
        let calm = Spread::of(ratios.iter().copied()).is_some_and(|ratio| ratio.median <= RATIO);
        vec![
            Verdict::no_failures(NAME, format!("{requests} GETs at {:.0}/s beside the checks", self.rate), failed),
            Verdict::judged(NAME, "checks passed a second", &format!("≥ {ENOUGH:.0}"), per_second, enough),
            Verdict::judged(NAME, "p99 with over p99 without", &format!("median ≤ {RATIO}"), ratios, calm).digits(2),
            Verdict::judged(NAME, "p99 with, us", "–", all(|pair| pair.with.latency.p99), true),
            Verdict::judged(NAME, "p99 without, us", "–", all(|pair| pair.without.latency.p99), true),
            Verdict::judged(NAME, "share of a core, thread of the checks", "–", all(|pair| pair.core), true).digits(2),
        ]
    }
}
