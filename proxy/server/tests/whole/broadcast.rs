//! Requests that go to every node of a service.

use pointsman_demo::client::{Answer, Connection, Request};
use pointsman_demo::harness::Proxy;
use serde_json::{Value, json};

use crate::puppet::{Asked, Puppet};
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  books:
    nodes: [{ id: a, address: "@0@" }, { id: b, address: "@1@" }, { id: c, address: "@2@" }]
    eject: off
    limits: { connections_per_node: 2, queue: 1, queue_timeout: 50ms }
    timeouts: { response: 60s }
routes:
  - { match: { path: /all }, service: books, broadcast: all, request_headers: { set: { x-env: prod } }, rewrite: { prefix: /end } }
  - { match: { path: /quorum }, service: books, broadcast: quorum }
  - { match: { path: /first }, service: books, broadcast: first }
  - { match: { path: /small }, service: books, broadcast: { limit: 8B } }
  - { match: { path: /last }, service: books, broadcast: { barrier: 30s } }
  - { match: { path: /hasty }, service: books, broadcast: { barrier: 1ms } }
  - { match: {}, service: books }
"#;

struct Stage {
    proxy: Proxy,
    nodes: [Puppet; 3],
}

async fn stage() -> Stage {
    let nodes = [Puppet::start().await, Puppet::start().await, Puppet::start().await];
    let mut yaml = TEMPLATE.replace("@lane@", crate::LANE);
    for (index, node) in nodes.iter().enumerate() {
        yaml = yaml.replace(&format!("@{index}@"), &node.address.to_string());
    }
    Stage { proxy: proxy_with(&yaml).await, nodes }
}

impl Stage {
    /// Sends it, and answers what its client will get.
    fn send(&self, request: Request) -> tokio::task::JoinHandle<Answer> {
        let address = self.proxy.addr();
        tokio::spawn(async move { request.send(address).await.expect("answered") })
    }

    async fn asked(&mut self) -> [Asked; 3] {
        let [a, b, c] = &mut self.nodes;
        [a.next().await, b.next().await, c.next().await]
    }

    fn is_asked(&self) -> bool {
        self.nodes.iter().any(Puppet::is_asked)
    }
}

fn document(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// By node: the status, or what went wrong.
fn results(document: &Value) -> Vec<(String, String)> {
    let nodes = document["nodes"].as_array().expect("a list").iter();
    let mut results: Vec<(String, String)> = nodes
        .map(|node| {
            let what = node.get("status").or(node.get("error")).or(node.get("pending")).expect("a result");
            (node["node"].as_str().expect("a name").to_owned(), what.to_string())
        })
        .collect();
    results.sort();
    results
}

fn pair(node: &str, what: &str) -> (String, String) {
    (node.to_owned(), what.to_owned())
}

#[tokio::test]
async fn every_node_gets_the_request_and_the_client_what_each_said() {
    let mut stage = stage().await;
    let request =
        Request::post("/all/dump?x=1", &json!({ "until": 7 })).header("connection", "x-hop").header("x-hop", "1");
    let client = stage.send(request.header("x-request-id", "seven"));
    for asked in stage.asked().await {
        assert_eq!(asked.line, "POST /end/dump?x=1");
        assert_eq!(asked.body, br#"{"until":7}"#);
        assert_eq!(asked.headers.values("x-env"), ["prod"]);
        assert_eq!(asked.headers.values("x-request-id"), ["seven"]);
        assert_eq!(asked.headers.values("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(asked.headers.values("content-length"), ["11"]);
        assert!(asked.headers.values("x-hop").is_empty());
        asked.answer(200);
    }
    let answer = client.await.expect("no panic");
    assert_eq!(answer.status, 200);
    let document = document(&answer);
    assert_eq!(results(&document), [pair("a", "200"), pair("b", "200"), pair("c", "200")]);
    assert_eq!(
        (&document["well"], &document["good"], &document["request_id"]),
        (&json!(true), &json!(3), &json!("seven"))
    );
}

#[tokio::test]
async fn one_that_fails_or_refuses_spoils_all_and_is_named() {
    let mut stage = stage().await;
    let client = stage.send(Request::new("POST", "/all"));
    let [a, b, c] = stage.asked().await;
    a.answer(204);
    b.answer(409);
    c.reset();
    let answer = client.await.expect("no panic");
    assert_eq!(answer.status, 502);
    assert_eq!(results(&document(&answer)), [pair("a", "204"), pair("b", "409"), pair("c", "\"reset\"")]);
    let line = r#"pointsman_broadcast_total{result="refused",service="books"} 1"#;
    stage.proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await.expect("counted");
}

#[tokio::test]
async fn a_quorum_is_enough_and_the_others_go_on() {
    let mut stage = stage().await;
    let client = stage.send(Request::new("POST", "/quorum"));
    let [a, b, c] = stage.asked().await;
    a.answer(200);
    c.answer(200);
    let answer = client.await.expect("no panic");
    assert_eq!(answer.status, 200);
    assert_eq!(results(&document(&answer)), [pair("a", "200"), pair("b", "true"), pair("c", "200")]);
    // Its copy is not cut off: it is counted once it answers.
    b.answer(500);
    let line = r#"pointsman_broadcast_total{result="refused",service="books"} 1"#;
    stage.proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await.expect("counted");
    let client = stage.send(Request::new("POST", "/quorum"));
    let [a, b, c] = stage.asked().await;
    a.answer(500);
    c.answer(500);
    assert_eq!(client.await.expect("no panic").status, 502, "no majority is left");
    drop(b);
}

#[tokio::test]
async fn the_first_good_answer_is_passed_on_as_it_is() {
    let mut stage = stage().await;
    let client = stage.send(Request::new("POST", "/first"));
    let [a, b, c] = stage.asked().await;
    a.answer(503);
    b.answer(201);
    let answer = client.await.expect("no panic");
    assert_eq!((answer.status, answer.header("pointsman-node")), (201, Some("b")));
    drop(c);
}

#[tokio::test]
async fn a_body_over_the_bound_goes_to_nobody() {
    let stage = stage().await;
    let mut client = Connection::open(stage.proxy.addr()).await.expect("connected");
    let answer = client.exchange(&Request::new("POST", "/small").body(b"123456789".to_vec())).await.expect("answered");
    assert_eq!(answer.status, 413);
    assert!(!stage.is_asked());
}

#[tokio::test]
async fn a_barrier_waits_for_the_requests_before_it_and_others_go_on() {
    let mut stage = stage().await;
    let earlier = stage.send(Request::get("/work"));
    // Round robin: the first node has it.
    let work = stage.nodes[0].next().await;
    let client = stage.send(Request::new("POST", "/last"));
    let refused = stage.send(Request::new("POST", "/hasty")).await.expect("no panic");
    assert_eq!((refused.status, &document(&refused)["reason"]), (503, &json!("barrier")));
    let later = stage.send(Request::get("/later"));
    let more = stage.nodes[1].next().await;
    assert_eq!(more.line, "GET /later");
    more.answer(200);
    assert_eq!(later.await.expect("no panic").status, 200);
    assert!(!stage.is_asked(), "the barrier holds");
    work.answer(200);
    assert_eq!(earlier.await.expect("no panic").status, 200);
    for asked in stage.asked().await {
        assert_eq!(asked.line, "POST /last");
        asked.answer(200);
    }
    assert_eq!(client.await.expect("no panic").status, 200);
}

#[tokio::test]
async fn a_node_without_a_place_is_told_of() {
    let mut stage = stage().await;
    // Six requests fill every place; the bound is two a node.
    let work: Vec<_> = (0..6).map(|_| stage.send(Request::get("/work"))).collect();
    let held: Vec<_> = [stage.asked().await, stage.asked().await].into_iter().flatten().collect();
    let answer = stage.send(Request::new("POST", "/all")).await.expect("no panic");
    assert_eq!(answer.status, 502);
    let busy = "\"busy\"";
    assert_eq!(results(&document(&answer)), [pair("a", busy), pair("b", busy), pair("c", busy)]);
    held.into_iter().for_each(|asked| asked.answer(200));
    for client in work {
        assert_eq!(client.await.expect("no panic").status, 200);
    }
}
