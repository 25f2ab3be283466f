//! Clients of HTTP/2 that ask for work and want nothing of it, or take and never give: each bound, what ends at it, and
//! what is said of that.

use std::net::SocketAddr;

use pointsman_demo::harness::Proxy;
use pointsman_demo::node::{self, NodeHandle, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bounds::{CALM, HELLO, frame, raw};
use crate::stage::{Client, counted, proxy};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
/// `END_STREAM` and `END_HEADERS`.
const WHOLE: u8 = 5;
const END_HEADERS: u8 = 4;
/// Longer than any test: nobody waits for it.
const NEVER: &str = "/slow?ms=60000";

/// A head for host `a`, as HPACK writes it (RFC 7541 appendices A and B); `method`: 0x82 GET, 0x83 POST.
fn head(method: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("short");
    [&[method, 0x86, 0x01, 1, b'a', 0x04, length][..], path.as_bytes()].concat()
}

/// A connection on which the client writes frames by itself.
struct Raw(TcpStream);

impl Raw {
    async fn to(address: SocketAddr, settings: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let preface = [&HELLO[..24], &raw(SETTINGS, 0, 0, settings)].concat();
        stream.write_all(&preface).await.expect("written");
        Self(stream)
    }

    /// Whether it was taken; a connection that was reset takes nothing.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Until everything that was written before has been read.
    async fn settle(&mut self) {
        assert!(self.write(&raw(PING, 0, 0, &[0; 8])).await, "closed too early");
        while frame(&mut self.0).await.0 != PING {}
    }

    /// Until the proxy closes: the error that it named, if the reset left it to be read.
    async fn error(mut self) -> Option<u32> {
        let mut all = Vec::new();
        let _ = self.0.read_to_end(&mut all).await;
        let (mut rest, mut error) = (all.as_slice(), None);
        while let [_, high, low, kind, _, _, _, _, _, payload @ ..] = rest {
            if let (7, Some(code)) = (*kind, payload.get(4..8)) {
                error = Some(u32::from_be_bytes(code.try_into().expect("four bytes")));
            }
            rest = payload.get(usize::from(*high) << 8 | usize::from(*low)..).unwrap_or_default();
        }
        error
    }
}

async fn house(also: &str, service: &str) -> (Proxy, NodeHandle) {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    (proxy(node.addr, &format!("http2: on{also}"), service).await, node)
}

fn closed(cause: &str, times: usize) -> String {
    format!("pointsman_http2_connections_closed_total{{cause=\"{cause}\"}} {times}")
}

/// Waits until nothing is under way at the node, whatever it still does.
async fn nothing_under_way(proxy: &Proxy) {
    counted(proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 0").await;
}

#[tokio::test]
async fn requests_that_are_taken_back_one_by_one_end_the_connection_and_their_work() {
    let (proxy, node) = house("", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let mut client = Raw::to(listener, &[]).await;
        let mut id = 1;
        // Twenty are under way before they are taken back, so that the library's own bound is never reached.
        while id < 2 * 480 {
            let ids: Vec<u32> = (0..20).map(|n| id + 2 * n).collect();
            let asked: Vec<u8> = ids.iter().flat_map(|id| raw(HEADERS, WHOLE, *id, &head(0x82, NEVER))).collect();
            assert!(client.write(&asked).await);
            client.settle().await;
            let back: Vec<u8> = ids.iter().flat_map(|id| raw(RST_STREAM, 0, *id, &[0, 0, 0, 8])).collect();
            assert!(client.write(&back).await);
            client.settle().await;
            id += 40;
        }
        // 480 are let be, 1,000 are not.
        let rest: Vec<u8> = (0..520)
            .map(|n| id + 2 * n)
            .flat_map(|id| {
                [raw(HEADERS, WHOLE, id, &head(0x82, NEVER)), raw(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
            })
            .collect();
        client.write(&rest).await;
        assert!(matches!(client.error().await, None | Some(CALM)));
        counted(&proxy, &closed("resets", turn + 1)).await;
        nothing_under_way(&proxy).await;
        assert_eq!(Client::to(listener).await.get("/echo").await.expect("answered").head.status(), 200);
    }
    proxy.has_said("takes back too many requests (RST_STREAM)").await.expect("logged");
    assert!(node.stats().requests < 2000, "{} reached the node", node.stats().requests);
}

#[tokio::test]
async fn resets_that_the_proxy_is_made_to_send_end_the_connection_and_their_work() {
    let (proxy, _node) = house("", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let mut client = Raw::to(listener, &[]).await;
        // A window wider than 2^31 - 1 is an error of that stream (RFC 9113 section 6.9.1; CVE-2025-8671).
        let all: Vec<u8> = (0..1000)
            .map(|n| 2 * n + 1)
            .flat_map(|id| {
                [raw(HEADERS, WHOLE, id, &head(0x82, NEVER)), raw(WINDOW_UPDATE, 0, id, &[0x7f, 0xff, 0xff, 0xff])]
                    .concat()
            })
            .collect();
        client.write(&all).await;
        assert!(matches!(client.error().await, None | Some(CALM)));
        counted(&proxy, &closed("errors", turn + 1)).await;
        nothing_under_way(&proxy).await;
    }
    proxy.has_said("breaks too many rules of HTTP/2").await.expect("logged");
}

#[tokio::test]
async fn a_stream_that_is_reset_for_what_it_asks_is_counted_and_told() {
    let (proxy, node) = house("", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let mut client = Raw::to(listener, &[]).await;
        // `connection: x`, which HTTP/2 does not know (RFC 9113 section 8.2.2).
        let wrong = [&head(0x82, "/echo")[..], b"\x00\x0aconnection\x01x"].concat();
        client.write(&raw(HEADERS, WHOLE, 1, &wrong)).await;
        counted(&proxy, &format!("pointsman_http2_streams_reset_total{{code=\"protocol-error\"}} {}", turn + 1)).await;
        client.settle().await;
    }
    proxy.has_said("1 of its HTTP/2 streams broke a rule and were reset: protocol-error").await.expect("logged");
    assert_eq!(node.stats().requests, 0);
}

#[tokio::test]
async fn a_request_whose_host_contradicts_its_authority_is_refused_counted_and_told() {
    let (proxy, node) = house("", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let mut client = Raw::to(listener, &[]).await;
        let wrong = [&head(0x82, "/echo")[..], b"\x00\x04host\x01b"].concat();
        client.write(&raw(HEADERS, WHOLE, 1, &wrong)).await;
        let line = format!("pointsman_refusals_total{{reason=\"bad-request\",service=\"-\"}} {}", turn + 1);
        counted(&proxy, &line).await;
    }
    proxy.has_said("a request over HTTP/2 is refused (bad-request)").await.expect("logged");
    assert_eq!(node.stats().requests, 0);
}

#[tokio::test]
async fn frames_that_carry_nothing_end_the_connection() {
    let (proxy, node) = house(", limits: { http2: { control: 50 } }", "").await;
    let unknown = raw(250, 0, 0, b"who knows");
    for (cause, flood) in [
        ("ping", raw(PING, 0, 0, &[0; 8])),
        ("settings", raw(SETTINGS, 0, 0, &[])),
        ("priority", raw(2, 0, 1, &[0, 0, 0, 3, 7])),
        ("window-update", raw(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("empty-data", raw(DATA, 0, 1, &[])),
        ("unknown", unknown),
    ] {
        for (turn, &listener) in proxy.listeners.iter().enumerate() {
            let mut client = Raw::to(listener, &[]).await;
            client.write(&raw(HEADERS, END_HEADERS, 1, &head(0x83, "/echo"))).await;
            client.settle().await;
            client.write(&flood.repeat(40)).await;
            client.settle().await;
            client.write(&flood.repeat(60)).await;
            assert!(matches!(client.error().await, None | Some(CALM)), "{cause}");
            counted(&proxy, &closed(cause, turn + 1)).await;
        }
    }
    nothing_under_way(&proxy).await;
    assert_eq!(Client::to(proxy.listeners[0]).await.get("/echo").await.expect("answered").head.status(), 200);
    assert!(node.stats().requests <= 13);
}

/// Bytes that the proxy's process holds in memory.
fn resident(proxy: &Proxy) -> u64 {
    let pid = proxy.pid().expect("runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test]
async fn a_small_head_that_unpacks_into_a_large_one_is_refused_and_costs_no_memory() {
    let (proxy, node) = house("", "").await;
    for &listener in &proxy.listeners {
        assert_eq!(Client::to(listener).await.get("/echo").await.expect("answered").head.status(), 200);
        let before = resident(&proxy);
        let mut client = Raw::to(listener, &[]).await;
        // One field of 3,900 bytes goes into the table (RFC 7541 section 6.2.1), then is named 12,000 times a head.
        let entry = [&[0x40, 1, b'x', 0x7f, 0xbd, 0x1d][..], &[b'y'; 3900]].concat();
        client.write(&raw(HEADERS, WHOLE, 1, &[head(0x82, "/"), entry].concat())).await;
        for id in 1..20 {
            let bomb = [head(0x82, "/"), vec![0xbe; 12_000]].concat();
            client.write(&raw(HEADERS, WHOLE, 2 * id + 1, &bomb)).await;
        }
        // Refused one by one, or given up: whatever comes first, all of it has been read.
        client.write(&raw(PING, 0, 0, &[0; 8])).await;
        let mut header = [0; 9];
        while client.0.read_exact(&mut header).await.is_ok() && header[3] != PING {
            let length = usize::from(header[1]) << 8 | usize::from(header[2]);
            if client.0.read_exact(&mut vec![0; length]).await.is_err() {
                break;
            }
        }
        let grown = resident(&proxy).saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more");
    }
    // The first of each connection is a request like any other.
    assert!(node.stats().requests <= 4);
}

#[tokio::test]
async fn who_opens_no_window_is_given_up() {
    let (proxy, _node) = house("", "timeouts: { idle: 300ms }").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        // SETTINGS_INITIAL_WINDOW_SIZE 0 (RFC 9113 section 6.5.2): heads are read, no byte of a body.
        let mut client = Raw::to(listener, &[0, 4, 0, 0, 0, 0]).await;
        for n in 0..100 {
            client.write(&raw(HEADERS, WHOLE, 2 * n + 1, &head(0x82, "/bytes/1048576"))).await;
        }
        let slow = format!("pointsman_refusals_total{{reason=\"client-slow\",service=\"api\"}} {}", 100 * (turn + 1));
        counted(&proxy, &slow).await;
        nothing_under_way(&proxy).await;
        client.settle().await;
    }
}

#[tokio::test]
async fn who_leaves_a_body_waiting_is_given_up() {
    let (proxy, _node) = house(", limits: { body_timeout: 200ms }", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let mut client = Raw::to(listener, &[]).await;
        for id in [1, 3] {
            client.write(&raw(HEADERS, END_HEADERS, id, &head(0x83, "/echo"))).await;
        }
        client.write(&raw(DATA, 0, 3, b"some")).await;
        let slow = format!("pointsman_refusals_total{{reason=\"client-slow\",service=\"api\"}} {}", 2 * (turn + 1));
        counted(&proxy, &slow).await;
        counted(&proxy, &format!("pointsman_requests_total{{code=\"408\",service=\"api\"}} {}", 2 * (turn + 1))).await;
        nothing_under_way(&proxy).await;
        client.settle().await;
    }
}

#[tokio::test]
async fn who_says_nothing_is_given_up() {
    let (proxy, _node) = house(", limits: { keep_alive: 300ms, head_timeout: 300ms }", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let mut stream = TcpStream::connect(listener).await.expect("connected");
        stream.write_all(&HELLO[..20]).await.expect("written");
        Raw(stream).error().await;
        counted(&proxy, &closed("preface", turn + 1)).await;
        let mut client = Raw::to(listener, &[]).await;
        client.settle().await;
        assert!(matches!(client.error().await, None | Some(0)));
        counted(&proxy, &closed("idle", turn + 1)).await;
    }
}

#[tokio::test]
async fn a_head_of_too_many_fields_is_refused_and_so_is_a_stream_too_many() {
    let (proxy, node) = house(", limits: { fields: 10, http2: { streams: 2 } }", "").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        let mut many = crate::stage::get("/echo");
        for number in 0..11 {
            let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
            many.headers_mut().insert(name, "v".parse().expect("a value"));
        }
        assert_eq!(client.send(many, &[], None).await.expect("answered").head.status(), 431);
        let mut raw_client = Raw::to(listener, &[]).await;
        for id in [1, 3, 5] {
            raw_client.write(&raw(HEADERS, WHOLE, id, &head(0x82, NEVER))).await;
        }
        loop {
            let (kind, payload) = frame(&mut raw_client.0).await;
            if kind == RST_STREAM {
                // REFUSED_STREAM (RFC 9113 section 8.7): it may be tried again.
                assert_eq!(payload, [0, 0, 0, 7]);
                break;
            }
        }
    }
    assert!(node.stats().requests <= 4);
}
