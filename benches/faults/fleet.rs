//! The proxy and three nodes, each a process of its own; the nodes join through the registry.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

pub(crate) use pointsman_benches::process::{address, launch};
use pointsman_demo::harness::{Proxy, ProxyOptions};
use tempfile::TempDir;

use crate::Terms;
use crate::access::{self, Line, now_ms};

/// How many nodes.
pub(crate) const NODES: u64 = 3;
/// Milliseconds from one check to the next, at most.
pub(crate) const INTERVAL_MS: f64 = 100.0;
/// Milliseconds that a check may take.
pub(crate) const TIMEOUT_MS: f64 = 50.0;
/// Failed checks in a row that bring a node down.
pub(crate) const FALL: f64 = 2.0;
/// Passed checks in a row that bring it back.
pub(crate) const RISE: f64 = 2.0;

/// The configuration; marks as the harness fills them in.
pub(crate) const YAML: &str = r#"
listeners: [{ address: "@listen@" }]
admin: { address: "@admin@" }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  oms:
    policy: { use: customer-modulo, with: { slots: 3, on_missing: refuse, failover: next } }
    key: { header: x-customer-id }
    health: { http: /health, interval: 100ms, timeout: 50ms, fall: 2, rise: 2 }
  api:
    policy: round-robin
    health: { http: /health, interval: 100ms, timeout: 50ms, fall: 2, rise: 2 }
routes:
  - { match: { path: /orders }, service: oms }
  - { match: {}, service: api }
"#;

/// Long enough that no lease lapses while a node is dead: only health decides.
const TTL: &str = "60s";

/// The proxy with its nodes.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) proxy: Proxy,
    pub(crate) nodes: Vec<Node>,
    folder: TempDir,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    address: SocketAddr,
    arguments: Vec<String>,
    binary: PathBuf,
    child: Child,
}

/// When a node was killed, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Killed {
    /// Just before the signal.
    pub(crate) at: f64,
    /// Once the kernel had closed its sockets and the process was reaped.
    pub(crate) gone: f64,
}

/// When a node was started again, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Revived {
    /// Just before the process was started.
    pub(crate) started: f64,
    /// Once it said that it listens.
    pub(crate) listening: f64,
}

impl Fleet {
    /// Starts the proxy and its nodes, which join `service`, and waits until all of them are up.
    pub(crate) async fn start(terms: &Terms, service: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|problem| problem.to_string())?;
        let options = ProxyOptions::new(&terms.pointsman, YAML).arguments(&["--threads", "2"]);
        let proxy = Proxy::start_with(options).await.map_err(|problem| problem.to_string())?;
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            let journal = folder.path().join(format!("journal-{number}"));
            nodes.push(Node::start(&terms.tools, number, proxy.admin.address(), service, &journal)?);
        }
        for node in &nodes {
            proxy.admin.node_is(service, &node.id, "up").await.map_err(|problem| problem.to_string())?;
        }
        Ok(Self { proxy, nodes, folder })
    }

    /// Ids of every order that was executed, in no particular order, repeats included.
    pub(crate) fn executed(&self) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        for number in 1..=NODES {
            let path = self.folder.path().join(format!("journal-{number}"));
            let text = std::fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
            ids.extend(text.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned));
        }
        Ok(ids)
    }

    /// Ends the proxy, so that its log is written to the end, and reads that log.
    pub(crate) async fn end(&mut self) -> Result<Vec<Line>, String> {
        let problem = |problem: std::io::Error| problem.to_string();
        self.proxy.signal(libc::SIGTERM).map_err(problem)?;
        self.proxy.ended().await.map_err(problem)?;
        access::read(&self.proxy.folder().join("access.log"))
    }
}

impl Node {
    fn start(tools: &Path, number: u64, admin: SocketAddr, service: &str, journal: &Path) -> Result<Self, String> {
        let id = format!("oms-{number}");
        let address = address(number)?;
        let arguments = [
            ("--id", id.clone()),
            ("--ordinal", number.to_string()),
            ("--listen", address.to_string()),
            ("--join", format!("http://{admin}")),
            ("--service", service.to_owned()),
            ("--ttl", TTL.to_owned()),
            ("--journal", journal.display().to_string()),
        ];
        let arguments: Vec<String> = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let binary = tools.join("demo-node");
        let child = launch(&binary, &arguments, Stdio::null())?;
        Ok(Self { id, address, arguments, binary, child })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<Killed, String> {
        let at = now_ms();
        // `Child::kill` is SIGKILL on Unix.
        self.child.kill().and_then(|()| self.child.wait()).map_err(|problem| format!("{}: {problem}", self.id))?;
        Ok(Killed { at, gone: now_ms() })
    }

    /// Starts it again as it was, on the same address, and waits until it listens.
    pub(crate) fn revive(&mut self) -> Result<Revived, String> {
        let started = now_ms();
        self.child = launch(&self.binary, &self.arguments, Stdio::null())?;
        Ok(Revived { started, listening: now_ms() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets some time pass before kill `number`, so that kills fall at all phases of the checks: steps of 37 ms against an
/// interval of 100 ms meet each tenth of it once in ten kills. Nothing is waited for here.
pub(crate) async fn vary(number: usize) {
    tokio::time::sleep(Duration::from_millis(number as u64 * 37 % 100)).await;
}
