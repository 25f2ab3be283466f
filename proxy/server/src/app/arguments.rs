//! What `pointsman run` is told.

use std::path::PathBuf;

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
