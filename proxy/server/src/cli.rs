//! The command line: `pointsman run|check|nodes|policy|top|admin|upgrade`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::RunArgs;

pub mod admin;
pub mod check;
mod client;
pub mod nodes;
pub mod policy;
mod table;
pub mod top;
pub mod upgrade;

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
    /// Check a configuration and the policies that it names, as `run` would; listens on none of its addresses.
    Check(check::CheckArgs),
    /// Show nodes; drain, undrain or remove one.
    Nodes(nodes::NodesArgs),
    /// List policies, or upload a new version of one.
    Policy(policy::PolicyArgs),
    /// Watch services and nodes live.
    Top(top::TopArgs),
    /// Make a token for the admin API.
    Admin(admin::AdminArgs),
    /// Let a new process take over from the one that runs, without a connection lost.
    Upgrade(upgrade::UpgradeArgs),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Run(args) => crate::app::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Nodes(args) => nodes::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Top(args) => top::run(args),
        Command::Admin(args) => admin::run(&args),
        Command::Upgrade(args) => upgrade::run(args),
    }
}
