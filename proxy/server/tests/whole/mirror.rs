//! Copies of requests for another service: what is copied, and that nobody waits for it.

use pointsman_core::route::share::Share;
use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::Proxy;
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  api: { nodes: [{ id: n1, address: "@node@" }] }
  # A copy has no body: there is no key in it, and no need of one.
  shadow: { policy: consistent-hash, key: { json: /id }, nodes: [{ id: n2, address: "@shadow@" }], timeouts: { response: 60s } }
  nobody: { nodes: [{ id: n3, address: 127.0.0.1:9 }] }
routes:
  - { match: { path: /part }, service: api, mirror: { service: shadow, share: 50% }, rewrite: { path: /echo } }
  - { match: { path: /lost }, service: api, mirror: { service: nobody }, rewrite: { path: /echo } }
  - { match: { path: /few }, service: api, mirror: { service: shadow, concurrency: 1 }, rewrite: { path: /echo } }
  - match: {}
    service: api
    mirror: { service: shadow }
    request_headers: { set: { X-Env: prod } }
"#;

struct Stage {
    proxy: Proxy,
    node: NodeHandle,
}

async fn stage(shadow: std::net::SocketAddr) -> Stage {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &node.addr.to_string());
    let proxy = proxy_with(&yaml.replace("@shadow@", &shadow.to_string())).await;
    Stage { proxy, node }
}

impl Stage {
    async fn counted(&self, service: &str, result: &str, times: usize) {
        let line = format!("pointsman_mirrored_total{{result=\"{result}\",service=\"{service}\"}} {times}");
        let found = self.proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
        found.unwrap_or_else(|_| panic!("`{line}` never stood in the metrics"));
    }

    async fn ask(&self, request: Request) -> u16 {
        let request = request.header("host", "shop.example:99");
        request.send(self.proxy.addr()).await.expect("answered").status
    }
}

#[tokio::test]
async fn a_copy_is_what_the_node_was_sent_and_says_that_it_is_one() {
    let shadow = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stage = stage(shadow.local_addr().expect("an address")).await;
    let request = Request::get("/echo?a=b").header("x-request-id", "seven").header("Cookie", "c=d");
    let request = request.header("x-pointsman-mirror", "1");
    // One connection, so one worker with its own connections to nodes.
    let mut client = Connection::open(stage.proxy.addr()).await.expect("connected");
    let request = request.header("x-forwarded-for", "203.0.113.1").header("host", "shop.example:99");
    assert_eq!(client.exchange(&request).await.expect("answered").status, 200);
    // The client has its answer, and nobody has read the copy yet.
    let (mut copy, _) = shadow.accept().await.expect("asked");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        copy.read_exact(&mut byte).await.expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("get /echo?a=b http/1.1"));
    for line in [
        "host: shop.example:99",
        "x-pointsman-mirror: 1",
        "x-request-id: seven",
        "cookie: c=d",
        "x-env: prod",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert_eq!(head.lines().filter(|found| *found == line).count(), 1, "{line} in {head}");
    }
    copy.write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno").await.expect("written");
    stage.counted("shadow", "answered", 1).await;
    // Its connection is used again.
    assert_eq!(client.exchange(&request).await.expect("answered").status, 200);
    copy.read_exact(&mut [0]).await.expect("the next copy");
}

#[tokio::test]
async fn what_may_change_something_or_has_a_body_is_not_copied() {
    let shadow = node::start(NodeOptions::new("n2")).expect("a node");
    let stage = stage(shadow.addr).await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        assert_eq!(stage.ask(Request::new(method, "/echo").body(b"body".to_vec())).await, 200);
    }
    assert_eq!(stage.ask(Request::get("/echo").body(b"body".to_vec())).await, 200);
    stage.counted("shadow", "unfit", 1).await;
    assert_eq!(stage.ask(Request::get("/echo")).await, 200);
    stage.counted("shadow", "answered", 1).await;
    assert_eq!((stage.node.stats().requests, shadow.stats().requests), (6, 1));
}

#[tokio::test]
async fn a_share_is_the_same_requests_again() {
    let shadow = node::start(NodeOptions::new("n2")).expect("a node");
    let stage = stage(shadow.addr).await;
    let share = Share::new("shadow", 0.5);
    let ids: Vec<String> = (0..60).map(|id| format!("request-{id}")).collect();
    let copied = ids.iter().filter(|id| share.holds(id)).count();
    assert!((10..=50).contains(&copied), "{copied}");
    for turn in 1..=2 {
        for id in &ids {
            assert_eq!(stage.ask(Request::get("/part").header("x-request-id", id)).await, 200);
        }
        stage.counted("shadow", "answered", turn * copied).await;
    }
    assert_eq!(shadow.stats().requests, 2 * copied as u64);
}

#[tokio::test]
async fn a_service_that_is_gone_or_slow_costs_the_client_nothing() {
    let shadow = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stage = stage(shadow.local_addr().expect("an address")).await;
    for _ in 0..5 {
        assert_eq!(stage.ask(Request::get("/lost")).await, 200);
    }
    stage.counted("nobody", "failed", 5).await;
    // One copy is under way for as long as its node is silent; the others are dropped.
    for _ in 0..5 {
        assert_eq!(stage.ask(Request::get("/few")).await, 200);
    }
    stage.counted("shadow", "busy", 4).await;
}
