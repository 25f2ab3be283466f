//! Who may ask.

use super::{AdminParts, Api, serve};
use crate::world::bus::Bus;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn with_a_token_nothing_but_the_probes_answers_without_it() {
    let api = Api::start_with(Some(TOKEN)).await;
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
        let header = format!("authorization: {scheme} {TOKEN}");
        assert_eq!(api.call("GET", "/v1/services", &[&header], b"").await.status, 200);
    }
}

#[tokio::test]
async fn the_page_asks_for_the_token_itself() {
    let api = Api::start_with(Some(TOKEN)).await;
    let answer = api.get("/").await;
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("text/html; charset=utf-8")));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"pointsman\""));
    assert!(answer.body.contains("This proxy wants a token"));
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
        control: crate::world::control::Control::channel().0,
        reload: crate::world::reload::Reload::channel().0,
        world: std::sync::Arc::new(arc_swap::ArcSwap::from_pointee(super::reading::world(&file))),
        bus: Bus::default(),
        metrics: std::sync::Arc::default(),
        ready: super::Ready::default(),
        token: None,
    };
    let error = serve(listener, parts).await.expect_err("refused").to_string();
    assert!(error.contains("token_file"), "{error}");
}
