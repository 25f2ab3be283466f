//! Keys that stand in the body: it is read as far as they need, and reaches the node as it was sent.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::puppet::Puppet;
use crate::stage::{LONG, proxy_with};

/// Client 2 is at home at node 1, client 1 at node 2.
const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@, limits: { body_timeout: @patience@, body: 4MiB } }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  json: { key: { json: /client/id, otherwise: { missing: refuse } }, @rest@ }
  form: { key: { form: client }, @rest@ }
  xml: { key: { xml: /Order/ClientId }, @rest@ }
  fix: { key: { fix: 1 }, @rest@ }
  long: { key: { json: /client/id, limit: 1MiB }, @rest@ }
  first: { key: { first_of: [{ query: client }, { json: /client/id }], otherwise: { ambiguous: first } }, @rest@ }
  short: { key: { json: /client/id, limit: 1KiB, otherwise: { too_large: no-key } }, @rest@ }
  rated: { key: { json: /client/id }, limits: { rate: { per_second: 1 } }, @rest@ }
routes: [@routes@]
"#;

const REST: &str = "retry: { attempts: 2 }, policy: { use: customer-modulo, with: { slots: 2, failover: next, on_missing: round-robin } }, \
    nodes: [{ id: n1, ordinal: 1, address: \"@1@\" }, { id: n2, ordinal: 2, address: \"@2@\" }]";

async fn before(nodes: [SocketAddr; 2], patience: &str) -> Proxy {
    let rest = REST.replace("@1@", &nodes[0].to_string()).replace("@2@", &nodes[1].to_string());
    let services = ["json", "form", "xml", "fix", "long", "first", "short", "rated"];
    let routes = services.map(|name| format!("{{ match: {{ path: /{name} }}, service: {name} }}")).join(", ");
    let yaml = TEMPLATE.replace("@rest@", &rest).replace("@routes@", &routes).replace("@patience@", patience);
    proxy_with(&yaml.replace("@lane@", crate::LANE)).await
}

/// A proxy before two nodes.
async fn stage(patience: &str) -> (Proxy, [Puppet; 2]) {
    let nodes = [Puppet::start().await, Puppet::start().await];
    (before([nodes[0].address, nodes[1].address], patience).await, nodes)
}

/// A body of so many bytes, the last of which the key needs.
fn body(format: &str, client: &str, size: usize) -> Vec<u8> {
    let (front, back) = match format {
        "form" => (format!("client={client}&pad="), ""),
        "xml" => (format!("<Order><ClientId>{client}</ClientId><Pad>"), "</Pad></Order>"),
        "fix" => (format!("8=FIX.4.4\x0135=D\x011={client}\x0158="), "\x0110=000\x01"),
        _ => (format!(r#"{{"client":{{"id":{client}}},"pad":""#), "\"}"),
    };
    let pad = (0..size - front.len() - back.len()).map(|at| char::from(b'a' + (at % 23) as u8));
    [front, pad.collect(), back.to_owned()].concat().into_bytes()
}

async fn counted(proxy: &Proxy, service: &str, reason: &str, times: u32) {
    let line = format!("pointsman_refusals_total{{reason=\"{reason}\",service=\"{service}\"}} {times}");
    let found = proxy.admin.answers("/metrics", |answer| answer.text().lines().any(|l| l == line)).await;
    found.unwrap_or_else(|_| panic!("`{line}` never stood in the metrics"));
}

/// Posts it; what the node gets must be the same, and its answer is passed on.
async fn arrives(proxy: &Proxy, node: &mut Puppet, path: &str, sent: Vec<u8>) {
    let (to, posted) = (proxy.addr(), Request::new("POST", path).body(sent.clone()));
    let client = tokio::spawn(async move { posted.send(to).await.expect("answered").status });
    let asked = node.next().await;
    assert_eq!(asked.headers.values("content-length"), [sent.len().to_string()]);
    assert!(asked.body == sent, "{path}: the node got {} bytes, and others", asked.body.len());
    asked.answer(204);
    assert_eq!(client.await.expect("runs"), 204, "{path}");
}

#[tokio::test]
async fn the_body_names_the_node_in_each_format_up_to_the_bound() {
    let (proxy, mut nodes) = stage("60s").await;
    for format in ["json", "form", "xml", "fix"] {
        let path = format!("/{format}");
        for (client, node) in ["2", "1"].into_iter().zip(&mut nodes) {
            arrives(&proxy, node, &path, body(format, client, 300)).await;
            arrives(&proxy, node, &path, body(format, client, 64 << 10)).await;
        }
        let long = Request::new("POST", &path).body(body(format, "2", (64 << 10) + 1));
        let answer = long.send(proxy.addr()).await.expect("answered");
        assert_eq!(
            (answer.status, &answer.json().expect("JSON")["reason"]),
            (413, &"key-too-large".into()),
            "{format}"
        );
        counted(&proxy, format, "key-too-large", 1).await;
    }
    arrives(&proxy, &mut nodes[1], "/long", body("json", "1", 1 << 20)).await;
    assert!(nodes.iter().all(|node| !node.is_asked()));
}

#[tokio::test]
async fn what_cannot_be_told_from_a_body_is_refused_and_counted() {
    let (proxy, nodes) = stage("60s").await;
    for (body, status, reason) in [
        (&br#"{"client":{"id":1},"client":{"id":2}}"#[..], 400, "key-ambiguous"),
        (br#"{"client":{"id":1,"id":1}}"#, 400, "key-ambiguous"),
        (br#"{"client":{"id":1}"#, 400, "key-malformed"),
        (br#"{"client":{}}"#, 400, "key-missing"),
        (b"", 400, "key-missing"),
    ] {
        let answer = Request::new("POST", "/json").body(body).send(proxy.addr()).await.expect("answered");
        let said = answer.json().expect("JSON");
        assert_eq!((answer.status, &said["reason"]), (status, &reason.into()), "{}", String::from_utf8_lossy(body));
    }
    let coded = Request::new("POST", "/json").header("content-encoding", "gzip").body(body("json", "1", 100));
    assert_eq!(coded.send(proxy.addr()).await.expect("answered").status, 400);
    for (reason, times) in [("key-ambiguous", 2), ("key-malformed", 2), ("key-missing", 2)] {
        counted(&proxy, "json", reason, times).await;
    }
    assert!(nodes.iter().all(|node| !node.is_asked()));
}

#[tokio::test]
async fn a_body_that_is_too_long_for_a_key_may_go_without_one() {
    let (proxy, mut nodes) = stage("60s").await;
    // Round robin, in turn.
    for (turn, size) in [2_000, 70_000, 300_000, 1 << 20].into_iter().enumerate() {
        arrives(&proxy, &mut nodes[turn % 2], "/short", body("json", "1", size)).await;
    }
}

#[tokio::test]
async fn chunks_stay_chunks_and_what_follows_them_is_another_request() {
    let (proxy, mut nodes) = stage("60s").await;
    let chunked = "POST /json HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        B;x=y\r\n{\"client\":{\r\n7\r\n\"id\":2}\r\n1\r\n}\r\n0\r\nX-Sum: 7\r\n\r\n";
    let plain = "POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n\r\n{\"client\":{\"id\":1}}";
    let without = "GET /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let bytes = [chunked, plain, without].concat();
    for step in [bytes.len(), 1, 7] {
        let mut stream = TcpStream::connect(proxy.addr()).await.expect("connected");
        stream.set_nodelay(true).expect("set");
        for piece in bytes.as_bytes().chunks(step) {
            stream.write_all(piece).await.expect("sent");
        }
        let asked = nodes[0].next().await;
        assert_eq!(asked.body, br#"{"client":{"id":2}}"#);
        assert_eq!(asked.headers.values("transfer-encoding"), ["chunked"]);
        assert!(asked.headers.values("content-length").is_empty());
        asked.answer(201);
        let asked = nodes[1].next().await;
        assert_eq!(
            (asked.body.as_slice(), asked.headers.values("content-length")),
            (&br#"{"client":{"id":1}}"#[..], vec!["19"])
        );
        asked.answer(202);
        let mut text = String::new();
        timeout(LONG, stream.read_to_string(&mut text)).await.expect("in time").expect("text");
        let statuses: Vec<_> =
            text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).map(|line| &line[9..12]).collect();
        assert_eq!(statuses, ["201", "202", "400"], "in pieces of {step}");
    }
}

#[tokio::test]
async fn a_request_that_offers_another_protocol_has_its_body_read_too() {
    let (proxy, mut nodes) = stage("60s").await;
    for protocol in ["h2c", "websocket"] {
        for (client, node) in ["2", "1"].into_iter().zip(&mut nodes) {
            let (to, sent) = (proxy.addr(), body("json", client, 20_000));
            let posted = Request::new("POST", "/json").header("connection", "upgrade").header("upgrade", protocol);
            let posted = posted.body(sent.clone());
            let client = tokio::spawn(async move { posted.send(to).await.expect("answered").status });
            let asked = node.next().await;
            assert!(asked.body == sent, "{protocol}: the node got {} bytes, or others", asked.body.len());
            asked.answer(204);
            assert_eq!(client.await.expect("runs"), 204, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_is_told_by_the_proxy() {
    let (proxy, mut nodes) = stage("60s").await;
    let mut stream = TcpStream::connect(proxy.addr()).await.expect("connected");
    let head = "POST /json HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 19\r\n\r\n";
    for (client, node) in [2, 1].into_iter().zip(&mut nodes) {
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut told = [0; 25];
        timeout(LONG, stream.read_exact(&mut told)).await.expect("in time").expect("an answer");
        assert_eq!(&told[..], b"HTTP/1.1 100 Continue\r\n\r\n");
        let body = format!(r#"{{"client":{{"id":{client}}}}}"#);
        stream.write_all(body.as_bytes()).await.expect("sent");
        let asked = node.next().await;
        assert_eq!(asked.body, body.as_bytes());
        assert!(asked.headers.values("expect").is_empty(), "it is asked no second time");
        asked.answer(204);
        let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
        while !answer.ends_with(b"\r\n\r\n") {
            let read = timeout(LONG, stream.read(&mut piece)).await.expect("in time").expect("an answer");
            assert!(read > 0, "cut off");
            answer.extend_from_slice(&piece[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 204 "), "{}", String::from_utf8_lossy(&answer));
    }
    // Where the head decides, it is the node's to say.
    let told = head.replace("/json", "/first?client=2");
    stream.write_all(format!("{told}{}", r#"{"client":{"id":1}}"#).as_bytes()).await.expect("sent");
    let asked = nodes[0].next().await;
    assert_eq!(asked.headers.values("expect"), ["100-continue"]);
    asked.answer(204);
}

#[tokio::test]
async fn nothing_is_read_that_no_key_needs() {
    let node = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = node.local_addr().expect("an address");
    let proxy = before([address, address], "60s").await;
    let sent = body("json", "2", 1 << 20);
    // The query decides, or what of the body stands in front; the node is asked before the rest comes.
    for (query, front) in [("?client=2", 1), ("", 100), ("", 100_000)] {
        let mut client = TcpStream::connect(proxy.addr()).await.expect("connected");
        let head = format!(
            "POST /first{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            sent.len()
        );
        client.write_all(head.as_bytes()).await.expect("sent");
        client.write_all(&sent[..front]).await.expect("sent");
        let (mut asked, _) = timeout(LONG, node.accept()).await.expect("in time").expect("a connection");
        let mut got = Vec::new();
        let head = loop {
            let read = timeout(LONG, asked.read_buf(&mut got)).await.expect("in time").expect("a request");
            assert!(read > 0, "cut off");
            if let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        client.write_all(&sent[front..]).await.expect("sent");
        while got.len() < head + sent.len() {
            let read = timeout(LONG, asked.read_buf(&mut got)).await.expect("in time").expect("a body");
            assert!(read > 0, "cut off");
        }
        assert!(got[head..] == sent, "it is another body");
        asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.expect("answered");
        let mut answer = Vec::new();
        timeout(LONG, client.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_or_stalls_has_touched_no_node() {
    let (proxy, nodes) = stage("300ms").await;
    let head = "POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n";
    for (times, (field, front)) in (1..).zip([("", "{\"cli"), ("", ""), ("Expect: 100-continue\r\n", "")]) {
        let mut stream = TcpStream::connect(proxy.addr()).await.expect("connected");
        stream.write_all(format!("{head}{field}\r\n{front}").as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("shut down");
        let mut answer = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("in time");
        counted(&proxy, "json", "client-gone", times).await;
    }
    for times in 1..3 {
        let mut stream = TcpStream::connect(proxy.addr()).await.expect("connected");
        stream.write_all(format!("{head}\r\n{{").as_bytes()).await.expect("sent");
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.expect("in time").expect("text");
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("client-slow"), "{answer}");
        counted(&proxy, "json", "client-slow", times).await;
    }
    assert!(nodes.iter().all(|node| !node.is_asked()));
}

#[tokio::test]
async fn a_body_that_was_read_is_sent_whole_to_the_next_node() {
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a socket").local_addr().expect("an address");
    let mut node = Puppet::start().await;
    let proxy = before([dead, node.address], "60s").await;
    for (path, size) in [("/json", 60), ("/json", 64 << 10), ("/long", 200_000)] {
        arrives(&proxy, &mut node, path, body("json", "2", size)).await;
    }
    let metrics = proxy.admin.get("/metrics").await.expect("metrics").text();
    let retried: Vec<_> =
        metrics.lines().filter(|line| line.contains("retries_total") && line.contains("connect")).collect();
    assert!(retried.iter().any(|line| !line.ends_with(" 0")), "{retried:?}");
}

#[tokio::test]
async fn a_request_over_its_rate_is_refused_before_its_body_is_read() {
    let (proxy, _nodes) = stage("60s").await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let to = proxy.addr();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(to).await.expect("connected");
            let head = "POST /rated HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
            stream.write_all(head.as_bytes()).await.expect("sent");
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.expect("an answer");
            first
        });
    }
    // Those within the rate wait for their bodies.
    let answered = timeout(Duration::from_secs(30), clients.join_next()).await.expect("in time").expect("eight");
    assert_eq!(&answered.expect("no panic"), b"HTTP/1.1 429");
}
