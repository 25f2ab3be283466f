//! What a run leaves behind: raw.json and a page to read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Terms;
use crate::checks::Checks;
use crate::deaths::Deaths;
use crate::machine::{self, Machine};
use crate::orders::Orders;
use crate::soak::Soak;
use crate::swaps::Swaps;
use crate::table::Played;
use crate::verdict::Verdict;

/// Everything that was measured, as it is written to raw.json.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: serde_json::Value,
    #[serde(skip)]
    folder: String,
    terms: Terms,
    pub(crate) rows: Vec<Played>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) deaths: Option<Deaths>,
    pub(crate) swaps: Option<Swaps>,
    pub(crate) orders: Option<Orders>,
    pub(crate) checks: Option<Checks>,
    pub(crate) soak: Option<Soak>,
}

impl Results {
    /// Nothing measured yet, on this machine.
    pub(crate) fn new(terms: &Terms) -> Self {
        let machine = Machine::look(&terms.pointsman);
        let folder = machine::fresh_folder(Path::new(""), &machine).display().to_string();
        let mut machine = serde_json::to_value(machine).unwrap_or_default();
        if let Some(fields) = machine.as_object_mut() {
            fields.remove("nginx");
            fields.remove("haproxy");
        }
        Self {
            machine,
            folder,
            terms: terms.clone(),
            rows: Vec::new(),
            verdicts: Vec::new(),
            deaths: None,
            swaps: None,
            orders: None,
            checks: None,
            soak: None,
        }
    }

    /// Writes everything into `out`, or into a folder that is not there yet.
    pub(crate) fn write(&self, out: Option<&Path>, table: &str) -> Result<PathBuf, String> {
        let out = out.map_or_else(|| self.fresh(), Path::to_path_buf);
        let problem = |problem: std::io::Error| format!("{}: {problem}", out.display());
        std::fs::create_dir_all(&out).map_err(problem)?;
        let raw = serde_json::to_string_pretty(self).map_err(|problem| problem.to_string())?;
        std::fs::write(out.join("raw.json"), raw).map_err(problem)?;
        std::fs::write(out.join("README.md"), format!("{}\n{table}", self.head())).map_err(problem)?;
        Ok(out)
    }

    /// A run is kept as it was.
    fn fresh(&self) -> PathBuf {
        let runs = Path::new("benches/runs");
        let first = runs.join(format!("{}-faults", self.folder));
        let later = (2..1000).map(|number| runs.join(format!("{}-faults-{number}", self.folder)));
        std::iter::once(first.clone()).chain(later).find(|path| !path.exists()).unwrap_or(first)
    }

    fn head(&self) -> String {
        let of = |name: &str| match &self.machine[name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let Terms { connections, pause_ms, slack_ms, quick, .. } = &self.terms;
        let mut text = format!("# Faults under load, {}\n\n", of("date"));
        let _ = writeln!(
            text,
            "- machine: {}, {} cores, {} MiB, {}, {}",
            of("cpu"),
            of("cores"),
            of("memory_mib"),
            of("system"),
            of("kernel")
        );
        let _ = writeln!(text, "- ours: {} at commit {}, profile {}", of("ours"), of("commit"), of("profile"));
        let _ = writeln!(
            text,
            "- command: `make faults`{}; every figure is in raw.json",
            if *quick { " with `--quick`: to see that it works, not to quote" } else { "" }
        );
        if self.verdicts.is_empty() {
            return text;
        }
        let _ = writeln!(
            text,
            "- three `demo-node` processes joined through the registry, checked every 100 ms (timeout 50 ms, fall 2, rise 2); \
             the proxy with two workers; {connections} keep-alive connections, open loop; all on one machine"
        );
        let _ = writeln!(
            text,
            "- standings are asked for every 2 ms and may be seen late by that, an answer of the admin API and a turn of the \
             scheduler: {slack_ms:.0} ms are granted; attempts are read from the access log, whose stamps are whole milliseconds"
        );
        let _ = writeln!(text, "- swaps: a change every {pause_ms} ms, uploads and reloads in turn");
        text
    }
}
