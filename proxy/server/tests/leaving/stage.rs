//! What every test sets up: a proxy with listeners of every kind, nodes that join it, and the command that upgrades it.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use pointsman_demo::harness::{PATIENCE, Proxy, ProxyOptions};
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// Long enough that no node misses its renewals on a busy machine, short enough that an upgrade which loses some is seen.
pub(crate) const TTL: Duration = Duration::from_millis(3000);

/// With the lane, without it, over TLS.
pub(crate) const YAML: &str = r#"
listeners:
  - { address: "@listen@", http2: on }
  - { address: "@listen2@", http2: on, lane: off }
  - { address: "@listen3@", tls: { certificates: [{ cert: site.pem, key: site.key }] } }
admin: { address: "@admin@" }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  api:
    policy: round-robin
    health: { http: /health, interval: 1s, timeout: 1s, fall: 3, rise: 1 }
    drain: { spread: 300ms, deadline: 2s }
routes: [{ match: {}, service: api }]
"#;

pub(crate) async fn proxy(arguments: &[&str]) -> Proxy {
    proxy_with(YAML, arguments).await
}

pub(crate) async fn proxy_with(yaml: &str, arguments: &[&str]) -> Proxy {
    let pair = rcgen::generate_simple_self_signed(vec!["site.example".to_owned()]).expect("a certificate");
    let options = ProxyOptions::new(BINARY, yaml)
        .arguments(&["--threads", "2"])
        .arguments(arguments)
        .file("site.pem", pair.cert.pem())
        .file("site.key", pair.key_pair.serialize_pem());
    Proxy::start_with(options).await.expect("a proxy that serves")
}

/// Nodes that join and renew by themselves, up.
pub(crate) async fn nodes(proxy: &Proxy, count: u64) -> Vec<NodeHandle> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        let id = format!("n{number}");
        let options = NodeOptions::new(&id).ordinal(number).join(proxy.admin.address(), "api", TTL);
        let mut node = node::start(options).expect("a node");
        node.joined().await;
        proxy.admin.node_is("api", &id, "up").await.expect("up after its first check");
        nodes.push(node);
    }
    nodes
}

/// Runs `pointsman upgrade`; the error is what it said.
pub(crate) async fn upgrade(proxy: &mut Proxy, arguments: &[&str]) -> Result<u32, String> {
    let line = [&["upgrade", "-c", "pointsman.yaml"], arguments].concat();
    let said = proxy.command(&line).await.expect("the command runs");
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into_owned());
    }
    let said = String::from_utf8_lossy(&said.stdout);
    let pid = said.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
    let pid = pid.unwrap_or_else(|| panic!("no process is named: {said}"));
    proxy.upgraded(pid).expect("it runs");
    Ok(pid)
}

/// A program beside the configuration.
pub(crate) fn script(proxy: &Proxy, name: &str, text: &str) -> PathBuf {
    let path = proxy.folder().join(name);
    // Renamed into place: one that is open for writing cannot be run.
    let aside = path.with_extension("new");
    std::fs::write(&aside, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    std::fs::rename(&aside, &path).expect("renamed");
    path
}

/// Waits for a line of the metrics.
pub(crate) async fn counted(proxy: &Proxy, line: &str) {
    let found = proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
    found.unwrap_or_else(|problem| panic!("`{line}` never stood in the metrics: {problem}"));
}

/// No lease has lapsed under the eyes of the process that serves.
pub(crate) async fn no_lease_lost(proxy: &Proxy) {
    let text = proxy.admin.get("/metrics").await.expect("answered").text();
    let lost = |line: &&str| line.starts_with("pointsman_leases_lost_total{") && !line.ends_with(" 0");
    assert_eq!(text.lines().find(lost), None);
}

/// A WebSocket client.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn socket(to: SocketAddr) -> Socket {
    connect_async(format!("ws://{to}/ws")).await.expect("a handshake").0
}

/// What comes next, within reason; `None` at the end.
pub(crate) async fn next(socket: &mut Socket) -> Option<Message> {
    use futures::StreamExt;
    let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time");
    message.and_then(Result::ok)
}

/// An HTTP/2 client with prior knowledge.
pub(crate) async fn h2(to: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(to).await.expect("connected");
    let (requests, connection) = h2::client::handshake(stream).await.expect("spoken");
    tokio::spawn(connection);
    requests
}

/// The status of a GET over HTTP/2, its body read whole; `None` if the connection takes no further request.
pub(crate) async fn h2_get(requests: &SendRequest<Bytes>, path: &str) -> Result<Option<u16>, h2::Error> {
    let request = http::Request::get(format!("http://site.example{path}")).body(()).expect("a request");
    let Ok(mut ready) = requests.clone().ready().await else { return Ok(None) };
    let Ok((answer, _)) = ready.send_request(request, true) else { return Ok(None) };
    let (head, mut body) = answer.await?.into_parts();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(Some(head.status.as_u16()))
}
