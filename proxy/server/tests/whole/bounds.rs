//! What a listener grants its clients, and what it does not.

use std::net::SocketAddr;

use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use pointsman_demo::node::{self, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::puppet::Puppet;
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@, limits: { @limits@ } }]
admin: { address: "@admin@" }
trusted_proxies: [127.0.0.9]
registry: { store: embedded, path: registry }
services: { api: { timeouts: { idle: @idle@ }, nodes: [{ id: n1, address: "@node@" }] } }
routes: [{ service: api }]
"#;

async fn proxy(limits: &str, node: SocketAddr) -> Proxy {
    // Without the lane it is the service that bounds how long a client may not read.
    let idle = if crate::LANE == "on" { "60s" } else { "300ms" };
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@limits@", limits).replace("@idle@", idle);
    proxy_with(&yaml.replace("@node@", &node.to_string())).await
}

async fn counted(proxy: &Proxy, line: &str) {
    let found = proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
    found.unwrap_or_else(|_| panic!("`{line}` never stood in the metrics"));
}

/// Sends bytes; answers what comes until the end.
async fn answer(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("connected");
    stream.write_all(bytes).await.expect("sent");
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // An end by reset is an end, too.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("bound");
    socket.connect(to).await.expect("connected")
}

const HEAD: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";

#[tokio::test]
async fn a_head_has_so_many_bytes_and_fields() {
    let node = Puppet::start().await;
    let proxy = proxy("head: 2KiB, fields: 10", node.address).await;
    let _answers = node.answer_all(204);
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    assert!(answer(proxy.addr(), format!("{HEAD}{}\r\n", fields(8)).as_bytes()).await.contains(" 204 "));
    assert!(answer(proxy.addr(), format!("{HEAD}{}\r\n", fields(9)).as_bytes()).await.contains(" 431 "));
    let long = format!("{HEAD}x: {}\r\n\r\n", "y".repeat(2048));
    assert!(answer(proxy.addr(), long.as_bytes()).await.contains(" 431 "));
    counted(&proxy, "pointsman_refusals_total{reason=\"head-too-large\",service=\"-\"} 2").await;
}

#[tokio::test]
async fn a_head_has_so_much_time() {
    let node = Puppet::start().await;
    let proxy = proxy("head_timeout: 200ms", node.address).await;
    assert!(answer(proxy.addr(), HEAD.as_bytes()).await.contains(" 408 "));
    counted(&proxy, "pointsman_refusals_total{reason=\"client-slow\",service=\"-\"} 1").await;
}

#[tokio::test]
async fn a_connection_may_idle_for_so_long() {
    let node = Puppet::start().await;
    let proxy = proxy("keep_alive: 200ms", node.address).await;
    assert_eq!(answer(proxy.addr(), b"").await, "");
}

#[tokio::test]
async fn an_answer_may_lie_for_so_long() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy("send_timeout: 300ms", node.addr).await;
    let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
    // More than the buffers of both sockets hold.
    client.write_all(b"GET /bytes/67108864 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    // Counted when it is over, and the client has read nothing yet.
    counted(&proxy, "pointsman_requests_total{code=\"200\",service=\"api\"} 1").await;
    counted(&proxy, "pointsman_connections 0").await;
    assert!(rest(client).await.len() < 67_108_864);
}

#[tokio::test]
async fn a_body_has_so_many_bytes_said_or_not() {
    let mut node = Puppet::start().await;
    let proxy = proxy("body: 1KiB", node.address).await;
    let to = proxy.addr();
    let fits = tokio::spawn(async move { Request::new("POST", "/").body(vec![b'x'; 1024]).send(to).await });
    let asked = node.next().await;
    assert_eq!(asked.body.len(), 1024);
    asked.answer(204);
    assert_eq!(fits.await.expect("no panic").expect("answered").status, 204);
    let said = Request::new("POST", "/").body(vec![b'x'; 1025]).send(to).await.expect("answered");
    assert_eq!((said.status, said.json().expect("JSON")["reason"].as_str()), (413, Some("body-too-large")));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{head}400\r\n{}\r\n1\r\nx\r\n0\r\n\r\n", "x".repeat(1024));
    let found = answer(to, chunks.as_bytes()).await;
    assert!(found.contains(" 413 "), "{found}");
    let line = "pointsman_refusals_total{reason=\"body-too-large\",service=\"api\"} 2\n";
    proxy.admin.answers("/metrics", |answer| answer.text().contains(line)).await.expect("counted");
}

#[tokio::test]
async fn a_client_has_so_many_connections() {
    let node = Puppet::start().await;
    let proxy = proxy("connections_per_client: 2, connections: 5", node.address).await;
    let open = async |from: &str| connect_from(from, proxy.addr()).await;
    let (first, _second) = (open("127.0.0.1").await, open("127.0.0.1").await);
    // Workers take their connections in an order of their own.
    counted(&proxy, "pointsman_connections 2").await;
    assert_eq!(rest(open("127.0.0.1").await).await, "");
    counted(&proxy, "pointsman_connections_refused_total{reason=\"client\"} 1").await;
    drop(first);
    counted(&proxy, "pointsman_connections 1").await;
    let _more = [open("127.0.0.1").await, open("127.0.0.9").await, open("127.0.0.9").await, open("127.0.0.9").await];
    counted(&proxy, "pointsman_connections 5").await;
    assert_eq!(rest(open("127.0.0.2").await).await, "");
    counted(&proxy, "pointsman_connections_refused_total{reason=\"all\"} 1").await;
}
