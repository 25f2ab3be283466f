use std::time::Duration;

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, ProxyOptions, until};
use pointsman_demo::node::{self, NodeOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::unix::pipe;

use crate::stage::{BINARY, YAML, joined, nodes, proxy};

#[tokio::test]
async fn nodes_survive_a_kill_of_the_proxy() {
    let mut proxy = proxy().await;
    let _nodes = nodes(&proxy, 3, &["oms", "api"]).await;
    assert_eq!(proxy.admin.post("/v1/services/api/nodes/oms-3/drain", &json!({})).await.expect("answered").status, 200);
    proxy.kill().await.expect("killed");
    proxy.restart().await.expect("serves again");
    for id in ["oms-1", "oms-2"] {
        proxy.admin.node_is("api", id, "up").await.expect("remembered, and checked before traffic");
    }
    proxy.admin.node_is("api", "oms-3", "draining").await.expect("a drain is remembered");
    proxy.admin.node_is("oms", "oms-3", "up").await.expect("of one service only");
}

/// Stands in the way of a start for as long as the test likes: what the proxy reads its policy from is a pipe.
fn pipe_in_place_of(file: &std::path::Path) {
    std::fs::remove_file(file).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(file).status().expect("mkfifo runs");
    assert!(made.success(), "{made}");
}

#[tokio::test]
async fn leases_outlive_a_start_that_takes_longer_than_they_last() {
    // Long enough that no node misses its renewals on a busy machine.
    const TTL: Duration = Duration::from_millis(1500);
    let component = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/dist/round-robin.wasm");
    let component = std::fs::read(component).expect("a built policy");
    let yaml = YAML.replace("policy: round-robin", "policy: slow") + "policies: { slow: { wasm: slow.wasm } }\n";
    let options = ProxyOptions::new(BINARY, &yaml).file("slow.wasm", component.clone());
    let mut proxy = Proxy::start_with(options).await.expect("a proxy that serves");
    let mut nodes = Vec::new();
    for id in ["n1", "n2"] {
        let mut node = node::start(NodeOptions::new(id).join(proxy.admin.address(), "api", TTL)).expect("a node");
        node.joined().await;
        nodes.push(node);
    }
    proxy.kill().await.expect("killed");

    let (admin, file) = (proxy.admin.clone(), proxy.folder().join("slow.wasm"));
    pipe_in_place_of(&file);
    let meanwhile = async {
        let open = || async { pipe::OpenOptions::new().open_sender(&file).ok() };
        let mut policy = until(open).await.expect("the registry is open, and the policy is asked for");
        // For twice a lease nobody answers, and what is sent on this connection waits, too.
        let mut beats = TcpStream::connect(admin.address()).await.expect("the address is taken");
        for id in ["n1", "n2"] {
            let beat = format!("POST /v1/services/api/nodes/{id}/heartbeat HTTP/1.1\r\nHost: {}\r\n", admin.address());
            let body = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
            beats.write_all((beat + body).as_bytes()).await.expect("sent");
        }
        let last = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", admin.address());
        beats.write_all(last.as_bytes()).await.expect("sent");
        let silence = admin.send(Request::get("/readyz").patience(2 * TTL)).await;
        assert!(silence.is_err(), "{silence:?}");
        // Whoever reads the file again finds it as it was.
        let aside = file.with_extension("new");
        std::fs::write(&aside, &component).expect("written");
        std::fs::rename(&aside, &file).expect("renamed");
        policy.write_all(&component).await.expect("read");
        drop(policy);
        let mut answers = String::new();
        beats.read_to_string(&mut answers).await.expect("answered");
        answers
    };
    let (restarted, answers) = tokio::join!(proxy.restart(), meanwhile);
    restarted.expect("serves again");
    assert_eq!(answers.matches("\"outcome\":\"renewed\"").count(), 2, "{answers}");
    let lost: Vec<&str> = answers.lines().filter(|line| line.starts_with("pointsman_leases_lost_total{")).collect();
    assert!(lost.iter().all(|line| line.ends_with(" 0")), "{lost:?}");
    for id in ["n1", "n2"] {
        proxy.admin.node_is("api", id, "up").await.expect("checked");
    }
    let served = || async { Request::get("/echo").send(proxy.addr()).await.ok().filter(|answer| answer.status == 200) };
    until(served).await.expect("and serves");
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_lapses_and_a_late_heartbeat_is_told_so() {
    let proxy = proxy().await;
    let target = node::start(NodeOptions::new("short")).expect("a node");
    let body = json!({ "address": target.addr.to_string(), "ttl": "1s" });
    assert_eq!(proxy.admin.put("/v1/services/api/nodes/short", &body).await.expect("answered").status, 201);
    proxy.admin.node_is("api", "short", "up").await.expect("checked");
    proxy.admin.node_is("api", "short", "absent").await.expect("lapsed");
    let late = proxy.admin.post("/v1/services/api/nodes/short/heartbeat", &json!({})).await.expect("answered");
    assert_eq!(late.status, 404, "{}", late.text());
    let again = proxy.admin.put("/v1/services/api/nodes/short", &body).await.expect("answered");
    assert_eq!(again.status, 201, "{}", again.text());
}

#[tokio::test]
async fn an_ordinal_is_taken_once() {
    let proxy = proxy().await;
    let _one = joined(&proxy, 1, &["oms"]).await;
    let body = json!({ "address": "127.0.0.1:9", "ordinal": 1 });
    let clash = proxy.admin.put("/v1/services/oms/nodes/other", &body).await.expect("answered");
    assert_eq!(clash.status, 409, "{}", clash.text());
    assert!(clash.text().contains("oms-1"), "names who has it: {}", clash.text());
    let elsewhere = proxy.admin.put("/v1/services/api/nodes/other", &body).await.expect("answered");
    assert_eq!(elsewhere.status, 201, "unique in its service only: {}", elsewhere.text());
}

#[tokio::test]
async fn a_node_that_never_passed_a_check_takes_no_traffic() {
    let proxy = proxy().await;
    let _good = joined(&proxy, 1, &["api"]).await;
    let sick = node::start(NodeOptions::new("sick")).expect("a node");
    sick.set_health(503);
    let body = json!({ "address": sick.addr.to_string() });
    assert_eq!(proxy.admin.put("/v1/services/api/nodes/sick", &body).await.expect("answered").status, 201);
    proxy
        .admin
        .answers("/v1/services/api", |a| a.text().contains("503"))
        .await
        .expect("the reason of the failed check is shown");
    for _ in 0..20 {
        let answer = pointsman_demo::client::Request::get("/echo").send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.header("x-node"), Some("oms-1"));
    }
    sick.set_health(200);
    proxy.admin.node_is("api", "sick", "up").await.expect("up by itself");
}

#[tokio::test]
async fn a_node_that_leaves_takes_nothing_from_then_on() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 2, &["api"]).await;
    let left = proxy.admin.delete("/v1/services/api/nodes/oms-2").await.expect("answered");
    assert!((200..300).contains(&left.status), "{}", left.text());
    for _ in 0..20 {
        let answer = pointsman_demo::client::Request::get("/echo").send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.header("x-node"), Some("oms-1"));
    }
}

#[tokio::test]
async fn events_tell_of_a_join() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let proxy = proxy().await;
    let _one = joined(&proxy, 1, &["api"]).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.admin.address()).await.expect("connected");
    let asked = format!("GET /v1/events?since=0 HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin.address());
    stream.write_all(asked.as_bytes()).await.expect("asked");
    let mut lines = BufReader::new(stream).lines();
    let told = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("node-joined") {
                return true;
            }
        }
        false
    };
    let told = tokio::time::timeout(pointsman_demo::harness::PATIENCE, told).await;
    assert_eq!(told, Ok(true), "the stream has no end, so it was either told or the time is over");
}
