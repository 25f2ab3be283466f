//! A node takes so many requests at once, so many wait, and the rest is told to come again.

use std::net::SocketAddr;

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::Proxy;
use tokio::task::JoinHandle;

use crate::puppet::Puppet;
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  api:
    policy: round-robin
    limits: { connections_per_node: 1, queue: 1, queue_timeout: 60s }
    nodes: [@nodes@]
routes: [{ service: api }]
"#;

fn yaml(nodes: &[&Puppet]) -> String {
    let node = |(i, puppet): (usize, &&Puppet)| format!("{{ id: n{}, address: \"{}\" }}", i + 1, puppet.address);
    let nodes: Vec<_> = nodes.iter().enumerate().map(node).collect();
    TEMPLATE.replace("@lane@", crate::LANE).replace("@nodes@", &nodes.join(", "))
}

fn ask(proxy: SocketAddr, path: &str) -> JoinHandle<Answer> {
    let request = Request::get(path);
    tokio::spawn(async move { request.send(proxy).await.expect("answered") })
}

async fn queued(proxy: &Proxy, node: &str, count: u32) {
    metric(proxy, &format!("pointsman_node_queued{{node=\"{node}\",service=\"api\"}} {count}\n")).await;
}

async fn metric(proxy: &Proxy, line: &str) {
    let seen = proxy.admin.answers("/metrics", |answer| answer.text().contains(line)).await;
    seen.unwrap_or_else(|error| panic!("{line} never came: {error}"));
}

#[tokio::test]
async fn one_is_served_one_waits_and_one_is_told_to_come_again() {
    let mut node = Puppet::start().await;
    let proxy = proxy_with(&yaml(&[&node])).await;
    let first = ask(proxy.addr(), "/first");
    let held = node.next().await;
    assert_eq!(held.line, "GET /first");
    let second = ask(proxy.addr(), "/second");
    queued(&proxy, "n1", 1).await;
    let third = Request::get("/third").send(proxy.addr()).await.expect("answered");
    assert_eq!((third.status, third.header("retry-after")), (503, Some("1")), "{}", third.text());
    assert_eq!(third.header("content-type"), Some("application/problem+json"));
    assert_eq!(third.json().expect("JSON")["reason"], "queue-full");
    assert!(!node.is_asked(), "the node never sees more than one at once");
    held.answer(200);
    assert_eq!(first.await.expect("runs").status, 200);
    let held = node.next().await;
    assert_eq!(held.line, "GET /second", "the permit passes to whoever waits");
    held.answer(204);
    assert_eq!(second.await.expect("runs").status, 204);
    queued(&proxy, "n1", 0).await;
    metric(&proxy, "pointsman_queue_duration_seconds_count{service=\"api\"} 1\n").await;
    metric(&proxy, "pointsman_refusals_total{reason=\"queue-full\",service=\"api\"} 1\n").await;
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_to_come_again() {
    let mut node = Puppet::start().await;
    let proxy = proxy_with(&yaml(&[&node]).replace("60s", "50ms")).await;
    let first = ask(proxy.addr(), "/first");
    let held = node.next().await;
    let second = Request::post("/second", &serde_json::json!({})).send(proxy.addr()).await.expect("answered");
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")), "{}", second.text());
    assert_eq!(second.json().expect("JSON")["reason"], "queue-timeout");
    held.answer(200);
    assert_eq!(first.await.expect("runs").status, 200);
    assert!(!node.is_asked(), "what was refused never reaches the node");
    metric(&proxy, "pointsman_refusals_total{reason=\"queue-timeout\",service=\"api\"} 1\n").await;
    metric(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 0\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let mut node = Puppet::start().await;
    let proxy = proxy_with(&yaml(&[&node])).await;
    let _first = ask(proxy.addr(), "/first");
    let held = node.next().await;
    let second = ask(proxy.addr(), "/second");
    queued(&proxy, "n1", 1).await;
    second.abort();
    queued(&proxy, "n1", 0).await;
    let third = ask(proxy.addr(), "/third");
    queued(&proxy, "n1", 1).await;
    held.answer(200);
    let held = node.next().await;
    assert_eq!(held.line, "GET /third");
    held.answer(200);
    assert_eq!(third.await.expect("runs").status, 200);
}

#[tokio::test]
async fn more_permits_after_a_reload_let_those_in_who_wait() {
    let mut node = Puppet::start().await;
    let text = yaml(&[&node]);
    let proxy = proxy_with(&text).await;
    let first = ask(proxy.addr(), "/first");
    let held = node.next().await;
    let second = ask(proxy.addr(), "/second");
    queued(&proxy, "n1", 1).await;
    proxy.write_config(&text.replace("connections_per_node: 1", "connections_per_node: 2")).expect("written");
    proxy.admin.reload().await.expect("answered");
    let other = node.next().await;
    assert_eq!(other.line, "GET /second");
    other.answer(200);
    held.answer(200);
    assert_eq!((first.await.expect("runs").status, second.await.expect("runs").status), (200, 200));
}

#[tokio::test]
async fn a_node_that_is_drained_sends_its_line_elsewhere() {
    let (mut one, mut two) = (Puppet::start().await, Puppet::start().await);
    let proxy = proxy_with(&yaml(&[&one, &two])).await;
    let first = ask(proxy.addr(), "/first");
    let at_one = one.next().await;
    let second = ask(proxy.addr(), "/second");
    let at_two = two.next().await;
    let third = ask(proxy.addr(), "/third");
    queued(&proxy, "n1", 1).await;
    proxy.admin.post("/v1/services/api/nodes/n1/drain", &serde_json::json!({})).await.expect("drained");
    queued(&proxy, "n2", 1).await;
    at_two.answer(200);
    let moved = two.next().await;
    assert_eq!(moved.line, "GET /third");
    moved.answer(200);
    at_one.answer(200);
    for answer in [first, second, third] {
        assert_eq!(answer.await.expect("runs").status, 200);
    }
}

#[tokio::test]
async fn a_key_gets_its_rate_and_others_theirs() {
    let node = Puppet::start().await;
    let rate = "rate: { key: { header: x-user }, per_second: 1, burst: 2 }";
    let text = yaml(&[&node]).replace("connections_per_node: 1, queue: 1, queue_timeout: 60s", rate);
    let proxy = proxy_with(&text).await;
    let _node = node.answer_all(200);
    let of = |user: &str| Request::get("/x").header("x-user", user);
    // The burst goes at once; a second or so later one more is granted, so ten cannot all be.
    let mut refused = None;
    for _ in 0..10 {
        let answer = of("a").send(proxy.addr()).await.expect("answered");
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("ten at once are too many");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.text());
    assert_eq!(refused.json().expect("JSON")["reason"], "rate-limited");
    assert_eq!(of("b").send(proxy.addr()).await.expect("answered").status, 200);
    metric(&proxy, "pointsman_refusals_total{reason=\"rate-limited\",service=\"api\"} 1\n").await;
}
