//! `peers`: the same work through nginx, HAProxy and this proxy, one worker each, in turn, and what it cost each of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

mod contender;
mod machine;
mod measure;
mod process;
mod scenario;
mod summary;

use contender::{Contender, Running};
use measure::{Idle, Round};
use scenario::Scenario;

/// Nodes behind each proxy.
const NODES: usize = 4;

/// Runs the same work through nginx, HAProxy and this proxy, one worker each, and compares what it cost.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  make peers
  make peers ARGS='--scenario small --scenario modulo --rounds 9'
  make peers ARGS='--ours target/debug/pointsman --rounds 1 --seconds 2'

The figure to read is CPU per request: it holds still when throughput, which shares the cores with the load generator and
the nodes, does not. Ratios are taken round by round, so that a machine that slows down slows both sides.")]
struct Arguments {
    /// Our binary
    #[arg(long, value_name = "PATH")]
    ours: PathBuf,
    /// Folder of demo-node and demo-load
    #[arg(long, value_name = "FOLDER")]
    tools: PathBuf,
    /// What to measure; may be given several times
    #[arg(long = "scenario", value_enum, default_value = "small")]
    scenarios: Vec<Scenario>,
    /// Who takes part; may be given several times
    #[arg(long = "with", value_enum, default_values = ["nginx", "haproxy", "ours"])]
    contenders: Vec<Contender>,
    /// Rounds; in each, every proxy has its turn
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of one turn
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Keep-alive connections of the load generator
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Idle connections by which memory is measured; 0 leaves that out
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(..=5000))]
    idle: u16,
    /// Folder for the results (default: benches/runs/DATE-MACHINE)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Everything that was measured, as it is written to raw.json.
#[derive(Debug, serde::Serialize)]
struct Results {
    machine: machine::Machine,
    connections: usize,
    nodes: usize,
    seconds: u64,
    rounds: Vec<Round>,
    idle: Vec<Idle>,
    /// Who could not take part, and why.
    left_out: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("peers: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|problem| problem.to_string())?;
    let mut results = Results {
        machine: machine::Machine::look(&arguments.ours),
        connections: arguments.connections,
        nodes: NODES,
        seconds: arguments.seconds,
        rounds: Vec::new(),
        idle: Vec::new(),
        left_out: Vec::new(),
    };
    for scenario in &arguments.scenarios {
        measure_scenario(arguments, *scenario, folder.path(), &mut results)?;
    }
    let report = summary::report(&results);
    println!("{report}");
    let out = write(arguments, &results, &report)?;
    println!("Kept in {}", out.display());
    Ok(())
}

fn measure_scenario(
    arguments: &Arguments,
    scenario: Scenario,
    folder: &Path,
    results: &mut Results,
) -> Result<(), String> {
    let nodes = contender::start_nodes(&arguments.tools, NODES)?;
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let mut running: Vec<Running> = Vec::new();
    for contender in &arguments.contenders {
        match contender.start(scenario, &addresses, &arguments.ours, folder) {
            Ok(started) => running.push(started),
            Err(problem) => results.left_out.push(format!("{scenario}: {contender} is left out: {problem}")),
        }
    }
    if arguments.idle > 0 {
        for proxy in &running {
            results.idle.push(measure::idle(proxy, scenario, usize::from(arguments.idle))?);
        }
    }
    let turns = running.len();
    for round in 0..arguments.rounds {
        for turn in 0..turns {
            // Who begins changes with each round, so that no one always follows the same neighbour.
            let proxy = &running[(round + turn) % turns];
            let load = measure::Load {
                tools: &arguments.tools,
                seconds: arguments.seconds,
                connections: arguments.connections,
            };
            let measured = measure::round(proxy, scenario, round, &load, folder)?;
            eprintln!(
                "{scenario} round {}: {:8} {:6.2} us/request {:8.0}/s  p99 {:.0} us  failed {}",
                round + 1,
                measured.proxy,
                measured.cpu_us,
                measured.per_second,
                measured.p99_us,
                measured.failed
            );
            results.rounds.push(measured);
        }
    }
    Ok(())
}

fn write(arguments: &Arguments, results: &Results, report: &str) -> Result<PathBuf, String> {
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => machine::fresh_folder(Path::new("benches/runs"), &results.machine),
    };
    let problem = |problem: std::io::Error| format!("{}: {problem}", out.display());
    std::fs::create_dir_all(&out).map_err(problem)?;
    let raw = serde_json::to_string_pretty(results).map_err(|problem| problem.to_string())?;
    std::fs::write(out.join("raw.json"), raw).map_err(problem)?;
    std::fs::write(out.join("README.md"), format!("{}\n{report}", results.machine.describe())).map_err(problem)?;
    Ok(out)
}
