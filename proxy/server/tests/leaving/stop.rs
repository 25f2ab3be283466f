//! SIGTERM: readiness first, then no new connections, then what runs finishes, then it is cut.

use futures::SinkExt;
use pointsman_demo::client::{Connection, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::stage::{counted, h2, h2_get, next, nodes, proxy, socket};

#[tokio::test]
async fn readyz_is_red_before_listeners_close() {
    let mut proxy = proxy(&["--notice", "600"]).await;
    let _nodes = nodes(&proxy, 1).await;
    proxy.signal(libc::SIGTERM).expect("signalled");
    let red = proxy.admin.answers("/readyz", |answer| answer.status == 503).await.expect("red");
    assert!(red.text().contains("draining"), "{}", red.text());
    counted(&proxy, "pointsman_stopping 1").await;
    for &listener in &proxy.listeners[..2] {
        let mut connection = Connection::open(listener).await.expect("connected");
        for _ in 0..2 {
            let answer = connection.exchange(&Request::get("/echo")).await.expect("served as before");
            assert_eq!(answer.status, 200);
            assert_ne!(answer.header("connection"), Some("close"));
        }
    }
    // Whoever cannot wait says so once more.
    proxy.signal(libc::SIGTERM).expect("signalled");
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
}

#[tokio::test]
async fn a_request_under_way_is_answered_with_the_end_of_its_connection() {
    let mut proxy = proxy(&[]).await;
    let _nodes = nodes(&proxy, 1).await;
    let mut connections = Vec::new();
    for &listener in &proxy.listeners[..2] {
        let mut connection = Connection::open(listener).await.expect("connected");
        let answer = connection.exchange(&Request::get("/echo")).await.expect("answered");
        assert_ne!(answer.header("connection"), Some("close"));
        connections.push(connection);
    }
    let slow = Request::get("/slow?ms=1500");
    let asked = connections.iter_mut().map(|connection| connection.exchange(&slow));
    let stop = async {
        counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 2").await;
        proxy.signal(libc::SIGTERM).expect("signalled");
        proxy.has_said("stopping: ").await.expect("said");
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), stop);
    for answer in answers {
        let answer = answer.expect("answered");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    assert!(TcpStream::connect(proxy.addr()).await.is_err(), "nobody listens");
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
}

/// A frame: kind, flags, stream, payload (RFC 9113 §4.1).
async fn frame(stream: &mut TcpStream) -> (u8, u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.expect("its payload");
    (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
}

#[tokio::test]
async fn an_http2_client_is_told_twice_and_its_requests_finish() {
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PATH: &[u8] = b"/slow?ms=1500";
    let mut proxy = proxy(&[]).await;
    let _nodes = nodes(&proxy, 1).await;
    for &listener in &proxy.listeners[..1] {
        let mut stream = TcpStream::connect(listener).await.expect("connected");
        // GET, http, a path and an authority, in HPACK without its table (RFC 7541 §6).
        let mut block = vec![0x82, 0x86, 0x04, PATH.len() as u8];
        block.extend_from_slice(PATH);
        block.extend_from_slice(b"\x01\x04site");
        let mut hello = HELLO.to_vec();
        hello.extend_from_slice(&[0, 0, block.len() as u8, 1, 0x5, 0, 0, 0, 1]);
        hello.extend_from_slice(&block);
        stream.write_all(&hello).await.expect("sent");
        counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 1").await;
        proxy.signal(libc::SIGTERM).expect("signalled");
        let (mut goaways, mut ended) = (Vec::new(), false);
        while !(ended && goaways.len() == 2) {
            match frame(&mut stream).await {
                (4, 0, ..) => stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).await.expect("sent"),
                (6, 0, _, ping) => {
                    stream.write_all(&[0, 0, 8, 6, 1, 0, 0, 0, 0]).await.expect("sent");
                    stream.write_all(&ping).await.expect("sent");
                }
                (7, .., told) => {
                    let number = |at: usize| u32::from_be_bytes(told[at..at + 4].try_into().expect("four bytes"));
                    assert_eq!(number(4), 0, "NO_ERROR");
                    goaways.push(number(0));
                }
                (1 | 0, flags, 1, _) => ended |= flags & 1 == 1,
                _ => {}
            }
        }
        assert_eq!(goaways, [u32::MAX >> 1, 1], "no further requests, please; then: none after this one was taken");
        assert_eq!(stream.read(&mut [0]).await.expect("an end"), 0);
    }
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
}

#[tokio::test]
async fn http2_requests_beside_each_other_all_finish() {
    let mut proxy = proxy(&[]).await;
    let _nodes = nodes(&proxy, 1).await;
    let clients = [h2(proxy.listeners[0]).await, h2(proxy.listeners[1]).await];
    let mut asked = Vec::new();
    for client in &clients {
        for _ in 0..3 {
            asked.push(h2_get(client, "/slow?ms=1500"));
        }
    }
    let stop = async {
        counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 6").await;
        proxy.signal(libc::SIGTERM).expect("signalled");
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), stop);
    for answer in answers {
        assert_eq!(answer.expect("answered"), Some(200));
    }
    drop(clients);
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
}

#[tokio::test]
async fn tunnels_are_told_and_those_that_stay_are_cut() {
    let mut proxy = proxy(&["--grace", "2"]).await;
    let _nodes = nodes(&proxy, 1).await;
    let (mut goes, stays) = (socket(proxy.listeners[0]).await, socket(proxy.listeners[1]).await);
    goes.send(Message::Text("hello".into())).await.expect("sent");
    assert_eq!(next(&mut goes).await, Some(Message::Text("hello".into())));
    proxy.signal(libc::SIGTERM).expect("signalled");
    let Some(Message::Close(Some(close))) = next(&mut goes).await else { panic!("no word") };
    assert_eq!(close.code, CloseCode::Restart);
    assert!(next(&mut goes).await.is_none());
    // One that is never read does not answer; the process does not wait for it beyond its grace.
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
    drop(stays);
}

#[tokio::test]
async fn a_second_word_cuts_at_once() {
    for (first, second) in [(libc::SIGTERM, libc::SIGTERM), (libc::SIGINT, libc::SIGINT), (libc::SIGTERM, libc::SIGINT)]
    {
        let mut proxy = proxy(&["--grace", "600"]).await;
        let _nodes = nodes(&proxy, 1).await;
        let to = proxy.addr();
        let slow = tokio::spawn(async move { Request::get("/slow?ms=30000").send(to).await });
        counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 1").await;
        proxy.signal(first).expect("signalled");
        proxy.has_said("stopping: ").await.expect("said");
        proxy.signal(second).expect("signalled");
        assert_eq!(proxy.ended().await.expect("ends"), Some(0));
        assert!(slow.await.expect("no panic").is_err(), "cut");
    }
}
