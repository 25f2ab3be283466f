//! Who may ask.

use serde_json::json;

use super::{AdminParts, Answer, Api, YAML, serve};
use crate::world::bus::Bus;
use crate::world::secure::Speech;

/// The configuration with these tokens: name, role, and a service or nothing. Each token is its name, twice.
pub(super) fn with_tokens(tokens: &[(&str, &str, &str)]) -> String {
    let entries = tokens.iter().map(|(name, role, service)| {
        let hash: String =
            crate::admin::hash(&format!("{name}{name}")).bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let service = if service.is_empty() { String::new() } else { format!(", service: {service}") };
        format!("{{ name: {name}, role: {role}{service}, hash: \"sha256:{hash}\" }}")
    });
    let list = entries.collect::<Vec<_>>().join(", ");
    YAML.replace("admin: { address: 127.0.0.1:0 }", &format!("admin: {{ address: 127.0.0.1:0, tokens: [{list}] }}"))
        .replace("routes:", "  api:\n    nodes: []\nroutes:")
}

pub(super) const TOKENS: [(&str, &str, &str); 4] =
    [("watch", "read", ""), ("any", "nodes", ""), ("own", "nodes", "oms"), ("root", "all", "")];

impl Api {
    pub(super) async fn call_as(&self, name: &str, method: &str, path: &str) -> Answer {
        let header = format!("authorization: Bearer {name}{name}");
        self.call(method, path, &[&header], b"{\"address\": \"127.0.0.1:9009\"}").await
    }
}

#[tokio::test]
async fn with_tokens_nothing_but_the_probes_answers_without_one() {
    let api = Api::start_with(&with_tokens(&TOKENS)).await;
    for path in ["/v1/services", "/metrics", "/v1", "/v1/events", "/nothing"] {
        let answer = api.get(path).await;
        answer.problem(401, "no-token");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"pointsman\""));
    }
    api.send("POST", "/v1/config/reload", "").await.problem(401, "no-token");
    assert_eq!(api.get("/livez").await.status, 200);
    assert_eq!(api.get("/readyz").await.status, 503);
    for header in
        ["authorization: Bearer wrong", "authorization: Basic abc", "authorization: Bearer", "authorization: bearer "]
    {
        api.call("GET", "/v1/services", &[header], b"").await.problem(401, "no-token");
    }
    for scheme in ["Bearer", "bearer"] {
        let header = format!("authorization: {scheme} watchwatch");
        assert_eq!(api.call("GET", "/v1/services", &[&header], b"").await.status, 200);
    }
    let metrics = api.call_as("watch", "GET", "/metrics").await.body;
    assert!(metrics.contains("pointsman_admin_refused_total{reason=\"no-token\"} 10"), "{metrics}");
}

#[tokio::test]
async fn a_role_grants_what_it_is_for_and_nothing_else() {
    let api = Api::start_with(&with_tokens(&TOKENS)).await;
    let node = "/v1/services/oms/nodes/fixed";
    for (method, path, granted) in [
        ("GET", "/metrics", ["watch", "root"].as_slice()),
        ("GET", "/", &["watch", "root"]),
        ("GET", "/v1/config", &["watch", "root"]),
        ("GET", "/v1/policies", &["watch", "root"]),
        ("GET", "/v1/services", &["watch", "any", "root"]),
        ("GET", node, &["watch", "any", "own", "root"]),
        ("PUT", "/v1/services/oms/nodes/new", &["any", "own", "root"]),
        ("POST", &format!("{node}/drain"), &["any", "own", "root"]),
        ("POST", "/v1/services/oms/high-water/lower", &["root"]),
        ("PUT", "/v1/policies/round-robin", &["root"]),
        ("POST", "/v1/config/reload", &["root"]),
        ("GET", "/v1", &["watch", "any", "own", "root"]),
    ] {
        for (name, ..) in TOKENS {
            let answer = api.call_as(name, method, path).await;
            let refused = answer.status == 403;
            assert_eq!(!refused, granted.contains(&name), "{name}: {method} {path}: {}", answer.body);
            assert_ne!(answer.status, 401, "{name}");
        }
    }
    let problem = api.call_as("watch", "POST", "/v1/config/reload").await.problem(403, "role");
    assert_eq!(problem["roles"], json!(["all"]));
    assert_eq!(problem["detail"], "token `watch` has the role `read`; POST /v1/config/reload needs `all`");
}

#[tokio::test]
async fn a_token_bound_to_a_service_changes_nothing_elsewhere() {
    let api = Api::start_with(&with_tokens(&TOKENS)).await;
    for (method, path) in [
        ("PUT", "/v1/services/api/nodes/new"),
        ("POST", "/v1/services/api/nodes/new/heartbeat"),
        ("DELETE", "/v1/services/api/nodes/new"),
        ("POST", "/v1/services/api/nodes/new/drain"),
        // However the name is written, it is judged as the handler reads it.
        ("PUT", "/v1/services/ap%69/nodes/new"),
        ("PUT", "/v1/services/oms%2F..%2Fapi/nodes/new"),
        ("GET", "/v1/services"),
    ] {
        let problem = api.call_as("own", method, path).await.problem(403, "other-service");
        assert_eq!(problem["service"], "oms", "{method} {path}");
    }
    assert_eq!(api.call_as("own", "PUT", "/v1/services/%6Fms/nodes/new").await.status, 201, "it is its own");
}

#[tokio::test]
async fn failures_are_bounded_and_whoever_was_right_before_still_is() {
    let yaml = with_tokens(&TOKENS).replace("tokens:", "failed_attempts: 5, tokens:");
    let api = Api::start_with(&yaml).await;
    assert_eq!(api.call_as("own", "GET", "/v1/services/oms").await.status, 200);
    for _ in 0..5 {
        api.call_as("guess", "GET", "/v1/services").await.problem(401, "no-token");
    }
    let answer = api.call_as("guess", "GET", "/v1/services").await;
    answer.problem(429, "too-many-attempts");
    assert_eq!(answer.header("retry-after"), Some("12"));
    api.call_as("root", "GET", "/v1/services").await.problem(429, "too-many-attempts");
    assert_eq!(api.call_as("own", "GET", "/v1/services/oms").await.status, 200, "a node beside keeps its lease");
    assert_eq!(api.get("/livez").await.status, 200);
}

#[tokio::test]
async fn tokens_are_those_of_the_configuration_in_force() {
    let api = Api::start_with(&with_tokens(&TOKENS)).await;
    let file = api.folder.path().join("pointsman.yaml");
    let swap = |yaml: &str| {
        std::fs::write(&file, yaml).expect("written");
        api.world.store(std::sync::Arc::new(super::reading::world(&file)));
    };
    assert_eq!(api.call_as("root", "GET", "/v1/config").await.status, 200);
    swap(&with_tokens(&[("other", "all", "")]));
    api.call_as("root", "GET", "/v1/config").await.problem(401, "no-token");
    assert_eq!(api.call_as("other", "GET", "/v1/config").await.status, 200);
    swap(&YAML.replace("admin: { address: 127.0.0.1:0 }\n", ""));
    api.call_as("other", "GET", "/v1/config").await.problem(403, "closed");
    assert_eq!(api.get("/livez").await.status, 200);
}

#[tokio::test]
async fn the_page_asks_for_a_token_itself() {
    let api = Api::start_with(&with_tokens(&TOKENS)).await;
    let answer = api.get("/").await;
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("text/html; charset=utf-8")));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"pointsman\""));
    assert!(answer.body.contains("This proxy wants a token"));
    // It is kept where it ends with the tab, and sent with whatever the page fetches.
    assert!(
        answer.body.contains("sessionStorage.setItem(TOKEN") && !answer.body.contains("localStorage.setItem(TOKEN")
    );
    assert!(answer.body.contains("authorization: `Bearer ${token}`"));
    assert_eq!(api.call_as("watch", "GET", "/").await.status, 200);
}

#[tokio::test]
async fn without_a_token_a_hostile_name_for_this_machine_is_refused() {
    let api = Api::start().await;
    for host in ["evil.example", "evil.example:9901", "localhost.evil.example", "10.0.0.1"] {
        let header = format!("host: {host}");
        api.call("GET", "/v1/services", &[&header], b"").await.problem(403, "foreign-host");
        assert_eq!(api.call("GET", "/livez", &[&header], b"").await.status, 200);
    }
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:80"] {
        assert_eq!(api.call("GET", "/v1/services", &[&format!("host: {host}")], b"").await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn without_a_token_pages_of_other_sites_change_nothing() {
    let api = Api::start().await;
    let drain = "/v1/services/oms/nodes/fixed/drain";
    for foreign in
        ["origin: http://evil.example", "origin: null", "sec-fetch-site: cross-site", "sec-fetch-site: same-site"]
    {
        api.call("POST", drain, &[foreign], b"").await.problem(403, "cross-site");
        assert_eq!(
            api.call("GET", "/v1/services", &[foreign], b"").await.status,
            200,
            "reading is for the browser to stop"
        );
    }
    let own = format!("origin: http://{}", api.address);
    assert_eq!(api.call("POST", drain, &[&own, "sec-fetch-site: same-origin"], b"").await.status, 200);
    assert_eq!(api.call("POST", drain, &[], b"").await.status, 200);
}

#[tokio::test]
async fn an_open_address_without_a_token_is_not_served() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pointsman.yaml");
    std::fs::write(&file, super::YAML).expect("written");
    let parts = AdminParts {
        entrance: crate::admin::Entrance::default(),
        control: crate::world::control::Control::channel().0,
        reload: crate::world::reload::Reload::channel().0,
        world: std::sync::Arc::new(arc_swap::ArcSwap::from_pointee(super::reading::world(&file))),
        bus: Bus::default(),
        metrics: std::sync::Arc::default(),
        ready: super::Ready::default(),
        audit: crate::audit::Audit::off(),
        speech: std::sync::Arc::new(|| Speech::Clear),
    };
    let address = listener.local_addr().expect("an address").into();
    let error = serve(listener.into(), address, parts).await.expect_err("refused").to_string();
    assert!(error.contains("admin.tokens"), "{error}");
}
