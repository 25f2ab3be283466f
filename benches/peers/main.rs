//! `peers`: the same work through nginx, HAProxy and this proxy, one worker each, in turn, and what it cost each of them.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

mod arguments;
mod bounds;
mod contender;
mod idle;
mod machine;
mod measure;
mod open_loop;
mod process;
mod results;
mod running;
mod scenario;
mod setup;
mod statistics;
mod summary;
mod verdict;

use arguments::{Arguments, NODES};
use contender::{Contender, Programs};
use measure::Load;
use results::Results;
use running::Running;
use scenario::Scenario;
use setup::Stage;

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
    let programs =
        Programs { ours: arguments.ours.clone(), envoy: arguments.envoy.clone(), tools: arguments.tools.clone() };
    let mut results = Results {
        machine: machine::Machine::look(&arguments.ours),
        envoy: arguments.asks_for(Contender::Envoy).then(|| envoy_version(&programs.envoy)),
        terms: arguments.terms(),
        rounds: Vec::new(),
        idle: Vec::new(),
        open_loop: Vec::new(),
        verdicts: Vec::new(),
        left_out: Vec::new(),
    };
    let out = results::folder(arguments.out.as_deref(), &results.machine);
    let mut report = String::new();
    for scenario in &arguments.scenarios {
        measure_scenario(arguments, *scenario, &programs, folder.path(), &mut results)?;
        // After each, so that a run that is broken off has not been for nothing.
        let judgement = verdict::judge(&results);
        report = summary::report(&results, &judgement);
        results.verdicts = judgement.verdicts;
        results.write(&out, &report)?;
    }
    println!("{report}\nKept in {}", out.display());
    Ok(())
}

fn measure_scenario(
    arguments: &Arguments,
    scenario: Scenario,
    programs: &Programs,
    folder: &Path,
    results: &mut Results,
) -> Result<(), String> {
    let terms = results.terms.clone();
    let nodes = running::start_nodes(&programs.tools, NODES, folder)?;
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let stage = Stage { scenario, nodes: &addresses, access_log: terms.access_log, tuned: terms.tuned };
    let mut running: Vec<Running> = Vec::new();
    for entrant in arguments.entrants(scenario) {
        match running::start_proxy(entrant, &stage, programs, folder) {
            Ok(started) => running.push(started),
            Err(problem) => results.left_out.push(format!("{scenario}: {entrant} is left out: {problem}")),
        }
    }
    // Idle connections are held by a client that does not speak TLS.
    for proxy in running.iter().filter(|proxy| proxy.ca.is_none()) {
        let (idle, problem) = idle::measure(proxy, scenario, &terms.idle);
        results.idle.extend(idle);
        results.left_out.extend(problem);
    }
    let load = Load {
        tools: &programs.tools,
        folder,
        scenario,
        connections: scenario.connections(terms.connections),
        seconds: terms.seconds,
        warm_up: scenario.warm_up() / if terms.quick { 10 } else { 1 },
    };
    closed_loop(&running, &load, results);
    if terms.open_loop_pairs > 0 {
        let open = open_loop::measure(&running, &load, terms.open_loop_pairs, &mut results.left_out);
        results.open_loop.extend(open);
    }
    Ok(())
}

fn closed_loop(running: &[Running], load: &Load<'_>, results: &mut Results) {
    let turns = running.len();
    for round in 0..results.terms.rounds {
        for turn in 0..turns {
            // Who begins changes with each round, so that no one always follows the same neighbour.
            let proxy = &running[(round + turn) % turns];
            match load.turn(proxy, round, None) {
                Ok(measured) => {
                    eprintln!(
                        "{} round {}: {:11} {:6.2} us/request {:8.0}/s  p99 {:.0} us  failed {}",
                        load.scenario,
                        round + 1,
                        measured.proxy,
                        measured.cpu_us,
                        measured.per_second,
                        measured.p99_us,
                        measured.failed
                    );
                    results.rounds.push(measured);
                }
                Err(problem) => {
                    eprintln!("{problem}");
                    results.left_out.push(problem);
                }
            }
        }
    }
}

/// `PATH  version: COMMIT/1.40.0/…` without the path.
fn envoy_version(envoy: &Path) -> String {
    let said = machine::said(envoy, &["--version"]);
    said.rsplit_once("version: ").map_or_else(|| said.clone(), |(_, version)| version.to_owned())
}
