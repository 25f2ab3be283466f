//! Nodes that die, freeze, or were never there.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Terms;
use crate::rig::{Cause, Manner, Process, Puppet, Rig, Setup, until};
use crate::rows::running;
use crate::seen::Seen;

/// As the other measurements check: every 100 ms, out after two that failed.
const CHECKS: &str = "health: { http: /health, interval: 100ms, timeout: 50ms, fall: 2, rise: 2 }";

/// Three nodes, each a process of its own, in a folder that holds their journals.
fn three() -> Result<(tempfile::TempDir, Vec<Process>), String> {
    let folder = tempfile::tempdir().map_err(|problem| problem.to_string())?;
    let nodes = (1..=3).map(|number| Process::start(&format!("fault-{number}"), number, folder.path()));
    let nodes = nodes.collect::<Result<_, _>>()?;
    Ok((folder, nodes))
}

fn behind(nodes: &[Process], also: &str) -> Setup {
    let named: Vec<_> = nodes.iter().map(|node| (node.id.as_str(), node.address)).collect();
    Setup::new().service("fault", &named, also)
}

fn noted(nodes: &[Process]) -> Result<Vec<Vec<crate::rig::puppet::Entry>>, String> {
    nodes.iter().map(Process::noted).collect()
}

pub(super) async fn killed(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let (_folder, mut nodes) = three()?;
    let rig = behind(&nodes, CHECKS).start(terms).await?;
    for node in &nodes {
        rig.up(&node.id).await?;
    }
    let (mut gets, mut posts, mut bad) = (0, 0, 0);
    let mut asked = 0;
    for victim in 0..terms.times(5).min(5) {
        let get = running(rig.load("GET", "/fault/slow/30", 40))?;
        let post = running(rig.load("POST", "/fault/slow/30", 40))?;
        get.further(400).await;
        let at = victim % 3;
        nodes[at].kill()?;
        get.further(400).await;
        let (get, post) = (get.stop_and_finish().await, post.stop_and_finish().await);
        gets += get.failed;
        posts += post.failed;
        asked += get.requests + post.requests;
        bad += post.failed - post.statuses.get(&502).copied().unwrap_or(0);
        seen.claim(format!("kill {}: POSTs 502 ≤ 40 in flight", victim + 1), post.failed <= 40, post.failed);
        nodes[at].revive()?;
        rig.down_and_up(&nodes[at].id).await?;
    }
    seen.same("GETs failed", gets, 0);
    seen.same("POSTs failed otherwise than by 502", bad, 0);
    seen.note(format!("{asked} requests"));
    seen.failed = gets + posts;
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"reset\"", "service=\"fault\""],
        log: &["\"refused\":\"reset\"", "\"service\":\"fault\""],
    };
    let journals = noted(&nodes)?;
    rig.judge(&mut seen, &[], journals, &[cause]).await?;
    Ok(seen)
}

pub(super) async fn mid_body(terms: &Terms) -> Result<Seen, String> {
    const WHOLE: usize = 64 << 20;
    let mut seen = Seen::default();
    let (_folder, mut nodes) = three()?;
    let chunked = Puppet::start("chunked-1").await?;
    let rig = behind(&nodes[..1], "")
        .service("chunked", &[("chunked-1", chunked.address)], "")
        .listener("http2: on")
        .start(terms)
        .await?;
    let mut stream = open(&rig, &format!("/fault/bytes/{WHOLE}")).await?;
    let mut start = vec![0; 1 << 20];
    stream.read_exact(&mut start).await.map_err(|problem| problem.to_string())?;
    let over_http2 = tokio::spawn(crate::rows::http2::body_of(rig.proxy.addr(), format!("/fault/bytes/{WHOLE}")));
    // Both answers are under way: the node has sent, and the clients hold back.
    rig.in_flight("fault", 2.0).await?;
    nodes[0].kill()?;
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest).await;
    seen.claim(
        "length: fewer bytes than said, then the end",
        start.len() + rest.len() < WHOLE,
        format!("{} of {WHOLE}, {end:?}", start.len() + rest.len()),
    );
    let error = over_http2.await.map_err(|problem| problem.to_string())?;
    seen.claim(
        "h2: RST_STREAM",
        error.as_ref().is_err_and(|why| why.contains("reset") || why.contains("stream")),
        format!("{error:?}"),
    );
    chunked.behave(Manner::Unfinished);
    let mut stream = open(&rig, "/chunked/x").await?;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    let text = String::from_utf8_lossy(&all).into_owned();
    seen.claim("chunked: no last chunk", text.contains("hello") && !text.contains("0\r\n\r\n"), "none");
    seen.failed = 3;
    let cause = Cause {
        metric: "pointsman_requests_total",
        labels: &["service=\"fault\""],
        log: &["\"service\":\"fault\"", "\"error\""],
    };
    let mut journals = noted(&nodes[..1])?;
    journals.push(chunked.journal());
    rig.judge(&mut seen, &[], journals, &[cause]).await?;
    Ok(seen)
}

async fn open(rig: &Rig, path: &str) -> Result<TcpStream, String> {
    let problem = |problem: std::io::Error| problem.to_string();
    let mut stream = TcpStream::connect(rig.proxy.addr()).await.map_err(problem)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.map_err(problem)?;
    Ok(stream)
}

pub(super) async fn frozen(terms: &Terms) -> Result<Seen, String> {
    const RATE: f64 = 200.0;
    let mut seen = Seen::default();
    let (_folder, nodes) = three()?;
    let also = format!("{CHECKS}\ntimeouts: {{ connect: 500ms, response: 1s, idle: 1s }}");
    let rig = behind(&nodes, &also).start(terms).await?;
    for node in &nodes {
        rig.up(&node.id).await?;
    }
    let load = running(rig.load("GET", "/fault/x", 64).rate(RATE))?;
    load.further(100).await;
    nodes[1].freeze()?;
    let began = std::time::Instant::now();
    rig.standing("fault-2", "down").await?;
    let down = began.elapsed();
    load.further(40).await;
    let during = load.stop_and_finish().await;
    // Every third request was for it until it was down, and a few more were under way.
    let bound = (RATE * down.as_secs_f64() / 3.0).ceil() + 3.0;
    seen.at_most("affected", during.failed as f64, bound);
    let after = running(rig.load("GET", "/fault/x", 8).rate(RATE).requests(200))?.finish().await;
    seen.same("failed once it was down", after.failed, 0);
    seen.note(format!("down after {} ms", down.as_millis()));
    nodes[1].thaw()?;
    rig.standing("fault-2", "up").await?;
    seen.failed = during.failed;
    let cause = Cause {
        metric: "pointsman_health_transitions_total",
        labels: &["node=\"fault-2\"", "to=\"down\""],
        log: &["fault-2", "down"],
    };
    let journals = noted(&nodes)?;
    rig.judge(&mut seen, &[], journals, &[cause]).await?;
    Ok(seen)
}

pub(super) async fn refused(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let (one, two) = (Puppet::start("fault-1").await?, Puppet::start("fault-2").await?);
    let rig = Setup::new().faulty(&[&one, &two], CHECKS).start(terms).await?;
    rig.up("fault-1").await?;
    rig.up("fault-2").await?;
    let quiet = running(rig.load("GET", "/fault/x", 1).requests(100))?.finish().await;
    let address = two.address;
    drop(two);
    // Until its task has ended, connections are taken and cut, which is another fault.
    if !until(Duration::from_secs(5), || async { TcpStream::connect(address).await.is_err() }).await {
        return Err("the listener does not close".into());
    }
    let checked = std::time::Instant::now();
    let (mut slowest, mut failed) = (Duration::ZERO, 0);
    for method in ["POST", "GET", "PUT", "PATCH", "DELETE"].iter().cycle().take(20) {
        let reply = rig.ask(method, "/fault/x").await;
        failed += u64::from(reply.status() != 200);
        slowest = slowest.max(reply.took);
    }
    rig.standing("fault-2", "down").await?;
    seen.same("requests failed", failed, 0);
    seen.claim(
        "down within 2 checks",
        checked.elapsed() < Duration::from_millis(1000),
        format!("{} ms", checked.elapsed().as_millis()),
    );
    seen.note(format!("slowest {:.1} ms, p99 before {:.1} ms", slowest.as_secs_f64() * 1e3, quiet.latency.p99 / 1e3));
    seen.failed = failed;
    let causes = [
        Cause {
            metric: "pointsman_retries_total",
            labels: &["service=\"fault\"", "reason=\"connect\""],
            log: &["\"service\":\"fault\"", "\"attempts\":2"],
        },
        Cause {
            metric: "pointsman_health_transitions_total",
            labels: &["node=\"fault-2\"", "to=\"down\""],
            log: &["fault-2", "down", "refused"],
        },
    ];
    rig.judge(&mut seen, &[&one], Vec::new(), &causes).await?;
    Ok(seen)
}
