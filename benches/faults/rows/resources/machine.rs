//! Descriptors, ports and memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup, until};
use crate::seen::Seen;

/// Sets the soft bound of a running process; the hard one stays, so that it can be raised again.
fn limit(pid: u32, nofile: usize) -> Result<(), String> {
    let output = Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={nofile}:")]).output();
    let output = output.map_err(|problem| format!("prlimit: {problem}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

pub(super) async fn descriptors(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&node], "").start(terms).await?;
    let pid = rig.proxy.pid().ok_or("the proxy has ended")?;
    rig.others(50).await;
    // The load on the other route keeps what it has: the next 64 take the rest, and 200 more find nothing.
    limit(pid, rig.holds()?.descriptors + 64)?;
    let mut held = Vec::new();
    for _ in 0..264 {
        if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(rig.proxy.addr())).await
        {
            held.push(stream);
        }
    }
    rig.others(20).await;
    let before = rig.holds()?.ticks;
    rig.others(200).await;
    let cores = (rig.holds()?.ticks - before) as f64 / 200.0;
    seen.at_most("cores while nothing can be accepted", cores, 0.7);
    for path in ["/livez", "/readyz", "/metrics"] {
        let status =
            rig.proxy.admin.send(Request::get(path).patience(Duration::from_secs(3))).await.map_or(0, |a| a.status);
        seen.same(format!("{path} meanwhile"), status, 200);
    }
    let mut closed = 0;
    for stream in &held {
        closed += u64::from(matches!(stream.try_read(&mut [0; 1]), Ok(0)));
    }
    seen.note(format!("{} connections held, {closed} of them shed", held.len()));
    seen.failed = held.len() as u64;
    drop(held);
    let back = until(Duration::from_secs(20), || async { rig.ask("GET", "/fault/x").await.status() == 200 }).await;
    seen.claim("recovers", back, if back { "yes" } else { "no" });
    limit(pid, 4096)?;
    let cause =
        Cause { metric: "pointsman_connections_refused_total", labels: &["reason=\"descriptors\""], log: &["accept"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

pub(super) async fn ports(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    // Without SO_REUSEPORT, as any other server would hold it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").map_err(|problem| problem.to_string())?;
    let taken = (taken.local_addr().map_err(|problem| problem.to_string())?, taken);
    let yaml = format!(
        "listeners: [{{ address: \"@listen@\" }}, {{ address: \"{}\" }}]\nadmin: {{ address: \"@admin@\" }}\naccess_log: off\n\
         services: {{ fault: {{ nodes: [{{ id: a, address: \"{}\" }}] }} }}\nroutes: [{{ match: {{}}, service: fault }}]\n",
        taken.0, node.address
    );
    let end = Proxy::start(&terms.pointsman, &yaml).await;
    let said = end.err().map(|problem| problem.to_string()).unwrap_or_default();
    let told = said.contains("exit status: 4") && said.contains(&taken.0.port().to_string());
    seen.claim("at start: exit code 4, and which address", told, said.lines().next().unwrap_or("it started"));
    seen.same("requests served before", node.asked(), 0);
    let rig = Setup::new().faulty(&[&node], "").start(terms).await?;
    let more = format!("listeners:\n  - {{ address: \"{}\" }}", taken.0);
    rig.proxy.write_config(&rig.yaml().replacen("listeners:", &more, 1)).map_err(|problem| problem.to_string())?;
    let outcome = rig.proxy.admin.reload().await.map_err(|problem| problem.to_string())?;
    seen.same("at reload", outcome["outcome"].as_str().unwrap_or_default(), "refused");
    seen.same("the old one serves", rig.ask("GET", "/fault/x").await.status(), 200);
    let cause = Cause { metric: "pointsman_reloads_total", labels: &["outcome=\"refused\""], log: &["reload-refused"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// A cgroup of our own, of version 1 or 2. Dropping it removes it once it is empty.
struct Cgroup(PathBuf, &'static str);

impl Cgroup {
    fn make() -> Result<Self, String> {
        let one = Path::new("/sys/fs/cgroup/memory");
        let (root, file) = if one.join("memory.limit_in_bytes").exists() {
            (one, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let folder = root.join(format!("pointsman-faults-{}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|problem| format!("{}: {problem}", folder.display()))?;
        Ok(Self(folder, file))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.0.join(file), text).map_err(|problem| format!("{}/{file}: {problem}", self.0.display()))
    }

    fn hold(&self, pid: u32, bytes: u64) -> Result<(), String> {
        self.write(self.1, &bytes.to_string())?;
        self.write("cgroup.procs", &pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Heads that never end, one a connection: the cheapest way for a client to take memory.
async fn crowd(rig: &Rig, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    let piece = format!("GET /fault/x HTTP/1.1\r\nHost: a\r\nX-A: {}", "y".repeat(60_000));
    for _ in 0..count {
        let connected = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(rig.proxy.addr())).await;
        let Ok(Ok(mut stream)) = connected else { continue };
        let _ = tokio::time::timeout(Duration::from_secs(2), stream.write_all(piece.as_bytes())).await;
        held.push(stream);
    }
    held
}

pub(super) async fn memory(terms: &Terms) -> Result<Seen, String> {
    const ROOM: u64 = 48 << 20;
    let mut seen = Seen::default();
    let cgroup = Cgroup::make()?;
    let node = Puppet::start("fault-1").await?;
    let mut rig = Setup::new().listener("limits: { head_timeout: 30s }").faulty(&[&node], "").start(terms).await?;
    let pid = rig.proxy.pid().ok_or("the proxy has ended")?;
    // What it held before it was moved here is not counted: the room is for what comes.
    cgroup.hold(pid, ROOM)?;
    let held = crowd(&rig, 1500).await;
    let lives = rig.proxy.admin.get("/livez").await.is_ok_and(|answer| answer.status == 200);
    seen.claim("not killed", lives, if lives { "it lives" } else { "the kernel killed it" });
    seen.failed = held.len() as u64;
    if !lives {
        rig.hush(&mut seen).await;
        return Ok(seen);
    }
    let turned_away = rig.ask("GET", "/fault/x").await;
    seen.same("an honest client while it sheds", turned_away.status(), 503);
    let when = turned_away.answer.ok().and_then(|answer| answer.header("retry-after").map(str::to_owned));
    seen.claim("it is told when to come again", when.is_some(), when.unwrap_or_default());
    drop(held);
    // The limit stays: what was taken has to be given back.
    let back = until(Duration::from_secs(20), || async { rig.ask("GET", "/fault/x").await.status() == 200 }).await;
    seen.claim("recovers", back, if back { "yes" } else { "no" });
    cgroup.hold(pid, 4 << 30)?;
    let begins = "new connections are turned away";
    let cause = Cause {
        metric: "pointsman_connections_refused_total",
        labels: &["reason=\"memory\""],
        log: &["memory:", begins],
    };
    let ends = Cause { metric: "", labels: &[], log: &["memory:", "there is room again"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause, ends]).await?;
    Ok(seen)
}
