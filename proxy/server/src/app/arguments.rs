//! What `pointsman run` is told.

use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  pointsman run -c pointsman.yaml
  pointsman run -c pointsman.yaml --threads 4

Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT finish what runs and stop (a second one cuts it),
SIGUSR2 lets a new process take over (pointsman upgrade --help).")]
pub struct RunArgs {
    /// The configuration.
    #[arg(short, long, value_name = "FILE", default_value = "pointsman.yaml")]
    pub config: PathBuf,
    /// Worker threads; one a core when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Seconds after SIGTERM in which /readyz is red and all else goes on, so that a load balancer in front sees it.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub notice: u64,
    /// Seconds that requests under way may take then, and those of a process that another has taken over from.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace: u64,
    /// Write the addresses in use, as JSON, to this file once every listener accepts (for port 0).
    #[arg(long, value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
}

impl RunArgs {
    /// The same as a command line, the name of the program apart.
    pub(super) fn again(&self) -> Vec<OsString> {
        let Self { config, threads, notice, grace, ports_file } = self;
        let mut line: Vec<OsString> = vec!["run".into(), "--config".into(), config.into()];
        for (name, value) in [("--notice", notice), ("--grace", grace)] {
            line.extend([name.into(), value.to_string().into()]);
        }
        if let Some(threads) = threads {
            line.extend(["--threads".into(), threads.to_string().into()]);
        }
        if let Some(file) = ports_file {
            line.extend(["--ports-file".into(), file.into()]);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    #[test]
    fn the_same_arguments_come_back() {
        let some = "run -c a.yaml --threads 3 --notice 4 --grace 5 --ports-file p.json";
        for line in [some, "run"] {
            let args = Line::try_parse_from(line.split(' ')).expect("a line").args;
            let again = Line::try_parse_from(args.again()).expect("a line").args;
            assert_eq!(format!("{args:?}"), format!("{again:?}"));
        }
    }
}
