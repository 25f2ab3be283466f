//! Owners that are learnt from what nodes answer, and released by it.

use super::*;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  oms:
    policy: round-robin
    owners:
      find: { path: "/orders/{id}" }
      learn: { response: @learn@ }
      on_unknown: @unknown@
      park: 60s
    health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 2 }
routes: [{ service: oms }]
"#;

async fn learning(learn: &str, unknown: &str) -> (Proxy, Vec<NodeHandle>) {
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@learn@", learn).replace("@unknown@", unknown);
    let proxy = proxy_with(&yaml).await;
    let nodes = nodes(&proxy, 3, &["oms"]).await;
    (proxy, nodes)
}

/// Creates an order; answers its id.
async fn create(proxy: &Proxy) -> String {
    let made = Request::post("/orders", &json!({ "qty": 1 })).send(proxy.addr()).await.expect("answered");
    assert_eq!(made.status, 201, "{}", made.text());
    made.json().expect("JSON")["id"].as_str().expect("an id").to_owned()
}

async fn found_where_they_are(learn: &str) {
    let (proxy, _nodes) = learning(learn, "refuse").await;
    for _ in 0..9 {
        let id = create(&proxy).await;
        let path = format!("/orders/{id}");
        for _ in 0..3 {
            let shown = Request::get(&path).send(proxy.addr()).await.expect("answered");
            assert_eq!(shown.status, 200, "{id} is known to its node alone: {}", shown.text());
        }
    }
    let unknown = Request::get("/orders/oms-1-99").send(proxy.addr()).await.expect("answered");
    refused(&unknown, "owner-unknown");
}

#[tokio::test]
async fn an_id_in_a_header_of_the_answer_leads_back_to_the_node() {
    found_where_they_are("{ header: location, steps: [{ strip_prefix: /orders/ }] }").await;
}

#[tokio::test]
async fn an_id_in_the_body_of_the_answer_leads_back_to_the_node() {
    found_where_they_are("{ json: /id }").await;
}

#[tokio::test]
async fn a_request_waits_for_its_order_to_be_learnt() {
    let (proxy, _nodes) = learning("{ json: /id }", "park").await;
    let early = Request::get("/orders/oms-1-1");
    let to = proxy.addr();
    let early = tokio::spawn(async move { early.send(to).await.expect("answered") });
    let mut ids = Vec::new();
    while !ids.contains(&"oms-1-1".to_owned()) {
        assert!(!early.is_finished(), "{ids:?}");
        ids.push(create(&proxy).await);
    }
    let shown = early.await.expect("runs");
    assert_eq!((shown.status, shown.header("x-node")), (200, Some("oms-1")), "{}", shown.text());
}

#[tokio::test]
async fn an_answer_that_is_an_error_teaches_nothing() {
    let (proxy, _nodes) = learning("{ json: /status }", "refuse").await;
    let failed = Request::get("/fail?status=409").send(proxy.addr()).await.expect("answered");
    assert_eq!(failed.status, 409);
    create(&proxy).await;
    assert_eq!(owner(&proxy, "409").await["reason"], "no-owner");
    assert_eq!(owner(&proxy, "new").await["key"], "new");
}

#[tokio::test]
async fn an_answer_that_says_so_releases_a_key() {
    let (proxy, _nodes) = stage("release: { json: /headers/x-final/0 }", 3).await;
    let home = node(&ask(&proxy, &[("x-order", "a")]).await);
    assert_eq!(node(&ask(&proxy, &[("x-order", "a"), ("x-final", "another")]).await), home);
    assert_eq!(owner(&proxy, "a").await["node"], home);
    assert_eq!(node(&ask(&proxy, &[("x-order", "a"), ("x-final", "a")]).await), home);
    assert_eq!(owner(&proxy, "a").await["reason"], "no-owner");
    let plain = ask(&proxy, &[("x-order", "a"), ("Accept-Encoding", "gzip")]).await;
    assert_eq!(sent(&plain, "accept-encoding"), json!(["identity"]), "a body that is encoded says nothing");
}
