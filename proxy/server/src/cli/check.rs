//! `pointsman check`: everything that is wrong with a configuration, offline.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::exit;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pointsman check -c pointsman.yaml && systemctl reload pointsman")]
pub struct CheckArgs {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "pointsman.yaml")]
    config: PathBuf,
}

/// Says everything that is wrong, or what the file sets up.
pub fn run(args: &CheckArgs) -> ExitCode {
    match crate::reload::check(&args.config) {
        Ok(plan) => {
            let nodes: usize = plan.services.values().map(|s| s.nodes.len()).sum();
            println!(
                "{}: good: {} listener(s), whose addresses were not tried, {} route(s), {} service(s), {nodes} node(s) in the file",
                args.config.display(),
                plan.listeners.len(),
                plan.routes.len(),
                plan.services.len(),
            );
            ExitCode::from(exit::OK)
        }
        Err(problems) => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            eprintln!("{}", problems.render(colour).trim_end());
            ExitCode::from(exit::CONFIG)
        }
    }
}
