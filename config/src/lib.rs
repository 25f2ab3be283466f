//! The configuration: YAML text in, a checked [`plan::Plan`] out, or every problem at once.
//!
//! What was written passes three stations. `yaml` turns text into a tree that mirrors the file, each value with its
//! place (`raw`). `env` fills in `${VAR}`. `check` walks the tree, gathers every problem and builds the plan. A plan
//! that leaves this crate is whole: its names exist, its numbers are within bounds.

use std::path::Path;

use check::Checks;
use plan::Plan;

pub mod certificates;
mod check;
mod env;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod plan;
pub mod problem;
mod raw;
mod redact;
mod units;
mod yaml;

pub use problem::{Problem, Problems, Source};
pub use redact::redact;

/// Reads and checks a configuration file and the certificates that it names, with variables from the process's
/// environment.
///
/// `known_policies` are the names of the built-in policies. Relative paths in the file are joined to its folder.
/// Errors: every problem found; also a file that cannot be read, is not UTF-8 or is over 4 MiB.
pub fn load(path: &Path, known_policies: &[&str]) -> Result<Plan, Problems> {
    Source::read(path)?.check(&|name| std::env::var(name).ok(), known_policies)
}

/// Checks the text of a configuration. `file` is what problems name and what relative paths are joined to (its
/// folder); nothing is read from disk. `env` answers for `${VAR}`.
pub fn parse(
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    known_policies: &[&str],
) -> Result<Plan, Problems> {
    Source::new(file, text).check(env, known_policies)
}

impl Source {
    /// Checks this text; see [`parse`]. Where it was read from disk, the certificates that it names are read too. Keep the source where problems are found later (a policy that refuses its
    /// `with:`), so that [`Source::problem`] can draw the line.
    pub fn check(&self, env: &dyn Fn(&str) -> Option<String>, known_policies: &[&str]) -> Result<Plan, Problems> {
        let mut root = yaml::read(self).map_err(|problem| Problems::from(vec![problem]))?;
        let checks = Checks::new(self);
        env::fill(&mut root, env, &checks);
        let mut plan = check::plan(&root, &checks, known_policies);
        if self.is_on_disk() {
            check::files(&mut plan, &checks);
        }
        checks.finish().map(|()| plan)
    }
}
