use pointsman_demo::client::Request;
use pointsman_demo::load::{self, LoadOptions};
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use serde_json::json;

use crate::stage::{LONG, joined, nodes, proxy};

/// Kills and revives each node in turn under load. `/bytes` is a GET: it may be sent twice.
#[tokio::test]
async fn nodes_die_and_come_back_and_no_idempotent_request_fails() {
    let proxy = proxy().await;
    let mut nodes = nodes(&proxy, 3, &["api"]).await;
    let load = load::start(LoadOptions::new(proxy.addr()).ask("GET", "/bytes/64").connections(8).rate(400.0))
        .expect("load starts");
    load.reached(100).await;
    for _ in 0..2 {
        for number in 1..=3_u64 {
            let id = format!("oms-{number}");
            let at = nodes.iter().position(|n| n.id == id).expect("there");
            let dead = nodes.remove(at);
            let addr = dead.addr;
            dead.kill();
            proxy.admin.node_is("api", &id, "down").await.expect("found dead");
            let options = NodeOptions::new(&id).ordinal(number).listen(addr).join(proxy.admin.address(), "api", LONG);
            nodes.push(node::start(options).expect("the node again"));
            proxy.admin.node_is("api", &id, "up").await.expect("back by itself");
            load.further(50).await;
        }
    }
    let report = load.stop_and_finish().await;
    assert_eq!(report.failed, 0, "{:?} {:?}", report.failures, report.samples);
    assert!(report.succeeded > 300, "only {} requests", report.succeeded);
}

#[tokio::test]
async fn an_order_runs_at_most_once_while_its_node_dies() {
    const CONNECTIONS: usize = 8;
    let proxy = proxy().await;
    let nodes = [joined(&proxy, 1, &["oms"]).await, joined(&proxy, 3, &["oms"]).await];
    let journals = tempfile::tempdir().expect("a folder");
    let journal = journals.path().join("executed");
    // The node that dies writes down what it executed, so that its record outlives it.
    let options = NodeOptions {
        journal: Some(journal.clone()),
        ..NodeOptions::new("oms-2").ordinal(2).join(proxy.admin.address(), "oms", LONG)
    };
    let doomed = node::start(options).expect("a node");
    proxy.admin.node_is("oms", "oms-2", "up").await.expect("up");
    let mut options = LoadOptions::new(proxy.addr())
        .ask("POST", "/orders")
        .header("x-customer-id", "{n}")
        .header("content-type", "application/json")
        .connections(CONNECTIONS)
        .rate(400.0);
    options.body = load::Template::parse("{\"clOrdID\":\"order-{n}\",\"qty\":1}").expect("a template");
    let load = load::start(options).expect("load starts");
    load.reached(150).await;
    doomed.kill();
    proxy.admin.node_is("oms", "oms-2", "down").await.expect("found dead");
    load.further(150).await;
    let report = load.stop_and_finish().await;

    let mut executed: Vec<String> = nodes.iter().flat_map(NodeHandle::executed).collect();
    let dead = std::fs::read_to_string(journal).expect("a journal");
    let before = dead.lines().count();
    executed.extend(dead.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned));
    let total = executed.len();
    executed.sort();
    executed.dedup();
    assert_eq!(executed.len(), total, "an order ran twice");
    assert!(before > 10, "the node took orders before it died: {before}");
    assert!(total as u64 >= report.succeeded, "an order was confirmed that never ran");
    assert!(report.failed <= CONNECTIONS as u64, "at most what was in flight at the dead node: {:?}", report.failures);
}

#[tokio::test]
async fn a_refused_connection_goes_elsewhere_whatever_the_method() {
    let yaml = crate::stage::YAML.replace(
        "  api:\n    policy: round-robin\n    health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 2 }",
        "  api:\n    policy: round-robin\n    nodes:\n      - { id: gone, address: \"127.0.0.1:1\" }",
    );
    assert!(yaml.contains("gone"));
    let proxy = crate::stage::proxy_with(&yaml).await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    for _ in 0..6 {
        let answer = Request::post("/orders2", &json!({})).send(proxy.addr()).await.expect("answered");
        assert_ne!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.header("x-node"), Some("oms-1"));
    }
    let text = proxy.admin.get("/metrics").await.expect("metrics").text();
    assert!(text.contains("pointsman_retries_total{reason=\"connect\",service=\"api\"}"), "{text}");
}
