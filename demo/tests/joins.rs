//! A demo node and a registry that plays the admin API: joining, renewing, joining again, leaving.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use pointsman_demo::node::{self, NodeOptions};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A registry that answers what the script says (200 once it has run out) and tells every call.
struct Registry {
    script: Mutex<Vec<u16>>,
    calls: mpsc::UnboundedSender<(String, Value)>,
}

async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> StatusCode {
    let call = format!("{} {}", request.method(), request.uri().path());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    registry.calls.send((call, serde_json::from_slice(&body).unwrap_or_default())).expect("the test listens");
    let mut script = registry.script.lock().expect("no panic");
    let status = if script.is_empty() { 200 } else { script.remove(0) };
    StatusCode::from_u16(status).expect("a status")
}

async fn registry(script: &[u16]) -> (SocketAddr, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (calls, told) = mpsc::unbounded_channel();
    let state = Arc::new(Registry { script: Mutex::new(script.to_vec()), calls });
    let router = Router::new().fallback(answer).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, told)
}

const TTL: Duration = Duration::from_millis(90);
const JOIN: &str = "PUT /v1/services/oms/nodes/oms-1";
const RENEW: &str = "POST /v1/services/oms/nodes/oms-1/heartbeat";
const LEAVE: &str = "DELETE /v1/services/oms/nodes/oms-1";

#[tokio::test]
async fn a_node_joins_renews_joins_again_when_forgotten_and_leaves() {
    let (admin, mut calls) = registry(&[201, 200, 404, 201, 200]).await;
    let mut node = node::start(NodeOptions::new("oms-1").ordinal(1).join(admin, "oms", TTL)).expect("a node");
    node.joined().await;
    let (call, body) = calls.recv().await.expect("a call");
    assert_eq!(call, JOIN);
    assert_eq!(body, serde_json::json!({ "address": node.addr, "ordinal": 1, "ttl": "90ms" }));
    for wanted in [RENEW, RENEW, JOIN, RENEW] {
        assert_eq!(calls.recv().await.expect("a call").0, wanted);
    }
    assert_eq!(node.joins(), 2);
    node.stop().await;
    let mut last = String::new();
    while let Ok((call, _)) = calls.try_recv() {
        last = call;
    }
    assert_eq!(last, LEAVE);
}

#[tokio::test]
async fn a_join_that_is_denied_is_tried_again() {
    let (admin, mut calls) = registry(&[409, 503, 404, 201]).await;
    let mut node = node::start(NodeOptions::new("oms-1").join(admin, "oms", TTL)).expect("a node");
    node.joined().await;
    for wanted in [JOIN, JOIN, JOIN, JOIN] {
        assert_eq!(calls.recv().await.expect("a call").0, wanted);
    }
}

#[tokio::test]
async fn a_node_waits_for_a_registry_that_is_not_there_yet() {
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let admin = held.local_addr().expect("an address");
    drop(held);
    let mut node = node::start(NodeOptions::new("oms-1").join(admin, "oms", TTL)).expect("a node");
    assert_eq!(node.joins(), 0);
    let listener = TcpListener::bind(admin).await.expect("the same port");
    let router = Router::new().fallback(|| async { StatusCode::CREATED });
    tokio::spawn(async move { axum::serve(listener, router).await });
    node.joined().await;
    assert_eq!(node.joins(), 1);
}

#[tokio::test]
async fn a_node_that_drains_asks_for_no_more_and_leaves_once_nothing_is_under_way() {
    let (admin, mut calls) = registry(&[]).await;
    let mut options = NodeOptions::new("oms-1").join(admin, "oms", Duration::from_secs(60));
    options.join.as_mut().expect("it joins").drain = true;
    let mut node = node::start(options).expect("a node");
    node.joined().await;
    node.stop().await;
    let mut all = Vec::new();
    while let Ok((call, _)) = calls.try_recv() {
        all.push(call);
    }
    // This registry tells of nothing that is under way.
    let node = "/v1/services/oms/nodes/oms-1";
    assert_eq!(all, [JOIN, &format!("POST {node}/drain"), &format!("GET {node}"), LEAVE]);
}
