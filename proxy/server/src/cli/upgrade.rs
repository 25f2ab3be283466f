//! `pointsman upgrade`: a new process takes over from the one that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use pointsman_config::plan::Registry;

use crate::app::upgrade::{Outcome, Request, ask};
use crate::exit;

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman upgrade -c pointsman.yaml                        the program at the same path as before, started anew
  pointsman upgrade -c pointsman.yaml --binary ./pointsman   another program
  kill -USR2 PID                                             as the first, without waiting for the outcome

The new process inherits every listening socket, proves the configuration, opens the registry and serves; then the one
before finishes what it holds, for the --grace it was started with. If the new one cannot serve, the one before serves on.
Must be run by the user as whom the proxy runs, or by root.")]
pub struct UpgradeArgs {
    /// The configuration of the proxy; its `registry` says where to ask.
    #[arg(short, long, value_name = "FILE", default_value = "pointsman.yaml")]
    config: PathBuf,
    /// The program to start; the one that the proxy was started as when absent.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Worker threads of the new process; as before when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
    /// Seconds that the new process may take until it serves.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// Runs the command.
pub fn run(args: UpgradeArgs) -> ExitCode {
    match upgrade(args) {
        Ok(said) => {
            println!("{said}");
            ExitCode::from(exit::OK)
        }
        Err((code, text)) => {
            eprintln!("{}", text.trim_end());
            ExitCode::from(code)
        }
    }
}

fn upgrade(args: UpgradeArgs) -> Result<String, (u8, String)> {
    let plan = pointsman_config::load(&args.config, pointsman_host::builtins())
        .map_err(|problems| (exit::CONFIG, problems.to_string()))?;
    let Registry::Embedded { path } = &plan.registry;
    // The proxy may run in another folder than this command.
    let binary = args.binary.map(std::path::absolute).transpose();
    let binary = binary.map_err(|error| (exit::USAGE, format!("error: --binary: {error}")))?;
    let request = Request { binary, threads: args.threads, timeout: Some(args.timeout) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.and_then(|runtime| runtime.block_on(ask(path, &request)));
    match asked {
        Ok(Outcome::Upgraded { pid, before, grace }) => {
            Ok(format!("process {pid} serves; process {before} finishes what it holds, in {grace} s at most"))
        }
        Ok(Outcome::Refused { why }) => Err((
            exit::FAILED,
            format!("error: the new process does not serve, the one before serves on: {}", why.trim_end()),
        )),
        Err(error) => Err((
            exit::FAILED,
            format!(
                "error: no proxy can be asked at {}/upgrade.sock: {error}\n  help: is `pointsman run` running with this \
                 configuration? Only its own user and root may ask",
                path.display()
            ),
        )),
    }
}
