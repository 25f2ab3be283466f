//! One turn of one proxy, and its memory for idle connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pointsman_demo::load::Report;

use crate::contender::Running;
use crate::scenario::Scenario;

/// Requests before the clock starts, so that pools are filled and code is warm.
const WARM_UP: &str = "5000";

/// What one turn cost.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Round {
    pub(crate) scenario: Scenario,
    pub(crate) round: usize,
    pub(crate) proxy: String,
    /// Requests answered whole.
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// CPU of the proxy's processes a request, user and system, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Nodes that answered.
    pub(crate) nodes: usize,
}

/// What idle keep-alive connections of clients hold.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Idle {
    pub(crate) scenario: Scenario,
    pub(crate) proxy: String,
    pub(crate) connections: usize,
    pub(crate) kib_per_connection: f64,
}

/// How the load generator is run.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) tools: &'a Path,
    pub(crate) seconds: u64,
    pub(crate) connections: usize,
}

/// Warms the proxy up, then measures one turn.
pub(crate) fn round(
    proxy: &Running,
    scenario: Scenario,
    round: usize,
    load: &Load<'_>,
    folder: &Path,
) -> Result<Round, String> {
    run_load(proxy, scenario, load, &["--requests", WARM_UP], folder)?;
    let before = proxy.process.cpu_seconds()?;
    let report = run_load(proxy, scenario, load, &["--duration", &format!("{}s", load.seconds)], folder)?;
    let used = proxy.process.cpu_seconds()? - before;
    let answered: u64 = report.statuses.values().sum();
    if answered == 0 {
        return Err(format!("{} answered nothing: {:?}", proxy.name, report.samples.first()));
    }
    Ok(Round {
        scenario,
        round,
        proxy: proxy.name.clone(),
        answered,
        failed: report.failed,
        cpu_us: used * 1e6 / answered as f64,
        per_second: report.per_second,
        p50_us: report.latency.p50,
        p99_us: report.latency.p99,
        nodes: report.nodes.len(),
    })
}

fn run_load(
    proxy: &Running,
    scenario: Scenario,
    load: &Load<'_>,
    end: &[&str],
    folder: &Path,
) -> Result<Report, String> {
    let out = folder.join("load.json");
    let status = Command::new(load.tools.join("demo-load"))
        .arg(format!("http://{}/", proxy.address))
        .args(["--connections", &load.connections.to_string()])
        .args(scenario.arguments())
        .args(end)
        .arg("--json")
        .arg(&out)
        // No progress line: the terminal belongs to the comparison.
        .stderr(std::process::Stdio::null())
        .status()
        .map_err(|problem| format!("demo-load: {problem}"))?;
    // 1 means that requests failed, which the report tells.
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(format!("demo-load ended with {status}"));
    }
    let text = std::fs::read_to_string(&out).map_err(|problem| format!("{}: {problem}", out.display()))?;
    serde_json::from_str(&text).map_err(|problem| format!("{}: {problem}", out.display()))
}

/// Opens connections one after the other, asks once on each, and reads what holding them costs.
pub(crate) fn idle(proxy: &Running, scenario: Scenario, connections: usize) -> Result<Idle, String> {
    let problem = |problem: std::io::Error| format!("{}: idle connections: {problem}", proxy.name);
    // The first few touch code and tables that all share.
    let warm: Vec<TcpStream> = (0..50).map(|_| asked(proxy.address)).collect::<Result<_, _>>().map_err(problem)?;
    let before = settled(proxy)?;
    let held: Vec<TcpStream> =
        (0..connections).map(|_| asked(proxy.address)).collect::<Result<_, _>>().map_err(problem)?;
    let after = settled(proxy)?;
    drop((warm, held));
    let kib_per_connection = (after as f64 - before as f64) / connections as f64;
    Ok(Idle { scenario, proxy: proxy.name.clone(), connections, kib_per_connection })
}

/// Memory after what was just answered has been put away.
fn settled(proxy: &Running) -> Result<u64, String> {
    std::thread::sleep(Duration::from_secs(1));
    proxy.process.pss_kib()
}

fn asked(to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\nx-customer-id: 1\r\n\r\n")?;
    // The reply is small and comes in one piece or a few; its length does not matter, its arrival does.
    let mut reply = [0; 4096];
    if stream.read(&mut reply)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(stream)
}
