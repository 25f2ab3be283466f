//! Clients that come back to their node by a signed cookie.

use std::collections::BTreeSet;

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::{Proxy, ProxyOptions};
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::BINARY;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  shop:
    policy: sticky
    sticky_cookie: { name: node, secret_file: shop.secret }
    nodes: [@nodes@]
routes: [{ match: {}, service: shop }]
"#;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

struct Stage {
    nodes: Vec<NodeHandle>,
}

impl Stage {
    fn new() -> Self {
        Self { nodes: ["n1", "n2", "n3"].map(|id| node::start(NodeOptions::new(id)).expect("a node")).into() }
    }

    /// A proxy in front of the nodes.
    async fn proxy(&self) -> Proxy {
        let nodes = (1..).zip(&self.nodes).map(|(n, node)| format!("{{ id: n{n}, address: \"{}\" }}", node.addr));
        let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@nodes@", &nodes.collect::<Vec<_>>().join(", "));
        let options = ProxyOptions::new(BINARY, &yaml).file("shop.secret", SECRET).arguments(&["--threads", "2"]);
        Proxy::start_with(options).await.expect("a proxy that serves")
    }
}

async fn ask(proxy: &Proxy, cookie: Option<&str>) -> Answer {
    let request = cookie.into_iter().fold(Request::get("/echo"), |request, cookie| request.header("cookie", cookie));
    request.send(proxy.addr()).await.expect("answered")
}

/// The node that answered, and the cookie that came with it, if one did.
async fn met(proxy: &Proxy, cookie: Option<&str>) -> (String, Option<String>) {
    let answer = ask(proxy, cookie).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let issued = answer.header("set-cookie").map(|field| {
        let (pair, attributes) = field.split_once(';').expect("attributes");
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
        pair.to_owned()
    });
    (answer.header("x-node").expect("who it is").to_owned(), issued)
}

async fn counts(proxy: &Proxy, outcome: &str, count: u32) {
    let line = format!("pointsman_sticky_cookies_total{{outcome=\"{outcome}\",service=\"shop\"}} {count}\n");
    proxy.admin.answers("/metrics", |answer| answer.text().contains(&line)).await.expect(&line);
}

#[tokio::test]
async fn a_client_comes_back_through_any_proxy() {
    let stage = Stage::new();
    let (first, second) = (stage.proxy().await, stage.proxy().await);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let (node, cookie) = met(&first, None).await;
        let cookie = cookie.expect("a cookie");
        assert!(cookie.starts_with(&format!("node={node}.")), "{cookie}");
        clients.push((node, cookie));
    }
    let met_by: BTreeSet<_> = clients.iter().map(|(node, _)| node).collect();
    assert_eq!(met_by.len(), 3, "round robin at first");
    for (node, cookie) in &clients {
        for proxy in [&first, &second, &first, &first, &second] {
            let among = format!("a=1; {cookie}; b=2");
            assert_eq!(met(proxy, Some(&among)).await, (node.clone(), None));
        }
    }
    counts(&first, "none", 3).await;
    counts(&first, "issued", 3).await;
    counts(&first, "kept", 9).await;
    counts(&second, "kept", 6).await;
    counts(&second, "issued", 0).await;
}

#[tokio::test]
async fn forged_and_foreign_cookies_count_as_none_and_are_replaced() {
    let stage = Stage::new();
    let proxy = stage.proxy().await;
    let (node, cookie) = met(&proxy, None).await;
    let tag = cookie.expect("a cookie").split_once(&format!("{node}.")).expect("a tag").1.to_owned();
    let other = if node == "n1" { "n2" } else { "n1" };
    for forged in [format!("node={other}.{tag}"), "node=n1".into(), format!("node=n1.{}", "0".repeat(64))] {
        let mut nodes = BTreeSet::new();
        for _ in 0..3 {
            let (node, issued) = met(&proxy, Some(&forged)).await;
            assert!(issued.expect("another").starts_with(&format!("node={node}.")));
            nodes.insert(node);
        }
        assert_eq!(nodes.len(), 3, "{forged} chose a node");
    }
    counts(&proxy, "forged", 9).await;
}

#[tokio::test]
async fn a_client_whose_node_is_gone_gets_another() {
    let stage = Stage::new();
    let proxy = stage.proxy().await;
    let (node, cookie) = met(&proxy, None).await;
    let cookie = cookie.expect("a cookie");
    let drained = proxy.admin.post(&format!("/v1/services/shop/nodes/{node}/drain"), &serde_json::json!({})).await;
    assert!(drained.expect("answered").status < 300);
    proxy.admin.node_is("shop", &node, "draining").await.expect("it drains");
    let (next, issued) = met(&proxy, Some(&cookie)).await;
    assert_ne!(next, node);
    let issued = issued.expect("another");
    assert_eq!(met(&proxy, Some(&issued)).await, (next, None));
    counts(&proxy, "gone", 1).await;
    // It comes back, and its client to it.
    let back = proxy.admin.post(&format!("/v1/services/shop/nodes/{node}/undrain"), &serde_json::json!({})).await;
    assert!(back.expect("answered").status < 300);
    proxy.admin.node_is("shop", &node, "up").await.expect("it is up");
    assert_eq!(met(&proxy, Some(&cookie)).await, (node, None));
}

#[tokio::test]
async fn a_client_of_a_dead_node_is_served_by_another_in_the_same_request() {
    let mut stage = Stage::new();
    let proxy = stage.proxy().await;
    let (node, cookie) = met(&proxy, None).await;
    let cookie = cookie.expect("a cookie");
    let index = ["n1", "n2", "n3"].iter().position(|id| *id == node).expect("one of ours");
    stage.nodes.remove(index).kill();
    let (next, issued) = met(&proxy, Some(&cookie)).await;
    assert_ne!(next, node);
    assert!(issued.expect("another").starts_with(&format!("node={next}.")));
}

#[tokio::test]
async fn secrets_rotate_while_clients_stay() {
    let stage = Stage::new();
    let proxy = stage.proxy().await;
    let (node, cookie) = met(&proxy, None).await;
    let cookie = cookie.expect("a cookie");
    let secrets = |text: &str| {
        std::fs::write(proxy.folder().join("shop.new"), text).expect("written");
        std::fs::rename(proxy.folder().join("shop.new"), proxy.folder().join("shop.secret")).expect("renamed");
    };
    secrets(&format!("{OTHER}\n{SECRET}\n"));
    proxy.admin.answers("/metrics", |a| a.text().contains("config_generation 2\n")).await.expect("live");
    let (same, renewed) = met(&proxy, Some(&cookie)).await;
    let renewed = renewed.expect("one that is signed with the new secret");
    assert_eq!((same, met(&proxy, Some(&renewed)).await.1), (node.clone(), None));
    secrets(OTHER);
    proxy.admin.answers("/metrics", |a| a.text().contains("config_generation 3\n")).await.expect("live");
    assert_eq!(met(&proxy, Some(&renewed)).await, (node, None));
    assert!(met(&proxy, Some(&cookie)).await.1.is_some(), "the old secret says nothing any more");
    // What holds no secret is refused, and what was in force goes on.
    secrets("short");
    proxy.has_said("wants 1 to 8 secrets of 32 characters or more").await.expect("told");
    assert_eq!(met(&proxy, Some(&renewed)).await.1, None);
}

#[tokio::test]
async fn the_answer_that_opens_a_tunnel_brings_the_cookie_too() {
    let stage = Stage::new();
    let proxy = stage.proxy().await;
    let mut socket = TcpStream::connect(proxy.addr()).await.expect("connected");
    let ask = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
               sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(ask.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap_or_default().to_owned())
    });
    let cookie = field.expect("a cookie");
    let (node, issued) = met(&proxy, Some(&cookie)).await;
    assert!(cookie.starts_with(&format!("node={node}.")) && issued.is_none(), "{cookie}");
}

#[tokio::test]
async fn a_policy_that_asks_for_no_owner_has_no_use_for_a_cookie() {
    let stage = Stage::new();
    let proxy = stage.proxy().await;
    let yaml = std::fs::read_to_string(proxy.config()).expect("readable");
    proxy.write_config(&yaml.replace("policy: sticky", "policy: round-robin")).expect("written");
    proxy.has_said("policy `round-robin` of service `shop` does not ask whose a request is").await.expect("told");
    let (_, cookie) = met(&proxy, None).await;
    assert!(cookie.is_some(), "what was in force goes on");
}
