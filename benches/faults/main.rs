//! `faults`: what clients notice while nodes are killed and policies and configurations are swapped. Real processes, real
//! kills, every failed request counted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

mod access;
mod checks;
mod deaths;
mod fleet;
#[path = "../peers/machine.rs"]
#[expect(dead_code, reason = "the head of its README speaks of the peers, which do not take part here")]
mod machine;
mod orders;
mod results;
mod swaps;
mod verdict;
mod watch;

use verdict::Verdict;

/// Kills nodes and swaps policies and configurations under load, and counts what clients notice of it.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  make faults
  make faults ARGS='--only deaths --rate 2000'
  make faults ARGS='--pointsman target/debug/pointsman --quick'

Exit code 0: everything is as expected; 1: something is not; 2: wrong arguments; 3: the measurement itself went wrong.")]
struct Arguments {
    /// Our binary
    #[arg(long, value_name = "PATH")]
    pointsman: PathBuf,
    /// Folder of demo-node
    #[arg(long, value_name = "FOLDER")]
    tools: PathBuf,
    /// What to measure; may be given several times (default: all)
    #[arg(long = "only", value_enum, value_name = "NAME")]
    only: Vec<Fault>,
    /// Requests due each second (default: 2000 for swaps, 1000 for the others)
    #[arg(long, value_parser = above_zero)]
    rate: Option<f64>,
    /// Swaps at half the rate that a short closed loop reaches, instead of --rate
    #[arg(long, conflicts_with = "rate")]
    half_peak: bool,
    /// Connections of the load, all kept alive
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1000))]
    connections: u64,
    /// Milliseconds from one change to the next, swaps only
    #[arg(long, default_value_t = 100)]
    pause: u64,
    /// Milliseconds beyond a bound that are put down to this program's own polling and to the scheduler
    #[arg(long, default_value_t = 25)]
    slack: u64,
    /// A fifth of the repetitions and one pair: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Folder for the results (default: benches/runs/DATE-MACHINE-faults)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Nodes are killed under idempotent requests
    Deaths,
    /// Policies and configurations are swapped
    Swaps,
    /// Nodes are killed under requests that must not be repeated
    Orders,
    /// 2,000 health checks a second beside the traffic
    Checks,
}

/// What every measurement needs to know.
#[derive(Debug, Clone, serde::Serialize)]
struct Terms {
    // Where a binary lay says nothing to a later reader.
    #[serde(skip)]
    pointsman: PathBuf,
    #[serde(skip)]
    tools: PathBuf,
    rate: Option<f64>,
    half_peak: bool,
    connections: usize,
    pause_ms: u64,
    slack_ms: f64,
    quick: bool,
}

impl Terms {
    /// A fifth of that many in a quick run, at least two.
    fn times(&self, full: usize) -> usize {
        if self.quick { (full / 5).max(2) } else { full }
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("the rate must be above 0 a second".into()) }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("faults: {problem}");
            ExitCode::from(3)
        }
    }
}

/// Whether everything is as expected.
async fn run(arguments: &Arguments) -> Result<bool, String> {
    let terms = Terms {
        pointsman: whole(&arguments.pointsman)?,
        tools: whole(&arguments.tools)?,
        rate: arguments.rate,
        half_peak: arguments.half_peak,
        connections: usize::try_from(arguments.connections).unwrap_or(1),
        pause_ms: arguments.pause,
        slack_ms: arguments.slack as f64,
        quick: arguments.quick,
    };
    let wanted = |fault| arguments.only.is_empty() || arguments.only.contains(&fault);
    let mut results = results::Results::new(&terms);
    let mut verdicts: Vec<Verdict> = Vec::new();
    if wanted(Fault::Deaths) {
        let deaths = deaths::measure(&terms).await.map_err(|problem| format!("deaths: {problem}"))?;
        verdicts.extend(deaths.verdicts(&terms));
        results.deaths = Some(deaths);
    }
    if wanted(Fault::Swaps) {
        let swaps = swaps::measure(&terms).await.map_err(|problem| format!("swaps: {problem}"))?;
        verdicts.extend(swaps.verdicts());
        results.swaps = Some(swaps);
    }
    if wanted(Fault::Orders) {
        let orders = orders::measure(&terms).await.map_err(|problem| format!("orders: {problem}"))?;
        verdicts.extend(orders.verdicts());
        results.orders = Some(orders);
    }
    if wanted(Fault::Checks) {
        let checks = checks::measure(&terms).await.map_err(|problem| format!("checks: {problem}"))?;
        verdicts.extend(checks.verdicts());
        results.checks = Some(checks);
    }
    let table = verdict::table(&verdicts);
    println!("\n{table}");
    let fine = verdicts.iter().all(|verdict| verdict.fine);
    results.verdicts = verdicts;
    let out = results.write(arguments.out.as_deref(), &table)?;
    println!("{} Kept in {}", if fine { "Everything is as expected." } else { "NOT as expected." }, out.display());
    Ok(fine)
}

/// The proxy and the nodes run in folders of their own, so a relative path would lead nowhere.
fn whole(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|problem| format!("{}: {problem}; build it first", path.display()))
}
