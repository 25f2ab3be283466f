//! Keys that stand in the body of a request over HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use pointsman_demo::harness::{Proxy, ProxyOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::nodes::Grpc;
use crate::stage::{BINARY, Client, counted, post};

/// Client 2 is at home at node 1, client 1 at node 2.
const TEMPLATE: &str = r#"
listeners:
  - { address: "@listen@", lane: on, @also@ }
  - { address: "@listen2@", lane: off, @also@ }
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  json: { key: { json: /id, otherwise: { missing: refuse } }, @rest@ }
  long: { key: { json: /id, limit: 1MiB }, @rest@ }
  short: { key: { json: /id, limit: 1KiB, otherwise: { too_large: no-key } }, @rest@ }
  first: { key: { json: /id, otherwise: { ambiguous: first } }, @rest@ }
routes:
  - { match: { path: /json }, service: json }
  - { match: { path: /long }, service: long }
  - { match: { path: /short }, service: short }
  - { match: { path: /first }, service: first }
"#;

async fn before(nodes: [SocketAddr; 2], protocol: &str) -> Proxy {
    let rest = format!(
        "protocol: {protocol}, retry: {{ attempts: 2 }}, policy: {{ use: customer-modulo, with: {{ slots: 2, failover: next, on_missing: round-robin }} }}, \
         nodes: [{{ id: n1, ordinal: 1, address: \"{}\" }}, {{ id: n2, ordinal: 2, address: \"{}\" }}]",
        nodes[0], nodes[1]
    );
    let also = "http2: on, limits: { body_timeout: 500ms }";
    let yaml = TEMPLATE.replace("@rest@", &rest).replace("@also@", also);
    Proxy::start_with(ProxyOptions::new(BINARY, &yaml).arguments(&["--threads", "2"]))
        .await
        .expect("a proxy that serves")
}

/// A node that speaks HTTP/1.1 and sends every body back.
async fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Ok(true) = answer(&mut stream, name).await {}
            });
        }
    });
    address
}

async fn answer(stream: &mut BufReader<TcpStream>, name: &str) -> std::io::Result<bool> {
    let (mut length, mut chunked, mut line, mut body) = (0, false, String::new(), Vec::new());
    while stream.read_line(&mut line).await? > 2 {
        let field = line.to_ascii_lowercase();
        length = field.strip_prefix("content-length: ").map_or(length, |said| said.trim().parse().expect("a length"));
        chunked |= field.starts_with("transfer-encoding: chunked");
        line.clear();
    }
    if line.is_empty() {
        return Ok(false);
    }
    body.resize(length, 0);
    stream.read_exact(&mut body).await?;
    while chunked {
        line.clear();
        stream.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        stream.read_exact(&mut body[start..]).await?;
        body.truncate(start + size);
        chunked = size > 0;
    }
    let head = format!("HTTP/1.1 200 OK\r\nx-node: {name}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.into_bytes(), body].concat()).await?;
    Ok(true)
}

/// The last byte of it is needed.
fn body(client: u32, size: usize) -> Vec<u8> {
    let front = format!(r#"{{"id":{client},"pad":""#);
    let pad = (0..size - front.len() - 2).map(|at| char::from(b'a' + (at % 23) as u8));
    [front, pad.collect(), "\"}".into()].concat().into_bytes()
}

/// Cut so that pieces begin and end anywhere.
fn cut(body: &[u8]) -> Vec<&[u8]> {
    let (first, rest) = body.split_at(3.min(body.len()));
    std::iter::once(first).chain(rest.chunks(50_001)).collect()
}

/// The body comes back as it was sent; from which node, where that says so.
async fn echoed(client: &Client, path: &str, sent: &[u8]) -> Option<String> {
    let answer = client.send(post(path), &cut(sent), None).await.expect("answered");
    assert_eq!(answer.head.status(), 200, "{path}, {}", sent.len());
    assert!(answer.body == sent, "{path}: {} bytes became {}, or others", sent.len(), answer.body.len());
    answer.head.headers().get("x-node").map(|name| name.to_str().expect("text").to_owned())
}

#[tokio::test]
async fn the_body_names_the_node_and_reaches_it_as_it_is() {
    let proxy = before([echo("n1").await, echo("n2").await], "http1").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        for (id, node) in [(2, "n1"), (1, "n2")] {
            for (path, size) in
                [("/json", 30), ("/json", 64 << 10), ("/long", 70_000), ("/long", 1 << 20), ("/first", 300_000)]
            {
                assert_eq!(echoed(&client, path, &body(id, size)).await.as_deref(), Some(node), "{path}, {size}");
            }
        }
        for size in [2_000, 17_000, 65_537, 70_000, 300_000] {
            echoed(&client, "/short", &body(1, size)).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let sent = body(1, 100);
        let answer = client.send(post("/json"), &cut(&sent), Some(trailers)).await.expect("answered");
        assert_eq!((answer.head.headers()["x-node"].as_bytes(), answer.body), (&b"n2"[..], sent));
    }
}

#[tokio::test]
async fn a_node_that_speaks_http2_gets_it_too() {
    let proxy = before([Grpc::start().await.address, Grpc::start().await.address], "h2").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        for (path, size) in [("/json", 64 << 10), ("/long", 300_000), ("/first", 300_000), ("/short", 70_000)] {
            echoed(&client, path, &body(2, size)).await;
        }
    }
}

#[tokio::test]
async fn what_was_read_is_sent_again_whole() {
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a socket").local_addr().expect("an address");
    let proxy = before([dead, echo("n2").await], "http1").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        for (path, size) in [("/json", 30), ("/json", 64 << 10), ("/long", 200_000), ("/first", 200_000)] {
            assert_eq!(echoed(&client, path, &body(2, size)).await.as_deref(), Some("n2"), "{path}, {size}");
        }
    }
}

#[tokio::test]
async fn what_names_no_node_is_refused_and_counted() {
    let proxy = before([echo("n1").await, echo("n2").await], "http1").await;
    let long = body(1, (64 << 10) + 1);
    for (turn, &listener) in (1..).zip(&proxy.listeners) {
        let client = Client::to(listener).await;
        let cases: [(&[&[u8]], u16, &str); 5] = [
            (&[br#"{"id":1,"#, br#""id":1}"#], 400, "key-ambiguous"),
            (&[br#"{"id":1"#], 400, "key-malformed"),
            (&[], 400, "key-missing"),
            (&[b""], 400, "key-missing"),
            (&[&long], 413, "key-too-large"),
        ];
        for (pieces, status, reason) in cases {
            let answer = client.send(post("/json"), pieces, None).await.expect("answered");
            assert_eq!((answer.head.status().as_u16(), &answer.json()["reason"]), (status, &reason.into()));
        }
        let line = |reason, times| format!("pointsman_refusals_total{{reason=\"{reason}\",service=\"json\"}} {times}");
        for (reason, times) in
            [("key-ambiguous", turn), ("key-malformed", turn), ("key-missing", 2 * turn), ("key-too-large", turn)]
        {
            counted(&proxy, &line(reason, times)).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_it_back_or_stalls_has_touched_no_node() {
    let node = Grpc::start().await;
    let proxy = before([node.address, node.address], "h2").await;
    for (turn, &listener) in (1..).zip(&proxy.listeners) {
        let client = Client::to(listener).await;
        let (response, mut stream) = client.begin(post("/json")).await;
        stream.send_data(Bytes::from_static(b"{\"id\""), false).expect("sent");
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        counted(&proxy, &format!("pointsman_refusals_total{{reason=\"client-gone\",service=\"json\"}} {turn}")).await;
        let (response, mut stream) = client.begin(post("/json")).await;
        stream.send_data(Bytes::from_static(b"{\"id\""), false).expect("sent");
        let answer = timeout(Duration::from_secs(60), response).await.expect("in time").expect("answered");
        assert_eq!(answer.status(), 408);
        counted(&proxy, &format!("pointsman_refusals_total{{reason=\"client-slow\",service=\"json\"}} {turn}")).await;
    }
    assert_eq!(node.connections(), 0);
}
