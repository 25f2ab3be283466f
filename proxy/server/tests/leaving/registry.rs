//! The registry through an upgrade.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::until;
use pointsman_demo::node::{self, NodeOptions};
use serde_json::json;

use crate::stage::{TTL, no_lease_lost, nodes, proxy, proxy_with, upgrade};

#[tokio::test]
async fn nodes_drains_and_marks_pass_on_and_nobody_loses_a_lease() {
    let mut proxy = proxy(&["--grace", "3"]).await;
    let nodes = nodes(&proxy, 3).await;
    assert_eq!(proxy.admin.post("/v1/services/api/nodes/n3/drain", &json!({})).await.expect("answered").status, 200);
    // Asked over and over, on new connections: never red.
    let (stop, admin) = (Arc::new(AtomicBool::new(false)), proxy.admin.clone());
    let asking = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                seen.insert(admin.get("/readyz").await.map(|answer| answer.status).map_err(|error| error.to_string()));
            }
            seen
        }
    });
    for _ in 0..2 {
        upgrade(&mut proxy, &[]).await.expect("upgraded");
        for (id, standing) in [("n1", "up"), ("n2", "up"), ("n3", "draining")] {
            proxy.admin.node_is("api", id, standing).await.expect("as before");
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(asking.await.expect("no panic").into_iter().collect::<Vec<_>>(), [Ok(200)]);
    assert!(nodes.iter().all(|node| node.joins() == 1), "no lease was lost");
    no_lease_lost(&proxy).await;
    let answer = proxy.admin.get("/v1/services/api").await.expect("answered").json().expect("JSON");
    assert_eq!(answer["high_water"], 3);
    // And the new process writes: its change outlives it.
    assert_eq!(proxy.admin.post("/v1/services/api/nodes/n3/undrain", &json!({})).await.expect("answered").status, 200);
    proxy.admin.node_is("api", "n3", "up").await.expect("again");
}

/// Its checks come once an hour: only what the process before knew can let it serve.
#[tokio::test]
async fn a_node_that_is_up_is_not_checked_anew() {
    let yaml = crate::stage::YAML.replace(
        "health: { http: /health, interval: 1s, timeout: 1s, fall: 3, rise: 1 }",
        "health: { http: /health, interval: 1h, timeout: 1s }\n    nodes: [{ id: s1, address: \"@node@\" }]",
    );
    let node = node::start(NodeOptions::new("s1")).expect("a node");
    let mut proxy = proxy_with(&yaml.replace("@node@", &node.addr.to_string()), &["--grace", "3"]).await;
    proxy.admin.node_is("api", "s1", "up").await.expect("checked once");
    node.set_health(503);
    upgrade(&mut proxy, &[]).await.expect("upgraded");
    for _ in 0..4 {
        assert_eq!(Request::get("/echo").send(proxy.addr()).await.expect("answered").status, 200);
    }
    proxy.admin.node_is("api", "s1", "up").await.expect("as before");
}

#[tokio::test]
async fn whose_turn_it_is_passes_on() {
    let mut proxy = proxy(&["--grace", "3"]).await;
    let _nodes = nodes(&proxy, 3).await;
    let mut order = Vec::new();
    for round in 0..2 {
        for _ in 0..4 {
            let answer = Request::get("/echo").send(proxy.addr()).await.expect("answered");
            order.push(answer.header("x-node").expect("named").to_owned());
        }
        if round == 0 {
            upgrade(&mut proxy, &[]).await.expect("upgraded");
        }
    }
    let wanted: Vec<&str> = ["n1", "n2", "n3"].into_iter().cycle().skip_while(|id| *id != order[0]).take(8).collect();
    assert_eq!(order, wanted);
}

/// Every customer belongs to ordinal 1, which nobody has: so every request is the primary's, and without one it is refused.
#[tokio::test]
async fn the_primary_stays_in_its_epoch_and_no_request_is_without_one() {
    let yaml = crate::stage::YAML.replace(
        "policy: round-robin",
        "policy: { use: customer-modulo, with: { slots: 1, failover: primary } }\n    key: { header: x-customer-id }\n    \
         primary: { takeover_after: 1h }",
    );
    let mut proxy = proxy_with(&yaml, &["--grace", "3"]).await;
    let mut nodes = Vec::new();
    for number in 2..=3 {
        let options = NodeOptions::new(&format!("n{number}")).ordinal(number).join(proxy.admin.address(), "api", TTL);
        let mut node = node::start(options).expect("a node");
        node.joined().await;
        proxy.admin.node_is("api", &format!("n{number}"), "up").await.expect("up");
        nodes.push(node);
    }
    let path = "/v1/services/api/primary";
    let before = proxy.admin.get(path).await.expect("answered").json().expect("JSON");
    assert_eq!((&before["id"], &before["epoch"]), (&"n2".into(), &1.into()));
    let (stop, to) = (Arc::new(AtomicBool::new(false)), proxy.addr());
    let asking = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = Request::get("/echo").header("x-customer-id", "7").send(to).await;
                seen.insert(answer.map(|answer| answer.status).map_err(|error| error.to_string()));
            }
            seen
        }
    });
    for _ in 0..2 {
        upgrade(&mut proxy, &[]).await.expect("upgraded");
        let after = proxy.admin.get(path).await.expect("answered").json().expect("JSON");
        assert_eq!(after, before, "the same epoch since the same moment");
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(asking.await.expect("no panic").into_iter().collect::<Vec<_>>(), [Ok(200)]);
}

/// A client that keeps its connection to the API is told where to go, and finds everything there.
#[tokio::test]
async fn a_heartbeat_on_a_connection_from_before_is_sent_to_the_new_process() {
    let mut proxy = proxy(&["--grace", "3"]).await;
    let _nodes = nodes(&proxy, 1).await;
    let beat = Request::post("/v1/services/api/nodes/n1/heartbeat", &json!({}));
    let mut connection = Connection::open(proxy.admin.address()).await.expect("connected");
    assert_eq!(connection.exchange(&beat).await.expect("answered").status, 200);
    upgrade(&mut proxy, &[]).await.expect("upgraded");
    // It idles when the process before leaves, and is closed: there is nothing to be answered by mistake.
    let closed = || async { Connection::open(proxy.admin.address()).await.ok() };
    let mut again = until(closed).await.expect("connected");
    assert_eq!(again.exchange(&beat).await.expect("answered").status, 200);
    if let Ok(answer) = connection.exchange(&beat).await {
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")), "{}", answer.text());
    }
}
