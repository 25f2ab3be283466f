//! What one HTTP/2 connection may take.

use pointsman_demo::node::{self, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Client, counted, get, post, proxy};

/// The client's first words (RFC 9113 section 3.4), with empty settings.
pub(crate) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(crate) async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.expect("its payload");
    (head[3], payload)
}

#[tokio::test]
async fn a_client_is_told_how_much_it_may_ask_for_at_once() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for &listener in &proxy.listeners {
        let mut stream = TcpStream::connect(listener).await.expect("connected");
        stream.write_all(HELLO).await.expect("written");
        let (kind, settings) = frame(&mut stream).await;
        assert_eq!(kind, 4, "SETTINGS (RFC 9113 section 6.5)");
        let value = |wanted: u16| {
            let entry = settings.chunks_exact(6).find(|entry| entry[..2] == wanted.to_be_bytes())?;
            Some(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
        };
        assert_eq!(value(3), Some(100), "streams at once");
        assert_eq!(value(4), Some(64 << 10), "bytes of a body that nobody has taken yet");
        assert_eq!(value(6), Some(64 << 10), "bytes of a head");
        let (mut kind, mut increment) = frame(&mut stream).await;
        while kind == 4 {
            // Ours are acknowledged.
            (kind, increment) = frame(&mut stream).await;
        }
        // The connection's window is only ever widened, from 65,535 (RFC 9113 section 6.9.2).
        assert_eq!(kind, 8, "WINDOW_UPDATE");
        assert_eq!(u32::from_be_bytes(increment.try_into().expect("four bytes")), (1 << 20) - 65_535);
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_its_neighbours_are_not() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        let mut large = get("/echo");
        for number in 0..20 {
            let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
            large.headers_mut().insert(name, "v".repeat(4000).parse().expect("a value"));
        }
        let answer = client.send(large, &[], None).await;
        assert!(answer.map_or(true, |answer| answer.head.status() == 431), "80,000 bytes were taken");
        assert_eq!(client.get("/echo").await.expect("answered").head.status(), 200);
    }
    assert_eq!(node.stats().requests, 2);
}

#[tokio::test]
async fn a_body_is_bounded_by_its_listener_said_or_not() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on, limits: { body: 1KiB }", "").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        let fits = client.send(post("/echo"), &[&[b'x'; 1024]], None).await.expect("answered");
        assert_eq!(fits.json()["body_bytes"], 1024);
        let mut said = post("/echo");
        said.headers_mut().insert("content-length", "1025".parse().expect("a value"));
        // The client may be cut off while it sends what nobody wants.
        let answer = client.send(said, &[&[b'x'; 1025]], None).await;
        assert!(answer.map_or(true, |answer| answer.head.status() == 413), "1,025 bytes were taken");
        let answer = Client::to(listener).await.send(post("/echo"), &[&[b'x'; 600], &[b'x'; 600]], None).await;
        assert!(answer.map_or(true, |answer| answer.head.status() == 413), "1,200 bytes were taken");
    }
    // The two that fit, and at most the two of which nobody said beforehand how long they would be.
    assert!(node.stats().requests <= 4, "a node was asked though the length was known");
}

/// Sends `again` over and over after [`HELLO`] until the proxy ends the connection, and answers the error that it named
/// (RFC 9113 section 7), if the reset left it to be read.
async fn flood(to: std::net::SocketAddr, mut again: impl FnMut(u32) -> Vec<u8> + Send + 'static) -> Option<u32> {
    let (mut reader, mut writer) = TcpStream::connect(to).await.expect("connected").into_split();
    let sender = tokio::spawn(async move {
        if writer.write_all(HELLO).await.is_err() {
            return true;
        }
        for number in 0..200_000 {
            if writer.write_all(&again(number)).await.is_err() {
                return true;
            }
        }
        false
    });
    let (mut all, mut error) = (Vec::new(), None);
    let _ = reader.read_to_end(&mut all).await;
    let mut rest = all.as_slice();
    while let [_, high, low, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = usize::from(*high) << 8 | usize::from(*low);
        if let (7, Some(code)) = (*kind, payload.get(4..8)) {
            error = Some(u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
        }
        rest = payload.get(length..).unwrap_or_default();
    }
    assert!(sender.await.expect("no panic"), "the flood was taken to its end");
    error
}

pub(crate) fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET /` for host `a`, as HPACK writes it (RFC 7541 appendices A and B).
pub(crate) const GET: &[u8] = b"\x82\x84\x86\x41\x01a";
/// `ENHANCE_YOUR_CALM`.
pub(crate) const CALM: u32 = 11;

#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for &listener in &proxy.listeners {
        // Many in one write, as the attack does it (CVE-2023-44487).
        let error = flood(listener, move |number| {
            let streams = (0..100).map(|n| 2 * (100 * number + n) + 1);
            streams.flat_map(|id| [raw(1, 5, id, GET), raw(3, 0, id, &[0, 0, 0, 8])].concat()).collect()
        });
        assert!(matches!(error.await, None | Some(CALM)));
        assert_eq!(Client::to(listener).await.get("/echo").await.expect("answered").head.status(), 200);
    }
    assert!(node.stats().requests < 1000, "{} of the requests reached the node", node.stats().requests);
}

#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for (turn, &listener) in proxy.listeners.iter().enumerate() {
        let field: Vec<u8> = [&b"\x00\x01x\x7f\x00"[..], &[b'y'; 127]].concat();
        let error = flood(listener, move |number| match number {
            0 => raw(1, 1, 1, GET),
            _ => raw(9, 0, 1, &field),
        });
        assert_ne!(error.await, Some(0));
        // Continuations that carry nothing at all (CVE-2024-27316).
        let error = flood(listener, |number| if number == 0 { raw(1, 1, 1, GET) } else { raw(9, 0, 1, &[]) });
        assert_ne!(error.await, Some(0));
        counted(
            &proxy,
            &format!("pointsman_http2_connections_closed_total{{cause=\"continuation\"}} {}", 2 * (turn + 1)),
        )
        .await;
        assert_eq!(Client::to(listener).await.get("/echo").await.expect("answered").head.status(), 200);
    }
    assert_eq!(node.stats().requests, 2);
}
