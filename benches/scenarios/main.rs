//! `scenario`: systems that people built by hand, played against the real proxy with real nodes, without and with failures.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

mod api_cluster;
mod chart;
mod claim;
mod drive;
mod events;
mod fleet;
mod oms_cluster;
mod page;
mod report;
mod sessions;
mod shot;
mod stage;
mod trade_partition;
mod user_shards;

/// Plays one scenario and writes OUT/NAME.json and OUT/NAME.html.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  make scenario                            the list
  make scenario NAME=user-shards
  make scenario NAME=api-cluster ARGS='--rate 2000 --seconds 20'
  make scenario NAME=user-shards ARGS='--quick --pointsman target/debug/pointsman --tools target/debug'

Exit code 0: everything is as expected; 1: something is not; 2: wrong arguments; 3: the play itself went wrong.")]
struct Arguments {
    /// Which one; without it all are listed
    name: Option<String>,
    /// Our binary
    #[arg(long, value_name = "PATH", default_value = "target/dist/pointsman")]
    pointsman: PathBuf,
    /// Folder of demo-node
    #[arg(long, value_name = "FOLDER", default_value = "target/dist")]
    tools: PathBuf,
    /// Folder of the configurations
    #[arg(long, value_name = "FOLDER", default_value = "config/scenarios")]
    configurations: PathBuf,
    /// Folder of the reports
    #[arg(long, value_name = "FOLDER", default_value = "out/scenarios")]
    out: PathBuf,
    /// Requests due each second, instead of the scenario's own rate
    #[arg(long, value_parser = above_zero)]
    rate: Option<f64>,
    /// Length of each part in seconds, instead of the scenario's own
    #[arg(long, value_parser = above_zero)]
    seconds: Option<f64>,
    /// Short and small: to see that it works, not to quote. Nothing about time is held against it
    #[arg(long)]
    quick: bool,
}

/// What every play needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) pointsman: PathBuf,
    pub(crate) tools: PathBuf,
    pub(crate) configurations: PathBuf,
    rate: Option<f64>,
    seconds: Option<f64>,
    pub(crate) quick: bool,
}

impl Terms {
    /// Requests a second.
    pub(crate) fn rate(&self, full: f64, quick: f64) -> f64 {
        self.rate.unwrap_or(if self.quick { quick } else { full })
    }

    /// Requests of a part that lasts so many seconds at that rate.
    pub(crate) fn requests(&self, rate: f64, full: f64, quick: f64) -> u64 {
        (rate * self.seconds.unwrap_or(if self.quick { quick } else { full })).ceil() as u64
    }

    /// One of two counts.
    pub(crate) fn count(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// Which build the proxy is of, by its folder.
    pub(crate) fn profile(&self) -> &'static str {
        let of = |name: &str| self.pointsman.components().any(|part| part.as_os_str() == name);
        ["dist", "release", "debug"].into_iter().find(|name| of(name)).unwrap_or("unknown")
    }

    /// Whether claims about time decide: not in a quick play, nor of a debug build.
    pub(crate) fn holds_times(&self) -> bool {
        !self.quick && self.profile() != "debug"
    }

    /// One line of progress.
    pub(crate) fn say(&self, text: &str) {
        clear();
        eprintln!("  {text}");
    }

    /// The line that is written over again; only a terminal has one.
    pub(crate) fn progress(&self, phase: &str, (done, failed): (u64, u64)) {
        if std::io::stderr().is_terminal() {
            // A terminal that cannot be written to is no reason to stop the play.
            let _ = write!(std::io::stderr(), "\r  {phase}: {done} requests, {failed} failed   ");
        }
    }

    /// The same for the last time.
    pub(crate) fn progress_ends(&self, phase: &str, (done, failed): (u64, u64)) {
        self.say(&format!("{phase}: {done} requests, {failed} failed"));
    }
}

fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err("it must be above 0".into()) }
}

/// Every scenario, with one line.
const ALL: &[(&str, &str)] = &[
    (api_cluster::NAME, api_cluster::ABOUT),
    (oms_cluster::NAME, oms_cluster::ABOUT),
    (trade_partition::NAME, trade_partition::ABOUT),
    (user_shards::NAME, user_shards::ABOUT),
];

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("hold", rest)) = given.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return match sessions::hold(rest).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("scenario hold: {problem}");
                ExitCode::from(3)
            }
        };
    }
    let arguments = Arguments::parse();
    let Some(name) = &arguments.name else {
        let width = ALL.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        ALL.iter().for_each(|(name, about)| println!("  {name:width$}   {about}"));
        return ExitCode::SUCCESS;
    };
    let Some((name, about)) = ALL.iter().find(|(known, _)| known == name) else {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("scenario: there is no `{name}`; there are {}", names.join(", "));
        return ExitCode::from(2);
    };
    match run(&arguments, name, about).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            clear();
            eprintln!("scenario {name}: {problem}");
            ExitCode::from(3)
        }
    }
}

/// Whether everything is as expected.
async fn run(arguments: &Arguments, name: &'static str, about: &'static str) -> Result<bool, String> {
    let terms = Terms {
        pointsman: stage::whole(&arguments.pointsman)?,
        tools: stage::whole(&arguments.tools)?,
        configurations: stage::whole(&arguments.configurations)?,
        rate: arguments.rate,
        seconds: arguments.seconds,
        quick: arguments.quick,
    };
    eprintln!("{name}: {about}");
    let report = match name {
        api_cluster::NAME => api_cluster::play(&terms).await?,
        oms_cluster::NAME => oms_cluster::play(&terms).await?,
        trade_partition::NAME => trade_partition::play(&terms).await?,
        _ => user_shards::play(&terms).await?,
    };
    for claim in &report.claims {
        let verdict = match (claim.fine, claim.timed) {
            (true, _) => "yes",
            (false, true) => "slower",
            (false, false) => "NO",
        };
        println!("{verdict:>6}  {}: expected {}, seen {}", claim.what, claim.expected, claim.told_of());
    }
    println!(
        "{} requests, {} failed, {} misrouted, {} ran twice, {} kills, p50 {} ms, p99 {} ms",
        report.requests, report.failed, report.misrouted, report.duplicated, report.kills, report.p50_ms, report.p99_ms
    );
    let page = report.write(&arguments.out)?;
    println!("{}  Report: {}", if report.fine { "As expected." } else { "NOT as expected." }, page.display());
    Ok(report.fine)
}
