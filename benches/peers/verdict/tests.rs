use super::*;
use crate::contender::{Contender, Entrant};
use crate::idle::Idle;
use crate::machine::Machine;
use crate::open_loop::OpenLoop;
use crate::results::Terms;

use clap::ValueEnum;

fn round(number: usize, proxy: &str, cpu_us: f64) -> Round {
    Round {
        scenario: Scenario::Small,
        round: number,
        proxy: proxy.into(),
        rate: None,
        answered: 1,
        failed: 0,
        cpu_us,
        per_second: 1.0,
        p50_us: 1.0,
        p99_us: 1.0,
        late_p99_us: 0.0,
        nodes: 4,
        log_bytes: None,
    }
}

fn results(rounds: Vec<Round>) -> Results {
    let terms = Terms {
        command: String::new(),
        quick: false,
        connections: 1,
        nodes: 1,
        rounds: 1,
        seconds: 1,
        idle: Vec::new(),
        open_loop_pairs: 0,
        access_log: false,
        tuned: false,
    };
    let machine = Machine::look(std::path::Path::new("/nowhere"));
    let (idle, open_loop, verdicts, left_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Results { machine, envoy: None, terms, rounds, idle, open_loop, verdicts, left_out }
}

/// Rounds in which nginx and HAProxy cost 10 and 12 and ours costs what is said.
fn against_ten(ours: &[f64]) -> Results {
    let of_round = |(number, cpu): (usize, &f64)| {
        [round(number, "nginx", 10.0), round(number, "haproxy", 12.0), round(number, "ours", *cpu)]
    };
    results(ours.iter().enumerate().flat_map(of_round).collect())
}

fn cpu(results: &Results) -> Verdict {
    judge(results).verdicts.remove(0)
}

#[test]
fn ratios_pair_the_turns_of_one_round() {
    // The machine slows down by half in the second round: medians of each would not show that ours costs 1.5 in both.
    let all = [round(0, "nginx", 10.0), round(0, "ours", 15.0), round(1, "ours", 30.0), round(1, "nginx", 20.0)];
    assert_eq!(ratios(&all, Scenario::Small, Figure::Cpu, "ours", "nginx"), [1.5, 1.5]);
    assert_eq!(ratios(&all, Scenario::Post, Figure::Cpu, "ours", "nginx"), [0.0; 0]);
}

#[test]
fn a_round_without_its_yardstick_gives_no_ratio() {
    let all = [round(0, "ours", 15.0), round(1, "ours", 15.0), round(1, "nginx", 10.0)];
    assert_eq!(ratios(&all, Scenario::Small, Figure::Cpu, "ours", "nginx"), [1.5]);
}

#[test]
fn the_better_peer_counts() {
    let verdict = cpu(&against_ten(&[9.0; 7]));
    assert_eq!((verdict.against.as_str(), verdict.estimate.median, verdict.holds), ("nginx", 0.9, Holds::Yes));
}

#[test]
fn the_end_of_the_interval_decides_not_the_median() {
    // The median ratio is 0.93, below 0.95; resampling seven rounds of which two are far above reaches beyond it.
    let verdict = cpu(&against_ten(&[9.2, 9.2, 9.3, 9.3, 9.3, 11.0, 11.0]));
    assert_eq!((verdict.estimate.median, verdict.holds), (0.93, Holds::InTheMedian));
    assert!(verdict.estimate.high > 0.95);
    assert_eq!(cpu(&against_ten(&[9.6; 7])).holds, Holds::No);
}

#[test]
fn a_figure_that_must_not_be_lower_is_judged_by_its_lower_end() {
    let mut results = against_ten(&[9.0; 7]);
    for round in &mut results.rounds {
        round.per_second = if round.proxy == "ours" { 100.0 + round.round as f64 } else { 101.0 };
    }
    let judgement = judge(&results);
    let verdict = judgement.verdicts.iter().find(|verdict| verdict.line.contains("requests per second"));
    let verdict = verdict.expect("a verdict");
    assert_eq!(verdict.holds, Holds::Yes, "seven rounds from 100 to 106 have the second smallest at 101");
    results.rounds.iter_mut().filter(|round| round.proxy == "nginx").for_each(|round| round.per_second = 101.5);
    let verdict = judge(&results).verdicts.swap_remove(1);
    assert_eq!((verdict.sign, verdict.holds), ("≥", Holds::InTheMedian));
}

#[test]
fn few_rounds_and_failed_requests_prove_nothing() {
    assert_eq!(cpu(&against_ten(&[5.0; 4])).holds, Holds::TooFew);
    let mut results = against_ten(&[5.0; 7]);
    results.rounds[2].failed = 1;
    assert_eq!(cpu(&results).holds, Holds::Failed);
}

#[test]
fn an_open_loop_is_judged_by_its_own_rounds() {
    let mut results = against_ten(&[9.0; 7]);
    let mut rounds = results.rounds.clone();
    rounds.iter_mut().filter(|round| round.proxy == "ours").for_each(|round| round.p99_us = 1.2);
    results.open_loop.push(OpenLoop { scenario: Scenario::Small, peaks: Vec::new(), rate: 1.0, rounds });
    let judgement = judge(&results);
    let of = |word: &str| judgement.verdicts.iter().find(|verdict| verdict.line.contains(word)).expect("a verdict");
    assert_eq!((of("open loop").estimate.median, of("open loop").holds), (1.2, Holds::No));
    assert_eq!(of("delay: p99").holds, Holds::Yes);
}

#[test]
fn idle_memory_is_judged_at_every_number_of_connections() {
    let mut results = results(Vec::new());
    for (connections, kib_per_connection) in [(1000, 1.5), (9000, 2.5)] {
        let proxy = "ours".into();
        results.idle.push(Idle { scenario: Scenario::Small, proxy, connections, kib_per_connection });
    }
    let holds: Vec<Holds> = judge(&results).verdicts.iter().map(|verdict| verdict.holds).collect();
    assert_eq!(holds, [Holds::Yes, Holds::No]);
}

#[test]
fn what_was_not_measured_is_said() {
    let judgement = judge(&results(Vec::new()));
    assert!(judgement.verdicts.is_empty());
    assert_eq!(judgement.silent.len(), BOUNDS.len());
    let judgement = judge(&against_ten(&[9.0; 7]));
    assert!(judgement.silent.iter().any(|(line, _)| line.contains("Envoy")));
    assert!(!judgement.silent.iter().any(|(line, _)| line.contains("small reply")));
}

#[test]
fn demands_name_only_those_that_can_take_part() {
    let mut known: Vec<String> = Contender::value_variants().iter().map(Contender::to_string).collect();
    known.push(Entrant { contender: Contender::Ours, threads: 2 }.to_string());
    for bound in BOUNDS {
        for name in bound.against.iter().chain([&bound.of]) {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }
}
