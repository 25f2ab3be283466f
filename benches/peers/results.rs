//! What a run leaves behind: raw.json and a page to read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::idle::Idle;
use crate::machine::Machine;
use crate::measure::Round;
use crate::open_loop::OpenLoop;
use crate::verdict::Verdict;

/// Everything that was measured, as it is written to raw.json.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// Its version, where it takes part.
    pub(crate) envoy: Option<String>,
    pub(crate) terms: Terms,
    pub(crate) rounds: Vec<Round>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) open_loop: Vec<OpenLoop>,
    pub(crate) verdicts: Vec<Verdict>,
    /// Who could not take part or was not measured, and why.
    pub(crate) left_out: Vec<String>,
}

/// How it was measured.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Terms {
    /// The command line, without where things are on this machine.
    pub(crate) command: String,
    /// Only to see that it works.
    pub(crate) quick: bool,
    /// Connections of scenarios that have no number of their own.
    pub(crate) connections: usize,
    pub(crate) nodes: usize,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    /// Numbers of idle connections beyond the first thousand at which memory is read, ascending.
    pub(crate) idle: Vec<usize>,
    pub(crate) open_loop_pairs: usize,
    pub(crate) access_log: bool,
    /// Whether nginx and HAProxy are set up for large replies.
    pub(crate) tuned: bool,
}

impl Results {
    /// Writes all of it into `out`, over what was there.
    pub(crate) fn write(&self, out: &Path, report: &str) -> Result<(), String> {
        let problem = |problem: std::io::Error| format!("{}: {problem}", out.display());
        std::fs::create_dir_all(out).map_err(problem)?;
        let raw = serde_json::to_string_pretty(self).map_err(|problem| problem.to_string())?;
        std::fs::write(out.join("raw.json"), raw).map_err(problem)?;
        std::fs::write(out.join("README.md"), format!("{}{report}", self.head())).map_err(problem)
    }

    fn head(&self) -> String {
        let mut text = self.machine.describe();
        if let Some(envoy) = &self.envoy {
            let _ = writeln!(text, "- Envoy: {envoy}");
        }
        let Terms { command, quick, .. } = &self.terms;
        let _ = writeln!(text, "- command: `{command}`; every figure is in raw.json");
        if *quick {
            text.push_str("- `--quick`: to see that it works, not to quote\n");
        }
        text
    }
}

/// `make peers` with the arguments that a reader on another machine would give.
pub(crate) fn command_line(arguments: impl Iterator<Item = String>) -> String {
    const PLACES: [&str; 4] = ["--ours", "--tools", "--envoy", "--out"];
    let mut shown = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if PLACES.contains(&&*argument) {
            arguments.next();
        } else if !PLACES.iter().any(|place| argument.starts_with(&format!("{place}="))) {
            shown.push(argument);
        }
    }
    if shown.is_empty() { "make peers".into() } else { format!("make peers ARGS='{}'", shown.join(" ")) }
}

/// The folder asked for, or one that is not there yet.
pub(crate) fn folder(asked: Option<&Path>, machine: &Machine) -> PathBuf {
    asked.map_or_else(|| crate::machine::fresh_folder(Path::new("benches/runs"), machine), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_no_place_of_this_machine() {
        let line = "--tools /t --scenario small,post --ours=/o --quick --envoy /e --out /x";
        let shown = command_line(line.split(' ').map(str::to_owned));
        assert_eq!(shown, "make peers ARGS='--scenario small,post --quick'");
        assert_eq!(command_line(std::iter::empty()), "make peers");
    }
}
