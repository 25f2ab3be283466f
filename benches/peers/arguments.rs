//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::contender::{Contender, Entrant};
use crate::results::{Terms, command_line};
use crate::scenario::Scenario;

/// Nodes behind each proxy.
pub(crate) const NODES: usize = 4;

/// Runs the same work through nginx, HAProxy and this proxy, one worker each, and compares what it cost.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  make peers
  make peers ARGS='--scenario small,modulo --with nginx,haproxy,haproxy-lua,ours --rounds 9'
  make peers ARGS='--rounds 0 --open-loop-pairs 10'
  make peers ARGS='--ours target/debug/pointsman --quick'

The figure to read is CPU per request: it holds still when throughput, which shares the cores with the load generator and
the nodes, does not. Ratios are taken round by round, so that a machine that slows down slows both sides.")]
pub(crate) struct Arguments {
    /// Our binary
    #[arg(long, value_name = "PATH")]
    pub(crate) ours: PathBuf,
    /// Folder of demo-node and demo-load
    #[arg(long, value_name = "FOLDER")]
    pub(crate) tools: PathBuf,
    /// Envoy's binary (`make peers` fetches it when it is to take part)
    #[arg(long, value_name = "PATH", default_value = "envoy")]
    pub(crate) envoy: PathBuf,
    /// What to measure; several, with commas between
    #[arg(long = "scenario", value_enum, value_delimiter = ',', default_value = "small")]
    pub(crate) scenarios: Vec<Scenario>,
    /// Who takes part; several, with commas between
    #[arg(long = "with", value_enum, value_delimiter = ',', default_values = ["nginx", "haproxy", "ours"])]
    contenders: Vec<Contender>,
    /// Beside ours with one worker also ours with so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=64))]
    threads: Option<u16>,
    /// Rounds; in each, every proxy has its turn
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of one turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Keep-alive connections of the load generator, where the scenario does not say
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Idle connections beyond the first thousand at which memory is read; several, with commas between; 0 leaves that out
    #[arg(long, value_delimiter = ',', default_value = "1000", value_parser = clap::value_parser!(u16).range(..=60000))]
    idle: Vec<u16>,
    /// Paired runs of ours and nginx at 70% of the slower peer's peak rate; 0 leaves that out
    #[arg(long, value_name = "PAIRS", default_value_t = 0)]
    open_loop_pairs: usize,
    /// Everybody writes an access log
    #[arg(long)]
    access_log: bool,
    /// nginx gets larger buffers and HAProxy splices: for 10k and 1m, where their defaults are not their best
    #[arg(long)]
    tuned: bool,
    /// Two rounds of a second, two pairs, 100 idle connections: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Folder for the results (default: benches/runs/DATE-MACHINE)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}

impl Arguments {
    /// What is measured by, `--quick` taken into account.
    pub(crate) fn terms(&self) -> Terms {
        let few = if self.quick { 2 } else { usize::MAX };
        let most = if self.quick { 100 } else { usize::MAX };
        let mut idle: Vec<usize> = self.idle.iter().map(|count| most.min(usize::from(*count))).collect();
        idle.retain(|count| *count > 0);
        idle.sort_unstable();
        idle.dedup();
        Terms {
            command: command_line(std::env::args().skip(1)),
            quick: self.quick,
            connections: self.connections,
            nodes: NODES,
            rounds: self.rounds.min(few),
            seconds: if self.quick { 1 } else { self.seconds },
            idle,
            open_loop_pairs: self.open_loop_pairs.min(few),
            access_log: self.access_log,
            tuned: self.tuned,
        }
    }

    /// Who takes part in that scenario.
    pub(crate) fn entrants(&self, scenario: Scenario) -> Vec<Entrant> {
        let taking_part = self.contenders.iter().filter(|contender| contender.takes_part(scenario));
        let alone = taking_part.map(|contender| Entrant { contender: *contender, threads: 1 });
        alone.chain(self.threads.map(|threads| Entrant { contender: Contender::Ours, threads })).collect()
    }

    /// Whether that one was asked for.
    pub(crate) fn asks_for(&self, contender: Contender) -> bool {
        self.contenders.contains(&contender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::parse_from(["peers", "--ours", "o", "--tools", "t"].into_iter().chain(line.split_whitespace()))
    }

    fn names(arguments: &Arguments, scenario: Scenario) -> Vec<String> {
        arguments.entrants(scenario).iter().map(Entrant::to_string).collect()
    }

    #[test]
    fn lists_are_written_with_commas() {
        let arguments = parse("--scenario small,10k,1m,post,1000,modulo,fresh --idle 9000,0,1000,1000");
        let shown: Vec<String> = arguments.scenarios.iter().map(Scenario::to_string).collect();
        assert_eq!(shown, ["small", "10k", "1m", "post", "1000", "modulo", "fresh"]);
        assert_eq!(arguments.terms().idle, [1000, 9000]);
    }

    #[test]
    fn lua_takes_part_where_it_chooses_and_more_workers_come_last() {
        let arguments = parse("--with nginx,haproxy-lua,ours --threads 2");
        assert_eq!(names(&arguments, Scenario::Small), ["nginx", "ours", "ours-2"]);
        assert_eq!(names(&arguments, Scenario::Modulo), ["nginx", "haproxy-lua", "ours", "ours-2"]);
    }

    #[test]
    fn quick_only_ever_makes_less_of_it() {
        let terms = parse("--quick --rounds 9 --idle 50,1000 --open-loop-pairs 10").terms();
        assert_eq!((terms.rounds, terms.seconds, terms.idle, terms.open_loop_pairs), (2, 1, vec![50, 100], 2));
        let terms = parse("--quick --rounds 0").terms();
        assert_eq!((terms.rounds, terms.open_loop_pairs), (0, 0));
    }
}
