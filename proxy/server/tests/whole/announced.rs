//! Proxies that say first whose connection they pass on, and addresses of IPv6.

use std::net::SocketAddr;

use pointsman_demo::harness::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::puppet::{Headers, Puppet};
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@, proxy_protocol: on }, { address: "[::1]:0", lane: @lane@ }]
admin: { address: "@admin@" }
trusted_proxies: [127.0.0.9]
registry: { store: embedded, path: registry }
services: { api: { nodes: [{ id: n1, address: "@node@" }] } }
routes: [{ service: api }]
"#;

async fn proxy(node: SocketAddr) -> Proxy {
    proxy_with(&TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &node.to_string())).await
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("bound");
    socket.connect(to).await.expect("connected")
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\nConnection: close\r\n\r\n";

/// What the node is told.
async fn seen(node: &mut Puppet, mut stream: TcpStream, before: &[u8]) -> Headers {
    stream.write_all(&[before, GET].concat()).await.expect("sent");
    let asked = node.next().await;
    let headers = asked.headers.clone();
    asked.answer(204);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.contains(" 204 "), "{answer}");
    headers
}

#[tokio::test]
async fn whom_a_trusted_proxy_announces_is_the_client() {
    let mut node = Puppet::start().await;
    let proxy = proxy(node.address).await;
    let bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x02\x7f\x00\x00\x01\x12\x67\x00\x50";
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n"[..], "192.0.2.1"),
        (&b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n"[..], "2001:db8::1"),
        (&bytes[..], "192.0.2.2"),
    ] {
        let headers = seen(&mut node, connect("127.0.0.9", proxy.addr()).await, header).await;
        assert_eq!(headers.values("x-forwarded-for"), [client], "what the client says of itself is replaced");
    }
    let own = seen(&mut node, connect("127.0.0.9", proxy.addr()).await, b"PROXY UNKNOWN\r\n").await;
    assert_eq!(own.values("x-forwarded-for"), ["203.0.113.1, 127.0.0.9"]);
}

#[tokio::test]
async fn nobody_else_is_let_in() {
    let node = Puppet::start().await;
    let proxy = proxy(node.address).await;
    for (from, header, why) in [
        ("127.0.0.1", &b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n"[..], "untrusted"),
        ("127.0.0.9", &b""[..], "proxy-header"),
    ] {
        let mut stream = connect(from, proxy.addr()).await;
        // The end may come before all is written.
        let _ = stream.write_all(&[header, GET].concat()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        let line = format!("pointsman_connections_refused_total{{reason=\"{why}\"}} 1");
        proxy.admin.answers("/metrics", |a| a.text().contains(&line)).await.expect("counted");
    }
    assert!(!node.is_asked());
}

#[tokio::test]
async fn clients_and_nodes_of_ipv6_meet() {
    let mut node = Puppet::at("[::1]:0".parse().expect("an address")).await;
    let proxy = proxy(node.address).await;
    let stream = TcpStream::connect(proxy.listeners[1]).await.expect("connected");
    let headers = seen(&mut node, stream, b"").await;
    assert_eq!(headers.values("x-forwarded-for"), ["::1"]);
    assert_eq!(headers.values("forwarded"), ["for=\"[::1]\";host=\"a\";proto=http"]);
}
