//! The command line: `pointsman run|check|nodes|policy|top`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod check;
mod client;
pub mod nodes;
pub mod policy;
mod table;
pub mod top;

/// Exit codes, documented in README.md.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// Something failed while running.
    pub const FAILED: u8 = 1;
    /// The command line is wrong (clap's own code).
    pub const USAGE: u8 = 2;
    /// The configuration or a policy is wrong; every problem was shown.
    pub const CONFIG: u8 = 3;
    /// An address could not be listened on.
    pub const ADDRESS: u8 = 4;
}

const EXAMPLES: &str = "\
Examples:
  pointsman run -c pointsman.yaml              serve
  pointsman check -c pointsman.yaml            say everything that is wrong with a file, change nothing
  pointsman nodes -c pointsman.yaml            who may serve, and why not
  pointsman policy upload vip-first vip.wasm   swap a policy while traffic flows

Exit codes: 0 well, 1 failed while running, 2 wrong command line, 3 wrong configuration, 4 address not to be had.";

/// An L7 routing proxy and load balancer whose routing policies are WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: accept requests and route them.
    Run(RunArgs),
    /// Check a configuration and the policies that it names, as `run` would, without serving.
    Check(check::CheckArgs),
    /// Show nodes; drain, undrain or remove one.
    Nodes(nodes::NodesArgs),
    /// List policies, or upload a new version of one.
    Policy(policy::PolicyArgs),
    /// Watch services and nodes live.
    Top(top::TopArgs),
}

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman run -c pointsman.yaml
  pointsman run -c pointsman.yaml --threads 4

Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT finish what runs and stop.")]
pub struct RunArgs {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "pointsman.yaml")]
    pub config: PathBuf,
    /// Worker threads; one a core when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Seconds that requests under way may take after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace: u64,
    /// Write the addresses in use, as JSON, to this file once every listener accepts (for port 0).
    #[arg(long, value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Run(args) => {
            init_log();
            crate::app::run(&args)
        }
        Command::Check(args) => check::run(&args),
        Command::Nodes(args) => nodes::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Top(args) => top::run(args),
    }
}

/// Messages go to standard error: `level target: message`, quiet below `info` unless `POINTSMAN_LOG` says otherwise.
fn init_log() {
    let env = env_logger::Env::new().filter_or("POINTSMAN_LOG", "info,pingora_core=error,pingora_proxy=off");
    env_logger::Builder::from_env(env).format_timestamp_millis().init();
}
