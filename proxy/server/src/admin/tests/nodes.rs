//! Joining, renewing, leaving, draining.

use super::Api;

const NODE: &str = "/v1/services/oms/nodes/oms-1";

#[tokio::test]
async fn a_node_joins_renews_drains_and_leaves() {
    let api = Api::start().await;
    let body = r#"{"address": "127.0.0.1:9101", "ordinal": 4, "weight": 3, "zone": "z", "labels": {"a": "b"}, "ttl": "800ms"}"#;
    let created = api.send("PUT", NODE, body).await;
    assert_eq!((created.status, created.header("location")), (201, Some(NODE)));
    assert_eq!((&created.json()["outcome"], &created.json()["drained"]), (&"created".into(), &false.into()));
    assert_eq!(created.json()["ttl_ms"], 800);

    let seen = api.get(NODE).await.json();
    for (field, value) in [("ordinal", "4"), ("weight", "3"), ("lease_ms", "800"), ("zone", "\"z\"")] {
        assert_eq!(seen[field].to_string(), value, "{field}");
    }
    assert_eq!(seen["labels"]["a"], "b");

    let renewed = api.send("PUT", NODE, body).await;
    assert_eq!((renewed.status, renewed.header("location")), (200, None));

    assert_eq!(api.send("POST", &format!("{NODE}/heartbeat"), "").await.status, 200);
    assert_eq!(api.send("POST", &format!("{NODE}/heartbeat"), r#"{"load": {"queue": 9}}"#).await.status, 200);
    assert_eq!(api.get(NODE).await.json()["load"]["queue"], 9);
    let over = api.send("POST", &format!("{NODE}/heartbeat"), r#"{"load": {"utilisation": 9}}"#).await.json();
    assert!(over["note"].as_str().expect("a note").contains("9 is taken for 1"), "{over}");

    assert_eq!(api.send("POST", &format!("{NODE}/drain"), "").await.json()["outcome"], "draining");
    assert_eq!(api.get(NODE).await.json()["standing"], "draining");
    let again = api.send("PUT", NODE, body).await.json();
    assert_eq!(again["drained"], true, "{again}");
    assert!(again["next"].as_str().expect("a cure").contains("/nodes/oms-1/undrain"), "{again}");
    assert_eq!(api.send("POST", &format!("{NODE}/drain"), "").await.status, 200);
    assert_eq!(api.send("POST", &format!("{NODE}/undrain"), "").await.status, 200);
    assert_eq!(api.get(NODE).await.json()["standing"], "up");

    assert_eq!(api.send("DELETE", NODE, "").await.json()["outcome"], "left");
    api.get(NODE).await.problem(404, "no-node");
}

#[tokio::test]
async fn a_lapsed_node_is_told_to_join_again() {
    let api = Api::start().await;
    for suffix in ["/heartbeat", "/drain", "/undrain"] {
        let problem = api.send("POST", &format!("{NODE}{suffix}"), "").await.problem(404, "no-node");
        assert!(problem["next"].as_str().expect("text").contains("PUT /v1/services/oms/nodes/oms-1"), "{problem}");
    }
    api.send("DELETE", NODE, "").await.problem(404, "no-node");
}

#[tokio::test]
async fn each_denial_has_its_status() {
    let api = Api::start().await;
    let body = r#"{"address": "127.0.0.1:9101"}"#;
    for (path, status, reason) in [
        ("/v1/services/nobody/nodes/a", 404, "no-service"),
        ("/v1/services/oms/nodes/taken", 409, "ordinal-taken"),
        ("/v1/services/oms/nodes/fixed", 409, "static-node"),
        ("/v1/services/oms/nodes/invalid", 400, "invalid"),
        ("/v1/services/oms/nodes/storage", 503, "storage"),
        ("/v1/services/oms/nodes/stopped", 503, "stopping"),
    ] {
        let answer = api.send("PUT", path, body).await;
        let problem = answer.problem(status, reason);
        assert_eq!(problem["services"] == serde_json::json!(["oms"]), reason == "no-service", "{problem}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{path}");
    }
    api.send("DELETE", "/v1/services/oms/nodes/fixed", "").await.problem(409, "static-node");
}

#[tokio::test]
async fn the_proxy_itself_is_no_node() {
    let api = Api::start().await;
    let body = format!("{{\"address\": \"{}\"}}", api.address);
    let problem = api.send("PUT", NODE, &body).await.problem(400, "loop");
    assert!(problem["detail"].as_str().expect("text").contains("the admin API"), "{problem}");
    api.get(NODE).await.problem(404, "no-node");
}

#[tokio::test]
async fn bodies_that_are_wrong_name_the_field() {
    let api = Api::start().await;
    let wrong = r#"{"address": "localhost:80", "weight": 0, "ttl": "299ms", "wait": 1}"#;
    let problem = api.send("PUT", NODE, wrong).await.problem(400, "bad-field");
    let fields: Vec<&str> =
        problem["problems"].as_array().expect("list").iter().filter_map(|p| p["field"].as_str()).collect();
    assert_eq!(fields, ["address", "weight", "ttl", "wait"]);
    for body in ["", "{", "[]", "\"x\""] {
        api.send("PUT", NODE, body).await.problem(400, "bad-json");
    }
    api.send("POST", &format!("{NODE}/heartbeat"), "{\"load\": 7}").await.problem(400, "bad-field");
    api.send("PUT", "/v1/services/oms/nodes/a%20b", "{}").await.problem(400, "bad-id");
    api.send("PUT", "/v1/services/oms/nodes/%FF", "{}").await.problem(400, "bad-path");
    api.send("PUT", NODE, &format!("{{\"zone\": \"{}\"}}", "x".repeat(70_000))).await.problem(413, "too-large");
}

#[tokio::test]
async fn the_mark_of_ordinals_can_be_lowered() {
    let api = Api::start().await;
    let lowered = api.send("POST", "/v1/services/oms/high-water/lower", "").await;
    assert_eq!((lowered.status, &lowered.json()["high_water"], &lowered.json()["was"]), (200, &1.into(), &40.into()));
    api.send("POST", "/v1/services/nobody/high-water/lower", "").await.problem(404, "no-service");
}
