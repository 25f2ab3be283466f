use pointsman_demo::client::{Connection, Request};
use serde_json::json;

use crate::stage::{nodes, proxy};

#[tokio::test]
async fn round_robin_is_strict_over_all_workers() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 3, &["api"]).await;
    // Several connections, so that both workers take part; one request at a time, so that the order is known.
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(Connection::open(proxy.addr()).await.expect("connected"));
    }
    let mut seen = Vec::new();
    for turn in 0..96 {
        let answer = connections[turn % 8].exchange(&Request::get("/echo")).await.expect("answered");
        assert_eq!(answer.status, 200);
        seen.push(answer.header("x-node").expect("named").to_owned());
    }
    for window in seen.windows(3) {
        let mut three = window.to_vec();
        three.sort();
        three.dedup();
        assert_eq!(three.len(), 3, "a window without one of the nodes: {window:?} in {seen:?}");
    }
}

#[tokio::test]
async fn a_customer_belongs_to_id_mod_n_plus_one() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 3, &["oms"]).await;
    for (customer, node) in [("0", "oms-1"), ("7", "oms-2"), ("18446744073709551615", "oms-1"), ("-1", "oms-3")] {
        let request = Request::post("/orders", &json!({ "qty": 1 })).header("x-customer-id", customer);
        let answer = request.send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.header("x-node"), Some(node), "customer {customer}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_dead_node_moves_only_its_own_customers() {
    let proxy = proxy().await;
    let mut nodes = nodes(&proxy, 3, &["oms"]).await;
    nodes.remove(1).kill();
    proxy.admin.node_is("oms", "oms-2", "down").await.expect("found dead");
    for customer in 0_u64..30 {
        let request = Request::get("/orders").header("x-customer-id", &customer.to_string());
        let answer = request.send(proxy.addr()).await.expect("answered");
        let owner = customer % 3 + 1;
        let expected = if owner == 2 { 3 } else { owner };
        assert_eq!(answer.header("x-node"), Some(format!("oms-{expected}").as_str()), "customer {customer}");
    }
}

#[tokio::test]
async fn what_cannot_be_routed_is_answered_with_a_reason() {
    let proxy = proxy().await;
    let none = Request::get("/nothing").send(proxy.addr()).await.expect("answered");
    assert_eq!(none.status, 503, "no node of `api`: {}", none.text());
    assert_eq!(none.header("content-type"), Some("application/problem+json"));
    let problem = none.json().expect("JSON");
    assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
    assert!(none.header("x-request-id").is_some());
    assert!(none.header("retry-after").is_some());

    let _nodes = nodes(&proxy, 1, &["oms"]).await;
    let missing = Request::get("/orders").send(proxy.addr()).await.expect("answered");
    assert!((400..=599).contains(&missing.status), "a customer id is missing: {}", missing.text());
    assert!(missing.header("x-node").is_none());
}

#[tokio::test]
async fn one_log_line_a_request_names_node_and_policy() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let answer =
        Request::get("/echo?x=1").header("x-request-id", "abc-123").send(proxy.addr()).await.expect("answered");
    assert_eq!(answer.status, 200);
    let log = proxy.folder().join("access.log");
    let line = pointsman_demo::harness::until(|| async {
        let text = std::fs::read_to_string(&log).ok()?;
        text.lines().find(|l| l.contains("abc-123")).map(str::to_owned)
    })
    .await
    .expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["node"], "oms-1");
    assert_eq!(line["policy"], "round-robin");
    assert_eq!(line["status"], 200);
    assert_eq!(line["attempts"], 1);
}

#[tokio::test]
async fn metrics_tell_requests_picks_and_standing() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 2, &["api"]).await;
    for _ in 0..10 {
        Request::get("/echo").send(proxy.addr()).await.expect("answered");
    }
    // A request is counted when its last byte is through, which may be just after the client has it.
    let counted = |text: &str| text.contains("pointsman_requests_total{code=\"200\",service=\"api\"} 10");
    let text = proxy.admin.answers("/metrics", |a| counted(&a.text())).await.expect("ten").text();
    for name in [
        "pointsman_picks_total{",
        "pointsman_request_duration_seconds_bucket{",
        "pointsman_node_standing{node=\"oms-1\",service=\"api\"} 0",
        "pointsman_registry_nodes{service=\"api\"} 2",
        "pointsman_config_generation 1",
    ] {
        assert!(text.contains(name), "{name} is missing in\n{text}");
    }
}
