//! Nodes are told who asks: by clients nothing that they could make up, by trusted proxies what they know.

use std::net::{IpAddr, SocketAddr};

use pointsman_demo::harness::{Proxy, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::puppet::{Headers, Puppet};
use crate::stage::proxy_with;

/// From here a proxy speaks that is trusted, from all other addresses nobody is.
const TRUSTED: &str = "127.0.0.9";
const STRANGER: &str = "127.0.0.8";

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
trusted_proxies: [127.0.0.9, 10.0.0.0/8]
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  api:
    nodes: [{ id: n1, address: "@node@" }]
    @service@
routes: [{ service: api }]
"#;

async fn proxy(node: &Puppet, service: &str) -> Proxy {
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &node.address.to_string());
    proxy_with(&yaml.replace("@service@", service)).await
}

/// Sends a head with these lines; answers the response's status.
fn ask(from: &str, to: SocketAddr, lines: &str) -> JoinHandle<String> {
    let from: IpAddr = from.parse().expect("an address");
    let head = format!("GET /a HTTP/1.1\r\nHost: Shop.example:8080\r\nConnection: close\r\n{lines}\r\n");
    tokio::spawn(async move {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from, 0)).expect("bound");
        let mut stream = socket.connect(to).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    })
}

/// What the node is asked.
async fn seen(node: &mut Puppet, from: &str, to: SocketAddr, lines: &str) -> Headers {
    let answer = ask(from, to, lines);
    let asked = node.next().await;
    let headers = asked.headers.clone();
    asked.answer(200);
    assert_eq!(answer.await.expect("no panic"), "200");
    headers
}

/// Waits for a line of the access log that names this client.
async fn logged(proxy: &Proxy, client: &str) {
    let (file, field) = (proxy.folder().join("access.log"), format!("\"client\":\"{client}\""));
    let found = until(|| async { std::fs::read_to_string(&file).ok()?.contains(&field).then_some(()) }).await;
    found.unwrap_or_else(|| panic!("{client} is not in the access log"));
}

const TOLD: &str = "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 10.0.0.3\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: outer.example\r\nForwarded: for=203.0.113.5;proto=https\r\nX-Real-IP: 203.0.113.5\r\n\
    X-Forwarded-Port: 443\r\nx_forwarded_for: 203.0.113.6\r\n";

#[tokio::test]
async fn what_a_stranger_says_of_itself_is_replaced() {
    let mut node = Puppet::start().await;
    let proxy = proxy(&node, "").await;
    let asked = seen(&mut node, STRANGER, proxy.addr(), TOLD).await;
    assert_eq!(asked.values("x-forwarded-for"), [STRANGER]);
    assert_eq!(asked.values("x-forwarded-proto"), ["http"]);
    assert_eq!(asked.values("x-forwarded-host"), ["Shop.example:8080"]);
    assert_eq!(asked.values("forwarded"), ["for=127.0.0.8;host=\"Shop.example:8080\";proto=http"]);
    for name in ["x-real-ip", "x-forwarded-port", "x_forwarded_for"] {
        assert!(asked.values(name).is_empty(), "{name}");
    }
    logged(&proxy, STRANGER).await;
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_carried_on() {
    let mut node = Puppet::start().await;
    let proxy = proxy(&node, "").await;
    let asked = seen(&mut node, TRUSTED, proxy.addr(), TOLD).await;
    assert_eq!(asked.values("x-forwarded-for"), ["203.0.113.5, 10.0.0.3, 127.0.0.9"]);
    assert_eq!(asked.values("x-forwarded-proto"), ["https"]);
    assert_eq!(asked.values("x-forwarded-host"), ["outer.example"]);
    let element = "for=203.0.113.5;proto=https, for=127.0.0.9;host=\"Shop.example:8080\";proto=http";
    assert_eq!(asked.values("forwarded"), [element]);
    assert_eq!(asked.values("x-real-ip"), ["203.0.113.5"]);
    assert_eq!(asked.values("x-forwarded-port"), ["443"]);
    assert!(asked.values("x_forwarded_for").is_empty(), "to some nodes this is the same field");
}

#[tokio::test]
async fn nodes_are_told_only_what_the_operator_wants() {
    let mut node = Puppet::start().await;
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &node.address.to_string());
    let yaml =
        yaml.replace("@service@", "").replace("\nservices:", "\nforwarded_headers: [X-Forwarded-For]\nservices:");
    let proxy = proxy_with(&yaml).await;
    for from in [STRANGER, TRUSTED] {
        let asked = seen(&mut node, from, proxy.addr(), &format!("{TOLD}X-Request-Id: a-B.7\r\n")).await;
        let expected = if from == TRUSTED { "203.0.113.5, 10.0.0.3, 127.0.0.9" } else { STRANGER };
        assert_eq!(asked.values("x-forwarded-for"), [expected]);
        for name in ["x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id"] {
            assert!(asked.values(name).is_empty(), "{name} from {from}: {:?}", asked.values(name));
        }
    }
}

#[tokio::test]
async fn the_client_that_counts_is_the_last_that_nobody_trusts() {
    let node = Puppet::start().await;
    let proxy = proxy(&node, "limits: { rate: { per_second: 1, burst: 1 } }").await;
    let _answers = node.answer_all(200);
    let told = |values: &str| ask(TRUSTED, proxy.addr(), &format!("X-Forwarded-For: {values}\r\n"));
    assert_eq!(told("203.0.113.1").await.expect("no panic"), "200");
    assert_eq!(told("203.0.113.2").await.expect("no panic"), "200", "another client has a rate of its own");
    // However it began: what stands left of the client was written by the client.
    for n in 0.. {
        if told(&format!("198.51.100.{n}, 203.0.113.1, 10.0.0.7")).await.expect("no panic") == "429" {
            break;
        }
        assert!(n < 250, "none of {n} requests is refused, where one a second is granted");
    }
    logged(&proxy, "203.0.113.1").await;
}

#[tokio::test]
async fn a_trace_goes_on_as_it_came() {
    let mut node = Puppet::start().await;
    let proxy = proxy(&node, "").await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = format!("traceparent: {parent}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
    let asked = seen(&mut node, STRANGER, proxy.addr(), &lines).await;
    assert_eq!(asked.values("traceparent"), [parent]);
    assert_eq!(asked.values("tracestate"), ["a=1", "b=2"]);
}

#[tokio::test]
async fn an_id_is_kept_if_it_is_sane_and_made_otherwise() {
    let mut node = Puppet::start().await;
    let proxy = proxy(&node, "").await;
    let kept = seen(&mut node, STRANGER, proxy.addr(), "X-Request-Id: a-B.7\r\n").await;
    assert_eq!(kept.values("x-request-id"), ["a-B.7"]);
    for lines in ["", "X-Request-Id: two words\r\n", "X-Request-Id: a\r\nX-Request-Id: b\r\n", "X_Request_Id: a\r\n"] {
        let made = seen(&mut node, STRANGER, proxy.addr(), lines).await;
        let id = made.values("x-request-id").join(" ");
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{lines:?} gave {id:?}");
        assert!(made.values("x_request_id").is_empty());
    }
}

#[tokio::test]
async fn where_forwarded_is_trusted_it_tells_the_client() {
    let mut node = Puppet::start().await;
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@node@", &node.address.to_string());
    let yaml = yaml.replace("@service@", "").replace("trusted_proxies", "trusted_header: forwarded\ntrusted_proxies");
    let proxy = proxy_with(&yaml).await;
    // What passes for the client's address elsewhere does not count here.
    let lines = "Forwarded: for=198.51.100.1, For=\"203.0.113.5:99\";proto=https\r\nX-Forwarded-For: 192.0.2.99\r\n";
    seen(&mut node, TRUSTED, proxy.addr(), lines).await;
    logged(&proxy, "203.0.113.5").await;
    seen(&mut node, STRANGER, proxy.addr(), lines).await;
    logged(&proxy, STRANGER).await;
}
