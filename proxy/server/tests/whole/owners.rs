//! Keys belong to the node that saw them first: requests for them go there, from every connection and worker, or nowhere but
//! where the settings say.

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::{Proxy, until};
use pointsman_demo::node::NodeHandle;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stage::{joined, nodes, proxy_with};

#[path = "owners/answers.rs"]
mod answers;
#[path = "owners/bodies.rs"]
mod bodies;
#[path = "owners/gone.rs"]
mod gone;

/// `@owners@` stands for what a test says of owners.
const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  oms:
    policy: round-robin
    owners: { find: [{ header: x-old }, { header: x-order }], learn: { request: { header: x-order } }, @owners@ }
    health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 2 }
routes: [{ service: oms }]
"#;

fn yaml(owners: &str) -> String {
    TEMPLATE.replace("@lane@", crate::LANE).replace("@owners@", owners)
}

/// A proxy before so many nodes.
async fn stage(owners: &str, count: u64) -> (Proxy, Vec<NodeHandle>) {
    let proxy = proxy_with(&yaml(owners)).await;
    let nodes = nodes(&proxy, count, &["oms"]).await;
    (proxy, nodes)
}

/// A request with these fields, on a connection of its own.
async fn ask(proxy: &Proxy, fields: &[(&str, &str)]) -> Answer {
    let request = Request::new("POST", "/echo");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send(proxy.addr()).await.expect("answered")
}

/// The node that took it.
fn node(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-node").expect("named").to_owned()
}

/// What the node was sent under a name.
fn sent(answer: &Answer, name: &str) -> Value {
    answer.json().expect("JSON")["headers"][name].clone()
}

async fn owner(proxy: &Proxy, key: &str) -> Value {
    proxy.admin.get(&format!("/v1/services/oms/owners/{key}")).await.expect("answered").json().expect("JSON")
}

/// Puts this configuration in force.
async fn now(proxy: &Proxy, yaml: &str) {
    proxy.write_config(yaml).expect("written");
    // The file may have been seen already.
    assert_ne!(proxy.admin.reload().await.expect("answered")["outcome"], "refused");
}

fn refused(answer: &Answer, reason: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    assert_eq!(answer.json().expect("JSON")["reason"], reason);
}

#[tokio::test]
async fn an_order_stays_where_it_was_created_and_so_does_its_replacement() {
    let (proxy, _nodes) = stage("on_gone: refuse", 3).await;
    let mut homes = Vec::new();
    for order in ["a", "b", "c"] {
        homes.push(node(&ask(&proxy, &[("x-order", order)]).await));
    }
    assert!(homes.iter().any(|home| *home != homes[0]), "{homes:?}");
    for turn in 0..24 {
        let (order, home) = (["a", "b", "c"][turn % 3], &homes[turn % 3]);
        assert_eq!(node(&ask(&proxy, &[("x-order", order)]).await), *home, "{order}");
    }
    assert_eq!(node(&ask(&proxy, &[("x-old", "a"), ("x-order", "a2")]).await), homes[0]);
    assert_eq!(node(&ask(&proxy, &[("x-old", "a2"), ("x-order", "a3")]).await), homes[0]);
    assert_eq!(node(&ask(&proxy, &[("x-order", "a3")]).await), homes[0]);
}

#[tokio::test]
async fn a_node_is_told_in_which_epoch_it_owns_a_key_and_no_client_says_so() {
    let (proxy, _nodes) = stage("on_gone: refuse", 2).await;
    let lies = [("x-order", "a"), ("Pointsman-Owner-Epoch", "7"), ("pointsman_owner_epoch", "8")];
    for _ in 0..3 {
        assert_eq!(sent(&ask(&proxy, &lies).await, "pointsman-owner-epoch"), json!(["0"]));
    }
    let without = ask(&proxy, &lies[1..]).await;
    assert_eq!(sent(&without, "pointsman-owner-epoch"), Value::Null, "{}", without.text());
    assert!(!without.text().contains("owner_epoch"));
    let home = node(&ask(&proxy, &[("x-order", "a")]).await);
    let to = if home == "oms-1" { "oms-2" } else { "oms-1" };
    let body = json!({ "from": home, "to": to });
    let moved = proxy.admin.post("/v1/services/oms/owners/reassign", &body).await.expect("answered");
    assert_eq!(moved.json().expect("JSON")["moved"], 1, "{}", moved.text());
    let answer = ask(&proxy, &lies).await;
    assert_eq!((node(&answer).as_str(), sent(&answer, "pointsman-owner-epoch")), (to, json!(["1"])));
}

#[tokio::test]
async fn clients_that_bring_a_new_key_at_once_all_go_to_one_node() {
    let (proxy, _nodes) = stage("on_gone: refuse", 3).await;
    for order in 0..8 {
        let mut clients = JoinSet::new();
        for _ in 0..24 {
            let (to, request) =
                (proxy.addr(), Request::new("POST", "/echo").header("x-order", &format!("new-{order}")));
            clients.spawn(async move { node(&request.send(to).await.expect("answered")) });
        }
        let went = clients.join_all().await;
        assert!(went.iter().all(|node| *node == went[0]), "order {order}: {went:?}");
    }
    let figures = proxy.admin.get("/metrics").await.expect("metrics").text();
    for line in
        ["pointsman_owners{service=\"oms\"} 8", "pointsman_owner_changes_total{change=\"claimed\",service=\"oms\"} 8"]
    {
        assert!(figures.lines().any(|l| l == line), "{line} is not in\n{figures}");
    }
}

#[tokio::test]
async fn owners_outlive_a_reload_and_are_forgotten_in_time() {
    let (proxy, _nodes) = stage("on_gone: refuse", 3).await;
    let home = node(&ask(&proxy, &[("x-order", "a")]).await);
    now(&proxy, &yaml("on_gone: refuse").replace("round-robin", "least-connections")).await;
    assert_eq!(node(&ask(&proxy, &[("x-order", "a")]).await), home);
    // Where they are kept for a second only, an owner is gone by itself.
    now(&proxy, &yaml("on_gone: refuse, ttl: 1s")).await;
    let gone = proxy.admin.answers("/v1/services/oms/owners/a", |answer| answer.status == 404).await;
    assert_eq!(gone.expect("forgotten").json().expect("JSON")["reason"], "no-owner");
    let line = "pointsman_owners{service=\"oms\"} 0";
    let swept = proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
    swept.expect("swept");
}

#[tokio::test]
async fn operators_see_move_and_release_owners() {
    let (proxy, _nodes) = stage("on_unknown: refuse, on_gone: park", 2).await;
    refused(&ask(&proxy, &[("x-order", "a")]).await, "owner-unknown");
    now(&proxy, &yaml("on_gone: refuse")).await;
    let home = node(&ask(&proxy, &[("x-order", "a/1")]).await);
    let seen = owner(&proxy, "a%2F1").await;
    assert_eq!((&seen["node"], &seen["epoch"], &seen["there"]), (&json!(home), &json!(0), &json!(true)), "{seen}");
    let listed = proxy.admin.get(&format!("/v1/services/oms/owners?node={home}&limit=5")).await;
    let listed = listed.expect("answered").json().expect("JSON");
    assert_eq!((&listed["owned"], &listed["keys"][0]["key"]), (&json!(1), &json!("a/1")), "{listed}");
    let route = proxy.admin.get("/v1/services/oms/route?key=a%2F1").await.expect("answered").json().expect("JSON");
    assert_eq!((&route["owned"]["goes_to"], &route["owned"]["node"]), (&json!("owner"), &json!(home)), "{route}");
    let to = if home == "oms-1" { "oms-2" } else { "oms-1" };
    let reassign = "/v1/services/oms/owners/reassign";
    for (body, status, reason) in [
        (json!({ "from": home, "to": "nobody" }), 404, "no-node"),
        (json!({ "key": "nobody's", "to": to }), 404, "no-owner"),
        (json!({ "from": home, "key": "a", "to": to }), 400, "bad-json"),
        (json!({ "to": to }), 400, "bad-json"),
    ] {
        let answer = proxy.admin.post(reassign, &body).await.expect("answered");
        assert_eq!((answer.status, answer.json().expect("JSON")["reason"].as_str()), (status, Some(reason)), "{body}");
    }
    let moved = proxy.admin.post(reassign, &json!({ "key": "a/1", "to": to })).await.expect("answered");
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(node(&ask(&proxy, &[("x-order", "a/1")]).await), to);
    let released = proxy.admin.delete("/v1/services/oms/owners/a%2F1").await.expect("answered");
    assert_eq!(released.json().expect("JSON")["node"], to, "{}", released.text());
    assert_eq!(proxy.admin.delete("/v1/services/oms/owners/a%2F1").await.expect("answered").status, 404);
    let audit = std::fs::read_to_string(proxy.folder().join("registry/audit.log")).expect("beside the registry");
    let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let told = |line: Value| ["what", "outcome", "before", "after", "given"].map(|name| line[name].to_string());
    let changes: Vec<_> = lines.map(told).filter(|told| told[0].contains("owner") && told[1] == "\"done\"").collect();
    let [moved, released] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(moved[4], json!({ "from": home, "key": "a/1", "to": to, "moved": 1 }).to_string());
    assert_eq!([&*moved[0], &moved[2]], ["\"reassign-owners\"", &*json!({ home: 1 }).to_string()]);
    assert_eq!([&*released[0], &released[3]], ["\"release-owner\"", r#"{"key":"a/1","node":null}"#]);
}
