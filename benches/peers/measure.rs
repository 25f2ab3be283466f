//! One turn of one proxy.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};

use pointsman_demo::load::Report;

use crate::running::Running;
use crate::scenario::Scenario;

/// What one turn cost. Open loop: latencies count from when a request was due.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Round {
    pub(crate) scenario: Scenario,
    pub(crate) round: usize,
    pub(crate) proxy: String,
    /// Requests due each second; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<f64>,
    /// Requests answered whole.
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// CPU of the proxy's processes a request, user and system, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// How late the load generator itself was at the 99th percentile; 0 in a closed loop.
    pub(crate) late_p99_us: f64,
    /// Nodes that answered.
    pub(crate) nodes: usize,
    /// Bytes of access log a request; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_bytes: Option<f64>,
}

/// How the load generator is run.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) tools: &'a Path,
    /// For its report.
    pub(crate) folder: &'a Path,
    pub(crate) scenario: Scenario,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    /// Requests before the clock starts.
    pub(crate) warm_up: u64,
}

impl Load<'_> {
    /// Warms the proxy up, then measures one turn: closed loop, or so many requests due each second.
    pub(crate) fn turn(&self, proxy: &Running, round: usize, rate: Option<f64>) -> Result<Round, String> {
        let named = |problem| format!("{}: {}, round {}: {problem}", self.scenario, proxy.name, round + 1);
        self.turn_of(proxy, round, rate).map_err(named)
    }

    fn turn_of(&self, proxy: &Running, round: usize, rate: Option<f64>) -> Result<Round, String> {
        self.run(proxy, &["--requests".into(), self.warm_up.to_string()])?;
        take_log(proxy)?;
        let mut arguments = vec!["--duration".into(), format!("{}s", self.seconds)];
        if let Some(rate) = rate {
            arguments.extend(["--rate".into(), rate.to_string()]);
        }
        let before = proxy.process.cpu_seconds()?;
        let report = self.run(proxy, &arguments)?;
        let used = proxy.process.cpu_seconds()? - before;
        let answered: u64 = report.statuses.values().sum();
        if answered == 0 {
            return Err(format!("nothing was answered: {:?}", report.samples.first()));
        }
        let log = take_log(proxy)?;
        if log == Some(0) {
            return Err("it wrote no access log".into());
        }
        Ok(Round {
            scenario: self.scenario,
            round,
            proxy: proxy.name.clone(),
            rate,
            answered,
            failed: report.failed,
            cpu_us: used * 1e6 / answered as f64,
            per_second: report.per_second,
            p50_us: report.latency.p50,
            p99_us: report.latency.p99,
            late_p99_us: report.lateness.p99,
            nodes: report.nodes.len(),
            log_bytes: log.map(|bytes| bytes as f64 / answered as f64),
        })
    }

    fn run(&self, proxy: &Running, arguments: &[String]) -> Result<Report, String> {
        let out = self.folder.join("load.json");
        let mut load = Command::new(self.tools.join("demo-load"));
        match &proxy.ca {
            Some(ca) => load.arg(format!("https://{}/", proxy.address)).arg("--ca").arg(ca),
            None => load.arg(format!("http://{}/", proxy.address)),
        };
        let status = load
            .args(["--connections", &self.connections.to_string()])
            .args(self.scenario.arguments())
            .args(arguments)
            .arg("--json")
            .arg(&out)
            // No progress line: the terminal belongs to the comparison.
            .stderr(Stdio::null())
            .status()
            .map_err(|problem| format!("demo-load: {problem}"))?;
        // 1 means that requests failed, which the report tells.
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(format!("demo-load ended with {status}"));
        }
        let text = std::fs::read_to_string(&out).map_err(|problem| format!("{}: {problem}", out.display()))?;
        serde_json::from_str(&text).map_err(|problem| format!("{}: {problem}", out.display()))
    }
}

/// Bytes that the access log has grown to. It is emptied, or a long measurement would fill the disk; all that take part
/// append to theirs.
fn take_log(proxy: &Running) -> Result<Option<u64>, String> {
    let Some(path) = &proxy.access_log else { return Ok(None) };
    let problem = |problem: std::io::Error| format!("{}: {problem}", path.display());
    let log = OpenOptions::new().write(true).open(path).map_err(problem)?;
    let bytes = log.metadata().map_err(problem)?.len();
    log.set_len(0).map_err(problem)?;
    Ok(Some(bytes))
}
