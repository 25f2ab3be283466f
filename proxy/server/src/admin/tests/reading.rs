//! What is read: services, policies, configuration, probes, the page; and what is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use pointsman_core::route::Router;

use super::Api;
use crate::admin::PATHS;
use crate::world::World;

/// A world without services of its own.
pub(super) fn world(file: &Path) -> World {
    let plan = Arc::new(pointsman_config::load(file, &["round-robin"]).expect("a good file"));
    World { generation: 3, router: Router::new(&plan.routes), plan, by_route: Vec::new(), services: BTreeMap::new() }
}

#[tokio::test]
async fn services_are_listed_and_shown() {
    let api = Api::start().await;
    let all = api.get("/v1/services").await.json();
    assert_eq!(all["generation"], 3);
    assert_eq!(all["services"][0]["name"], "oms");
    let one = api.get("/v1/services/oms").await.json();
    assert_eq!(one["policy"], "round-robin");
    assert_eq!(one["version"], 7);
    assert_eq!(one["nodes"][0]["id"], "fixed");
    let missing = api.get("/v1/services/omz").await.problem(404, "no-service");
    assert_eq!(missing["services"][0], "oms");
}

#[tokio::test]
async fn who_is_the_primary_is_told_and_why_nobody_is() {
    let api = Api::start().await;
    let asked = api.get("/v1/services/oms/primary").await.json();
    let wanted = serde_json::json!({
        "service": "oms", "id": "fixed", "address": "127.0.0.1:9001", "epoch": 41, "since_ms": 1_700_000_000_000_u64
    });
    assert_eq!(asked, wanted);
    let service = api.get("/v1/services/oms").await.json();
    assert_eq!((&service["primary"], &service["epoch"]), (&"fixed".into(), &41.into()));
    assert_eq!(api.send("POST", "/v1/services/oms/nodes/fixed/drain", "").await.status, 200);
    let none = api.get("/v1/services/oms/primary").await.problem(404, "no-primary");
    assert_eq!((&none["epoch"], &none["why"]), (&41.into(), &"drained".into()));
    assert!(none["detail"].as_str().is_some_and(|detail| detail.contains("`fixed` was it")), "{none}");
    let service = api.get("/v1/services/oms").await.json();
    assert_eq!((&service["primary"], &service["epoch"]), (&serde_json::Value::Null, &41.into()));
    api.get("/v1/services/omz/primary").await.problem(404, "no-service");
}

#[tokio::test]
async fn the_configuration_is_shown_as_it_was_written() {
    let api = Api::start().await;
    let config = api.get("/v1/config").await.json();
    assert_eq!(config["generation"], 3);
    assert_eq!(config["yaml"], super::YAML);
    assert_eq!(config["yaml_in_force"], true);
    assert_eq!(config["services"][0], "oms");
    assert!(config["last_reload"].is_null());

    let file = api.folder.path().join("pointsman.yaml");
    std::fs::write(&file, super::YAML.replace("9001", "9002")).expect("written");
    assert_eq!(api.get("/v1/config").await.json()["yaml_in_force"], false);
    std::fs::remove_file(&file).expect("removed");
    let config = api.get("/v1/config").await.json();
    assert!(config["yaml"].is_null() && config["yaml_problem"].as_str().is_some_and(|p| p.contains("pointsman.yaml")));
}

#[tokio::test]
async fn policies_are_listed_and_shown() {
    let api = Api::start().await;
    assert_eq!(api.get("/v1/policies").await.json()["policies"][0]["name"], "round-robin");
    assert_eq!(api.get("/v1/policies/round-robin").await.json()["digest"], "0123456789abcdef");
    let missing = api.get("/v1/policies/nobody").await.problem(404, "no-policy");
    assert_eq!(missing["policies"][0], "round-robin");
}

#[tokio::test]
async fn probes_say_where_the_proxy_is_in_its_life() {
    let api = Api::start().await;
    assert_eq!(api.get("/livez").await.status, 200);
    let starting = api.get("/readyz").await;
    assert!(starting.problem(503, "not-ready")["detail"].as_str().expect("text").contains("starting"));
    api.ready.set(true);
    assert_eq!(api.get("/readyz").await.status, 200);
    api.ready.set(false);
    let draining = api.get("/readyz").await;
    assert!(draining.problem(503, "not-ready")["detail"].as_str().expect("text").contains("draining"));
    assert_eq!(api.get("/livez").await.status, 200, "draining is alive");
}

#[tokio::test]
async fn figures_are_in_the_text_format() {
    let answer = Api::start().await.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.contains("# TYPE pointsman_config_generation gauge"), "{}", answer.body);
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let answer = Api::start().await.get("/").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    assert_eq!(answer.body.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "style and script");
    for outside in ["src=\"", "@import", "url(http", "https://"] {
        assert!(!answer.body.contains(outside), "{outside}");
    }
    assert!(answer.body.contains("function serviceCard"), "the script is inside");
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_what_is() {
    let api = Api::start().await;
    let missing = api.get("/v2/nodes").await.problem(404, "no-path");
    assert_eq!(missing["paths"].as_array().expect("list").len(), PATHS.len());
    let answer = api.send("POST", "/v1/services", "").await;
    answer.problem(405, "no-method");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    let answer = api.send("PATCH", "/v1/services/oms/nodes/a", "").await;
    answer.problem(405, "no-method");
    assert_eq!(answer.header("allow"), Some("GET,HEAD,PUT,DELETE"));
}

#[tokio::test]
async fn every_path_that_is_listed_answers_and_is_documented() {
    let api = Api::start().await;
    let documented = include_str!("../../../../../docs/admin-api.md");
    for (method, path, ..) in PATHS {
        assert!(documented.contains(path), "{path} is missing in docs/admin-api.md");
        if path == "/v1/events" {
            continue; // has no end; tests/events.rs reads it
        }
        let filled = path.replace("{service}", "oms").replace("{id}", "fixed").replace("{name}", "round-robin");
        let answer = api.send(method, &filled, "{}").await;
        assert_ne!(answer.status, 405, "{method} {path}");
        assert!(answer.status != 404 || answer.json()["reason"] != "no-path", "{method} {path}");
    }
    assert_eq!(api.get("/v1").await.json()["paths"].as_array().expect("list").len(), PATHS.len());
}

/// Names that stand in quotes behind `before` in the sources of the server.
fn quoted(folder: &Path, before: &str, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            quoted(&path, before, names);
        } else if !path.to_string_lossy().contains("tests") {
            let text = std::fs::read_to_string(&path).expect("a source");
            names.extend(text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(String::from));
        }
    }
}

#[test]
fn every_event_and_every_metric_is_documented() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut events = BTreeSet::new();
    quoted(&sources, ".tell(\"", &mut events);
    quoted(&sources, "(\"node-", &mut events);
    quoted(&sources, "(\"primary-", &mut events);
    let mut metrics = BTreeSet::new();
    quoted(&sources.join("metrics.rs").with_extension(""), "\"pointsman_", &mut metrics);
    let text = std::fs::read_to_string(sources.join("metrics.rs")).expect("a source");
    metrics.extend(text.split("\"pointsman_").skip(1).filter_map(|rest| rest.split('"').next()).map(String::from));
    assert!(events.len() > 5 && metrics.len() > 10, "{events:?} {metrics:?}");

    let documented = include_str!("../../../../../docs/admin-api.md");
    for event in events {
        assert!(documented.contains(&format!("{event}`")), "{event} is missing in docs/admin-api.md");
    }
    let documented = include_str!("../../../../../docs/metrics.md");
    for metric in metrics {
        assert!(
            documented.contains(&format!("`pointsman_{metric}`")),
            "pointsman_{metric} is missing in docs/metrics.md"
        );
    }
}
