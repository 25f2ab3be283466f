//! What a route does on the way: other fields, other paths, other places, several services.

use std::collections::BTreeMap;

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::Proxy;
use pointsman_demo::node::{self, NodeHandle, NodeOptions};

use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  old: { nodes: [{ id: n1, address: "@old@" }] }
  new: { nodes: [{ id: n2, address: "@new@" }] }
routes:
  - match: { path: /edited }
    service: old
    request_headers: { set: { X-Env: prod }, add: { X-Via: edge }, remove: [X-Debug, cookie] }
    response_headers: { set: { x-node: hidden }, add: { X-Frame-Options: DENY }, remove: [Content-Type] }
  - { match: { path: /api/v1/ }, service: old, rewrite: { prefix: / } }
  - { match: { path: /v2 }, service: old, rewrite: { prefix: /echo/two } }
  - { match: { path: /fixed }, service: old, rewrite: { path: /echo } }
  - { match: { path: /moved }, redirect: { to: "https://{host}/there/{rest}{query}", status: 308 } }
  - { match: { path: /local }, redirect: "/{rest}" }
  - { match: { path: /split }, services: { old: 3, new: 1 }, rewrite: { path: /echo } }
  - { match: { path: /dark }, services: { old: 0, new: 1 }, rewrite: { path: /echo } }
  - { match: { path: /named }, service: old, rewrite: { path: /echo }, host: inner.example:81 }
  - { match: { path: /node }, service: old, rewrite: { path: /echo }, host: node }
  - { match: {}, service: old }
"#;

struct Stage {
    proxy: Proxy,
    nodes: [NodeHandle; 2],
}

async fn stage() -> Stage {
    let nodes = ["n1", "n2"].map(|id| node::start(NodeOptions::new(id)).expect("a node"));
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@old@", &nodes[0].addr.to_string());
    let proxy = proxy_with(&yaml.replace("@new@", &nodes[1].addr.to_string())).await;
    Stage { proxy, nodes }
}

impl Stage {
    async fn ask(&self, request: Request) -> Answer {
        request.header("host", "shop.example:99").send(self.proxy.addr()).await.expect("answered")
    }

    /// What the node was asked for.
    async fn target(&self, path: &str) -> String {
        let answer = self.ask(Request::get(path)).await;
        answer.json().expect("JSON")["target"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn fields_are_set_added_and_removed_both_ways() {
    let stage = stage().await;
    let request = Request::get("/edited").header("x-env", "mine").header("X-Via", "me").header("X-DEBUG", "1");
    let answer = stage.ask(request.header("Cookie", "a=b").header("accept", "x/y")).await;
    // The node knows no such path and says so, but tells who it is.
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-node"), Some("hidden"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("content-type"), None);
}

#[tokio::test]
async fn the_node_sees_the_fields_that_the_route_says() {
    let stage = stage().await;
    let yaml = std::fs::read_to_string(stage.proxy.config()).expect("readable");
    stage.proxy.write_config(&yaml.replace("{ path: /edited }", "{ exact: /echo }")).expect("written");
    stage.proxy.admin.answers("/metrics", |a| a.text().contains("config_generation 2\n")).await.expect("live");
    let request = Request::get("/echo").header("x-env", "mine").header("X-Via", "me").header("X-DEBUG", "1");
    let answer = stage.ask(request.header("Cookie", "a=b").header("accept", "x/y")).await;
    let seen = answer.json().expect("JSON")["headers"].clone();
    assert_eq!(seen["x-env"], serde_json::json!(["prod"]));
    assert_eq!(seen["x-via"], serde_json::json!(["me", "edge"]));
    assert_eq!(seen["accept"], serde_json::json!(["x/y"]));
    assert!(seen["x-debug"].is_null() && seen["cookie"].is_null(), "{seen}");
}

#[tokio::test]
async fn a_path_is_rewritten_and_its_query_kept() {
    let stage = stage().await;
    assert_eq!(stage.target("/api/v1/echo?a=b&c").await, "/echo?a=b&c");
    assert_eq!(stage.target("/fixed/whatever?x").await, "/echo?x");
    assert_eq!(stage.target("/echo?x").await, "/echo?x", "what no rule rewrites stays");
    let lost = stage.ask(Request::get("/v2/three")).await;
    assert_eq!(lost.status, 404);
    assert!(lost.text().contains("/echo/two/three"), "{}", lost.text());
}

#[tokio::test]
async fn the_node_is_asked_for_the_host_that_the_route_says() {
    let stage = stage().await;
    let node = stage.nodes[0].addr.to_string();
    for (target, host) in [
        ("/echo", "shop.example:99"),
        ("/named", "inner.example:81"),
        ("http://shop.example:99/named", "inner.example:81"),
        ("/node", &node),
    ] {
        let answer = stage.ask(Request::get(target)).await;
        let headers = answer.json().expect("JSON")["headers"].clone();
        assert_eq!(headers["host"], serde_json::json!([host]), "{target}");
        assert_eq!(headers["x-forwarded-host"], serde_json::json!(["shop.example:99"]), "{target}");
    }
}

#[tokio::test]
async fn a_body_passes_a_rewritten_path() {
    let stage = stage().await;
    let answer = stage.ask(Request::new("POST", "/api/v1/echo").body(vec![b'x'; 100_000])).await;
    assert_eq!(answer.json().expect("JSON")["body_bytes"], 100_000);
}

#[tokio::test]
async fn a_client_is_sent_elsewhere_and_its_connection_goes_on() {
    let stage = stage().await;
    let mut connection = pointsman_demo::client::Connection::open(stage.proxy.addr()).await.expect("connected");
    for (path, status, location) in [
        ("/moved/a/b?c=d", 308, "https://shop.example/there/a/b?c=d"),
        ("/moved", 308, "https://shop.example/there/"),
        ("/local//evil.example", 307, "/evil.example"),
    ] {
        let request = Request::get(path).header("host", "shop.example:99");
        let answer = connection.exchange(&request).await.expect("answered");
        assert_eq!((answer.status, answer.header("location")), (status, Some(location)));
        assert!(answer.body.is_empty() && answer.header("x-request-id").is_some());
    }
    let line = "pointsman_requests_total{code=\"308\",service=\"-\"} 2";
    stage.proxy.admin.answers("/metrics", |a| a.text().contains(line)).await.expect("counted");
}

#[tokio::test]
async fn several_services_share_by_weight() {
    let stage = stage().await;
    let mut served: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..400 {
        let answer = stage.ask(Request::get("/split")).await;
        *served.entry(answer.header("x-node").unwrap_or_default().to_owned()).or_default() += 1;
    }
    // 300 expected; six standard deviations (8.7 each) about it.
    assert!((248..=352).contains(&served["n1"]), "{served:?}");
    for _ in 0..20 {
        assert_eq!(stage.ask(Request::get("/dark")).await.header("x-node"), Some("n2"));
    }
}
