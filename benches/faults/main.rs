//! `faults`: what clients notice of every fault that a proxy must survive. Real processes, real kills, every failed request
//! counted. The rows are in `rows/`, what they stand on in `rig/`; the measurements under load (`deaths`, `swaps`, `orders`,
//! `checks`, `soak`) beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

mod access;
mod checks;
mod deaths;
mod fleet;
#[path = "../peers/machine.rs"]
#[expect(dead_code, reason = "the head of its README speaks of the peers, which do not take part here")]
mod machine;
mod orders;
mod results;
mod rig;
mod rows;
mod seen;
mod selection;
mod soak;
mod swaps;
mod table;
mod verdict;
mod watch;

use selection::{Wanted, select};
use verdict::Verdict;

/// Injects faults for real, one row after the other, and says what was expected, what was seen, and what failed.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  make faults
  make faults ARGS='--only 1-11,blackhole --out /tmp/rows'
  make faults ARGS='--only deaths --rate 2000'
  make faults ARGS='--only soak --minutes 10'
  make faults ARGS='--pointsman target/debug/pointsman --quick'

Exit code 0: everything is as expected; 1: something is not; 2: wrong arguments; 3: the measurement itself went wrong.")]
struct Arguments {
    /// Our binary
    #[arg(long, value_name = "PATH", default_value = "target/dist/pointsman")]
    pointsman: PathBuf,
    /// Folder of demo-node
    #[arg(long, value_name = "FOLDER", default_value = "target/dist")]
    tools: PathBuf,
    /// Rows by number, range, name or part of it, and measurements by name: `1,10-20,flood,deaths` (default: every row)
    #[arg(long = "only", value_name = "WHICH", value_delimiter = ',')]
    only: Vec<Wanted>,
    /// Shows what there is and ends
    #[arg(long)]
    list: bool,
    /// Requests due each second (default: 2000 for swaps, 500 for soak, 1000 for the others)
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
    /// How long `soak` plays, in minutes
    #[arg(long, value_parser = above_zero, default_value = "10")]
    minutes: f64,
    /// Fewer repetitions: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Folder for the table and raw.json (default: none for rows, benches/runs/DATE-MACHINE-faults for measurements)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What can be measured under load, beside the rows.
const MEASUREMENTS: &[&str] = &["deaths", "swaps", "orders", "checks", "soak"];

/// What every measurement needs to know.
#[derive(Debug, Clone, Default, serde::Serialize)]
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
    minutes: f64,
    quick: bool,
}

impl Terms {
    /// A fifth of that many in a quick run, at least two.
    fn times(&self, full: usize) -> usize {
        if self.quick { (full / 5).max(2) } else { full }
    }

    /// By how much a bound of CPU time is stretched: the debug build is not what is shipped.
    fn slowness(&self) -> f64 {
        if self.pointsman.components().any(|part| part.as_os_str() == "debug") { 10.0 } else { 1.0 }
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
    let given: Vec<String> = std::env::args().skip(1).collect();
    let done = match given.split_first() {
        Some((first, rest)) if first == "node" => rig::puppet::process(rest).await.map(|()| true),
        _ => run(&Arguments::parse()).await,
    };
    match done {
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
    let rows = rows::all();
    let names: Vec<(u8, &str)> = rows.iter().map(|row| (row.number, row.name)).collect();
    if arguments.list {
        print!("{}", table::list(&rows, MEASUREMENTS));
        return Ok(true);
    }
    let (chosen, measured) = select(&arguments.only, &names, MEASUREMENTS)?;
    let terms = Terms {
        pointsman: whole(&arguments.pointsman)?,
        tools: whole(&arguments.tools)?,
        rate: arguments.rate,
        half_peak: arguments.half_peak,
        connections: usize::try_from(arguments.connections).unwrap_or(1),
        pause_ms: arguments.pause,
        slack_ms: arguments.slack as f64,
        minutes: arguments.minutes,
        quick: arguments.quick,
    };
    let chosen: Vec<&rows::Row> = rows.into_iter().filter(|row| chosen.contains(&row.number)).collect();
    let played = table::play(&chosen, &terms).await;
    let mut fine = played.iter().all(|row| row.verdict.is_fine());
    let mut text = if played.is_empty() { String::new() } else { table::table(&played) };
    let mut results = results::Results::new(&terms);
    results.rows = played;
    if !measured.is_empty() {
        let verdicts = measure(&terms, &measured, &mut results).await?;
        fine &= verdicts.iter().all(|verdict| verdict.fine);
        text.push_str(&verdict::table(&verdicts));
        results.verdicts = verdicts;
    }
    println!("\n{text}");
    println!("{}", if fine { "Everything is as expected." } else { "NOT as expected." });
    if arguments.out.is_some() || !measured.is_empty() {
        println!("Kept in {}", results.write(arguments.out.as_deref(), &text)?.display());
    }
    Ok(fine)
}

async fn measure(
    terms: &Terms,
    wanted: &BTreeSet<&str>,
    results: &mut results::Results,
) -> Result<Vec<Verdict>, String> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    if wanted.contains("deaths") {
        let deaths = deaths::measure(terms).await.map_err(|problem| format!("deaths: {problem}"))?;
        verdicts.extend(deaths.verdicts(terms));
        results.deaths = Some(deaths);
    }
    if wanted.contains("swaps") {
        let swaps = swaps::measure(terms).await.map_err(|problem| format!("swaps: {problem}"))?;
        verdicts.extend(swaps.verdicts());
        results.swaps = Some(swaps);
    }
    if wanted.contains("orders") {
        let orders = orders::measure(terms).await.map_err(|problem| format!("orders: {problem}"))?;
        verdicts.extend(orders.verdicts());
        results.orders = Some(orders);
    }
    if wanted.contains("checks") {
        let checks = checks::measure(terms).await.map_err(|problem| format!("checks: {problem}"))?;
        verdicts.extend(checks.verdicts());
        results.checks = Some(checks);
    }
    if wanted.contains("soak") {
        let soak = soak::measure(terms).await.map_err(|problem| format!("soak: {problem}"))?;
        verdicts.extend(soak.verdicts());
        results.soak = Some(soak);
    }
    Ok(verdicts)
}

/// The proxy and the nodes run in folders of their own, so a relative path would lead nowhere.
fn whole(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|problem| format!("{}: {problem}; build it first", path.display()))
}
