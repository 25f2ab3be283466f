//! Leases: many, stale, and under a clock that jumps.

use std::time::{Duration, Instant};

use pointsman_demo::client::{Connection, Request};
use pointsman_demo::load::LoadOptions;
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use serde_json::json;

use crate::Terms;
use crate::access::now_ms;
use crate::rig::{Cause, Puppet, Rig, Setup, Tool, until};
use crate::rows::registry::faketime;
use crate::rows::running;
use crate::seen::Seen;

const HEALTH: &str = "health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 1 }";
/// How long after a leave was acknowledged a request that was picked before may still arrive.
const BOUND_MS: f64 = 100.0;

fn problem(problem: std::io::Error) -> String {
    problem.to_string()
}

pub(super) async fn churn(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let stays = Puppet::start("fault-1").await?;
    let mut comes = Vec::new();
    for number in 2..=4 {
        comes.push(Puppet::start(&format!("fault-{number}")).await?);
    }
    let rig = Setup::new().faulty(&[&stays], HEALTH).start(terms).await?;
    rig.up("fault-1").await?;
    let seconds = if terms.quick { 2 } else { 10 };
    let before = rig.holds()?.ticks;
    let began = Instant::now();
    let until_then = began + Duration::from_secs(seconds);
    let load = running(rig.load("GET", "/fault/x", 8).rate(200.0))?;
    let admin = rig.proxy.admin.address();
    let churners = (0..16).map(|worker| tokio::spawn(churner(admin, worker, stays.address, until_then)));
    let churners: Vec<_> = churners.collect();
    let mut late = 0;
    while Instant::now() < until_then {
        for node in &comes {
            let path = format!("/v1/services/fault/nodes/{}", node.id);
            rig.proxy.admin.put(&path, &json!({ "address": node.address })).await.map_err(problem)?;
            rig.up(&node.id).await?;
            rig.others(10).await;
            rig.proxy.admin.delete(&path).await.map_err(problem)?;
            let left = now_ms();
            rig.others(40).await;
            late += node.journal().iter().filter(|entry| entry.at > left + BOUND_MS).count();
        }
    }
    let (mut made, mut refused) = (0, Vec::new());
    for churner in churners {
        let (count, wrong) = churner.await.map_err(|problem| problem.to_string())??;
        made += count;
        refused.extend(wrong);
    }
    let took = began.elapsed().as_secs_f64();
    let cores = (rig.holds()?.ticks - before) as f64 / 100.0 / took;
    let report = load.stop_and_finish().await;
    let (rate, wanted) = (made as f64 / took, 950.0 / terms.slowness());
    seen.claim(format!("joins and leaves a second ≥ {wanted:.0}"), rate >= wanted, format!("{rate:.0}"));
    seen.claim(
        "each in order: created, gone",
        refused.is_empty(),
        if refused.is_empty() { "yes" } else { &refused[0] },
    );
    seen.same("picks beyond 100 ms after a leave", late, 0);
    seen.at_most("cores", (cores * 100.0).round() / 100.0, 1.5);
    seen.same(format!("failed of {}", report.requests), report.failed, 0);
    seen.failed = report.failed;
    let nodes: Vec<&Puppet> = comes.iter().chain([&stays]).collect();
    let cause =
        Cause { metric: "pointsman_checks_total", labels: &["service=\"fault\""], log: &["node-joined", "fault-2"] };
    rig.judge(&mut seen, &nodes, Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// Joins and leaves in turn at 63 a second; how many, and what was answered otherwise than it should be.
async fn churner(
    admin: std::net::SocketAddr,
    worker: usize,
    node: std::net::SocketAddr,
    end: Instant,
) -> Result<(u64, Vec<String>), String> {
    let mut connection = Connection::open(admin).await.map_err(problem)?;
    let path = format!("/v1/services/fault/nodes/mayfly-{worker}");
    let mut due = tokio::time::interval(Duration::from_micros(31_700));
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (mut made, mut wrong) = (0, Vec::new());
    while Instant::now() < end {
        due.tick().await;
        let join = Request::new("PUT", &path).json(&json!({ "address": node, "ttl": "60s" }));
        let joined = connection.exchange(&join).await.map_err(problem)?;
        let left = connection.exchange(&Request::new("DELETE", &path)).await.map_err(problem)?;
        made += 2;
        if joined.status != 201 || left.status != 200 {
            wrong.push(format!("{} {}, {} {}", joined.status, joined.text(), left.status, left.text()));
        }
    }
    Ok((made, wrong))
}

pub(super) async fn frozen_node(terms: &Terms) -> Result<Seen, String> {
    const TTL: Duration = Duration::from_secs(1);
    let mut seen = Seen::default();
    let stays = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&stays], HEALTH).start(terms).await?;
    let address = crate::fleet::address(5)?.to_string();
    let url = format!("http://{}", rig.proxy.admin.address());
    let arguments = ["--id", "oms-9", "--listen", &address, "--join", &url, "--service", "fault", "--ttl", "1s"];
    let child = Tool::start(&terms.tools.join("demo-node"), &arguments)?;
    rig.up("oms-9").await?;
    let load = running(over_demo_nodes(&rig))?;
    load.further(20).await;
    child.signal(libc::SIGSTOP)?;
    let began = Instant::now();
    rig.proxy.admin.node_is("fault", "oms-9", "absent").await.map_err(problem)?;
    let took = began.elapsed();
    // The lease was renewed at most a third of the TTL before; a tick is 50 ms, and asking takes its time.
    let bound = TTL + Duration::from_millis(50 + 250);
    seen.claim("gone at TTL + one tick", took >= TTL / 2 && took <= bound, format!("{} ms", took.as_millis()));
    let renewal =
        rig.proxy.admin.post("/v1/services/fault/nodes/oms-9/heartbeat", &json!({})).await.map_err(problem)?;
    seen.same("a late renewal", renewal.status, 404);
    child.signal(libc::SIGCONT)?;
    let back = rig.up("oms-9").await;
    seen.claim("joined again", back.is_ok(), format!("{back:?}"));
    let report = load.stop_and_finish().await;
    // What it held when it froze, and what was sent to it before its checks said so.
    seen.at_most(format!("failed of {}", report.requests), report.failed as f64, 25.0);
    seen.failed = report.failed;
    let cause =
        Cause { metric: "pointsman_leases_lost_total", labels: &["service=\"fault\""], log: &["lease-lost", "oms-9"] };
    drop(child);
    rig.judge(&mut seen, &[], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// Demo nodes know nothing of this path and say so: an answer as good as any.
fn over_demo_nodes(rig: &Rig) -> LoadOptions {
    LoadOptions { accept: vec![200..=299, 404..=404], ..rig.load("GET", "/fault/x", 8).rate(100.0) }
}

/// Three nodes that join and renew by themselves, within this program.
async fn joined(rig: &Rig, ttl: Duration) -> Result<Vec<NodeHandle>, String> {
    let mut nodes = Vec::new();
    for number in 2..=4 {
        let id = format!("oms-{number}");
        let options = NodeOptions::new(&id).join(rig.proxy.admin.address(), "fault", ttl);
        let mut node = node::start(options).map_err(problem)?;
        node.joined().await;
        rig.up(&id).await?;
        nodes.push(node);
    }
    Ok(nodes)
}

pub(super) async fn clock(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let folder = tempfile::tempdir().map_err(problem)?;
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+0\n").map_err(problem)?;
    let stays = Puppet::start("fault-1").await?;
    let rig = Setup::new()
        .environment("LD_PRELOAD", faketime().unwrap_or_default())
        .environment("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string())
        .environment("FAKETIME_NO_CACHE", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .environment("DONT_FAKE_MONOTONIC", "1")
        .faulty(&[&stays], HEALTH)
        .start(terms)
        .await?;
    let nodes = joined(&rig, Duration::from_secs(1)).await?;
    let load = running(over_demo_nodes(&rig))?;
    for jump in ["+3600", "-3600", "+0"] {
        std::fs::write(&clock, format!("{jump}\n")).map_err(problem)?;
        // Three times as long as a lease lasts.
        rig.others(300).await;
    }
    let report = load.stop_and_finish().await;
    let log = std::fs::read_to_string(rig.proxy.folder().join("access.log")).unwrap_or_default();
    let hours: std::collections::BTreeSet<&str> =
        log.lines().filter_map(|line| line.split("\"time\":\"").nth(1)?.get(..13)).collect();
    seen.claim("the proxy saw three hours", hours.len() >= 3, format!("{hours:?}"));
    seen.same("leases lost", rig.moved("pointsman_leases_lost_total", &[]).await?, 0.0);
    seen.same("joins of each", nodes.iter().map(NodeHandle::joins).collect::<Vec<_>>(), vec![1, 1, 1]);
    seen.same(format!("failed of {}", report.requests), report.failed, 0);
    seen.failed = report.failed;
    for node in nodes {
        node.stop().await;
    }
    rig.judge(&mut seen, &[], Vec::new(), &[]).await?;
    Ok(seen)
}

pub(super) async fn frozen_proxy(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let stays = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&stays], HEALTH).start(terms).await?;
    let nodes = joined(&rig, Duration::from_secs(1)).await?;
    rig.proxy.signal(libc::SIGSTOP).map_err(problem)?;
    // Nothing is waited for here: that time passes is the fault.
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.proxy.signal(libc::SIGCONT).map_err(problem)?;
    let after = running(over_demo_nodes(&rig).requests(200))?.finish().await;
    seen.same("leases lost", rig.moved("pointsman_leases_lost_total", &[]).await?, 0.0);
    let up = until(Duration::from_secs(5), || async {
        let report = rig.proxy.admin.get("/v1/services/fault").await.and_then(|answer| answer.json());
        report.is_ok_and(|report| {
            report["nodes"]
                .as_array()
                .is_some_and(|all| all.len() == 4 && all.iter().all(|node| node["standing"] == "up"))
        })
    });
    let up = up.await;
    seen.claim("all four are up", up, if up { "yes" } else { "no" });
    seen.same("joins of each", nodes.iter().map(NodeHandle::joins).collect::<Vec<_>>(), vec![1, 1, 1]);
    seen.same(format!("failed of {} on waking", after.requests), after.failed, 0);
    seen.failed = after.failed;
    for node in nodes {
        node.stop().await;
    }
    let cause = Cause { metric: "", labels: &[], log: &["leases-extended"] };
    rig.judge(&mut seen, &[], Vec::new(), &[cause]).await?;
    Ok(seen)
}
