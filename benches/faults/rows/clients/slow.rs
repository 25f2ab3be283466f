//! Clients that take their time: a thousand at once.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup};
use crate::rows::on_path;
use crate::seen::Seen;

/// What a connection may cost (the table: 64 KiB buffered each).
const EACH_KIB: f64 = 64.0;
const LIMITS: &str = "limits: { head_timeout: 3s, body_timeout: 3s, send_timeout: 3s, keep_alive: 3s }";

const SLOW: Cause<'static> = Cause {
    metric: "pointsman_refusals_total",
    labels: &["reason=\"client-slow\""],
    log: &["\"refused\":\"client-slow\""],
};

fn many(terms: &Terms) -> usize {
    if terms.quick { 200 } else { 1000 }
}

async fn rig(terms: &Terms, node: &Puppet) -> Result<Rig, String> {
    let also = "timeouts: { connect: 500ms, response: 10s, idle: 3s }";
    Setup::new().faulty(&[node], also).listener(LIMITS).start(terms).await
}

/// Opens that many connections, sends `first` on each, and looks until all are closed by the proxy or `patience` is over.
async fn attack(rig: &Rig, seen: &mut Seen, first: &[u8], count: usize, patience: Duration) -> Result<(), String> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().map_err(|problem| problem.to_string())?;
        // What the kernel takes on the client's behalf shall not hide that nobody reads.
        socket.set_recv_buffer_size(4096).map_err(|problem| problem.to_string())?;
        let mut stream: TcpStream = socket.connect(rig.proxy.addr()).await.map_err(|problem| problem.to_string())?;
        stream.write_all(first).await.map_err(|problem| problem.to_string())?;
        streams.push(stream);
    }
    let (began, before) = (Instant::now(), rig.held().rss_kib);
    let mut most: f64 = 0.0;
    rig.others(150).await;
    most = most.max(rig.holds()?.rss_kib);
    let all_there = rig.metrics().await?.sum("pointsman_connections", &[]);
    let mut gone = 0.0;
    while began.elapsed() < patience {
        most = most.max(rig.holds()?.rss_kib);
        gone = count as f64 - (rig.metrics().await?.sum("pointsman_connections", &[]) - 4.0).max(0.0);
        if gone >= count as f64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seen.at_most("KiB a connection", ((most - before) / count as f64).max(0.0), EACH_KIB);
    let took = began.elapsed().as_secs_f64();
    seen.claim(
        "all timed out by the proxy",
        gone >= count as f64,
        format!("{gone:.0} of {count} in {took:.0} s ({all_there:.0} at most)"),
    );
    seen.failed += count as u64;
    // Read now, so that what was sent before the end is known: 408 where a request was never whole.
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_millis(500), streams[0].read_buf(&mut said)).await;
    seen.note(format!(
        "the first one was told `{}`",
        String::from_utf8_lossy(&said).lines().next().unwrap_or("nothing")
    ));
    Ok(())
}

/// slowhttptest at 1,000 connections, where it is installed: is the service available to its probe all the time?
async fn outside(rig: &Rig, terms: &Terms, seen: &mut Seen, arguments: &[&str]) -> Result<(), String> {
    if !on_path("slowhttptest") {
        seen.note("slowhttptest is not installed");
        return Ok(());
    }
    let (count, seconds) = (many(terms).to_string(), if terms.quick { "5" } else { "20" });
    let url = format!("http://{}/fault/bytes/200000", rig.proxy.addr());
    let output = Command::new("slowhttptest")
        .args(["-c", &count, "-r", "500", "-l", seconds, "-p", "3", "-i", "1", "-u", &url])
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|problem| format!("slowhttptest: {problem}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("service available")).collect();
    let unavailable = lines.iter().filter(|line| line.contains("NO")).count();
    seen.claim(
        format!("slowhttptest {}: available", arguments[0]),
        !lines.is_empty() && unavailable == 0,
        format!("{} of {} probes", lines.len() - unavailable, lines.len()),
    );
    Ok(())
}

pub(super) async fn head(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    attack(&rig, &mut seen, b"GET /fault/x HTTP/1.1\r\nHost: a\r\nX-", many(terms), Duration::from_secs(30)).await?;
    seen.same("requests at the node", node.asked(), 0);
    outside(&rig, terms, &mut seen, &["-H"]).await?;
    rig.judge(&mut seen, &[&node], Vec::new(), &[SLOW]).await?;
    Ok(seen)
}

pub(super) async fn body(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let first = b"POST /fault/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx";
    attack(&rig, &mut seen, first, many(terms), Duration::from_secs(30)).await?;
    outside(&rig, terms, &mut seen, &["-B"]).await?;
    rig.judge(&mut seen, &[&node], Vec::new(), &[SLOW]).await?;
    Ok(seen)
}

pub(super) async fn reader(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = rig(terms, &node).await?;
    let first = b"GET /fault/bytes/8000000 HTTP/1.1\r\nHost: a\r\n\r\n";
    attack(&rig, &mut seen, first, many(terms), Duration::from_secs(30)).await?;
    outside(&rig, terms, &mut seen, &["-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-k", "3"]).await?;
    let cause = Cause {
        metric: "pointsman_requests_total",
        labels: &["service=\"fault\""],
        log: &["\"service\":\"fault\"", "\"error\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}
