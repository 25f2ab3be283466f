//! What one HTTP/2 connection may take.

use pointsman_demo::node::{self, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Client, get, proxy};

/// The client's first words (RFC 9113 section 3.4), with empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
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
