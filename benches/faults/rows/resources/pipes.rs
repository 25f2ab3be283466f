//! A log that nobody reads, and names that are never the same twice.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Terms;
use crate::rig::{Cause, Puppet, Setup};
use crate::rows::running;
use crate::seen::Seen;

pub(super) async fn full(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let problem = |problem: std::io::Error| problem.to_string();
    let folder = tempfile::tempdir().map_err(problem)?;
    let (fifo, script) = (folder.path().join("log"), folder.path().join("proxy"));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().map_err(problem)?;
    if !made.success() {
        return Err("mkfifo failed".into());
    }
    // Both ends are ours, so that nobody waits for a reader; nothing is ever read.
    let mut pipe = OpenOptions::new().read(true).write(true).open(&fifo).map_err(problem)?;
    let text = format!("#!/bin/sh\nexec \"{}\" \"$@\" > \"{}\"\n", terms.pointsman.display(), fifo.display());
    std::fs::write(&script, text).map_err(problem)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).map_err(problem)?;
    let node = Puppet::start("fault-1").await?;
    let mut rig = Setup::new().wrapped_by(script).access_log("stdout").faulty(&[&node], "").start(terms).await?;
    // The pipe takes 64 KiB, and each worker keeps 8 MiB: these are 30 MiB at least.
    let path = format!("/fault/{}", "x".repeat(1000));
    let report = running(rig.load("GET", &path, 16).requests(30_000))?.finish().await;
    seen.same(format!("failed of {}", report.requests), report.failed, 0);
    let dropped = rig.moved("pointsman_access_log_dropped_total", &[]).await?;
    seen.claim("lines dropped are counted", dropped > 0.0, dropped);
    seen.note(format!("p99 {:.1} ms, at most {:.1} ms", report.latency.p99 / 1e3, report.latency.max / 1e3));
    seen.failed = report.failed;
    rig.hush(&mut seen).await;
    // The fault is over: somebody reads again. The thread ends with this program.
    std::thread::spawn(move || std::io::copy(&mut pipe, &mut std::io::sink()));
    let cause = Cause {
        metric: "pointsman_access_log_dropped_total",
        labels: &[],
        log: &["the access log", "lines are dropped"],
    };
    let over = Cause { metric: "", labels: &[], log: &["the access log", "lines in all were dropped"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause, over]).await?;
    Ok(seen)
}

pub(super) async fn distinct(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&node], "").start(terms).await?;
    // Each kind of answer has its series from the start.
    asked(rig.proxy.addr(), 0..10).await?;
    let before = rig.metrics().await?.series();
    let each = if terms.quick { 2_500 } else { 25_000 };
    let senders =
        (0..4_u64).map(|sender| tokio::spawn(asked(rig.proxy.addr(), sender * each + 10..(sender + 1) * each + 10)));
    let mut answered = 0;
    for sender in senders.collect::<Vec<_>>() {
        answered += sender.await.map_err(|problem| problem.to_string())??;
    }
    let after = rig.metrics().await?.series();
    seen.same("requests answered", answered, each * 4);
    seen.at_most("further series", after.saturating_sub(before) as f64, 16.0);
    seen.note(format!("{after} series in all"));
    let cause =
        Cause { metric: "pointsman_requests_total", labels: &["service=\"fault\""], log: &["\"service\":\"fault\""] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// Asks for each number with a path, a host and a method of its own; how many were answered.
async fn asked(to: SocketAddr, numbers: std::ops::Range<u64>) -> Result<u64, String> {
    let problem = |problem: std::io::Error| problem.to_string();
    let (mut answered, mut stream) = (0, None);
    for number in numbers {
        let mut open: TcpStream = match stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(to).await.map_err(problem)?,
        };
        let text = format!("M{number} /fault/{number} HTTP/1.1\r\nHost: h{number}.example\r\n\r\n");
        open.write_all(text.as_bytes()).await.map_err(problem)?;
        let mut answer = Vec::new();
        // The node's two bytes, or a refusal's JSON, end the answer; what closes the connection ends it, too.
        while !answer.ends_with(b"xx") && !answer.ends_with(b"}") {
            if open.read_buf(&mut answer).await.map_err(problem)? == 0 {
                break;
            }
        }
        answered += u64::from(answer.starts_with(b"HTTP/1.1 "));
        if !String::from_utf8_lossy(&answer).to_lowercase().contains("connection: close") {
            stream = Some(open);
        }
    }
    Ok(answered)
}
