//! Clients that speak HTTP/2, nodes that speak HTTP/1.1.

use pointsman_demo::client;
use pointsman_demo::node::{self, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Client, counted, get, post, proxy};

#[tokio::test]
async fn requests_with_prior_knowledge_ride_beside_each_other() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        let body = vec![b'x'; 200_000];
        let pieces: &[&[u8]] = &[&body];
        let head = http::Request::head(get("/echo").uri()).body(()).expect("a request");
        let (one, two, three, four) = tokio::join!(
            client.get("/echo?a=1"),
            client.send(post("/echo"), pieces, None),
            client.get("/bytes/3000000"),
            client.send(head, &[], None),
        );
        let one = one.expect("answered");
        assert_eq!(one.head.status(), 200);
        let seen = one.json();
        assert_eq!((&seen["target"], &seen["version"]), (&"/echo?a=1".into(), &"HTTP/1.1".into()));
        assert_eq!(seen["headers"]["host"][0], "site.example");
        assert_eq!(two.expect("answered").json()["body_bytes"], body.len());
        assert_eq!(three.expect("answered").body.len(), 3_000_000);
        let four = four.expect("answered");
        assert_eq!((four.head.status().as_u16(), four.body.len()), (200, 0));
    }
    counted(&proxy, "pointsman_handed_over_total{reason=\"http2\"} 1").await;
}

#[tokio::test]
async fn a_listener_with_http2_speaks_http_1_1_too() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for &listener in &proxy.listeners {
        for request in [client::Request::get("/echo"), client::Request::new("POST", "/echo").body("p".repeat(9))] {
            let mut connection = client::Connection::open(listener).await.expect("connected");
            for _ in 0..2 {
                assert_eq!(connection.exchange(&request).await.expect("answered").status, 200);
            }
        }
    }
}

#[tokio::test]
async fn a_listener_without_it_does_not() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: off", "").await;
    for &listener in &proxy.listeners {
        let refused = tokio::net::TcpStream::connect(listener).await.expect("connected");
        let spoken = async {
            let (requests, connection) = h2::client::handshake(refused).await?;
            let (response, _) = requests.clone().ready().await?.send_request(get("/echo"), true)?;
            tokio::select! { answer = response => answer.map(|_| ()), end = connection => end }
        };
        let spoken: Result<(), h2::Error> = spoken.await;
        assert!(spoken.is_err(), "an answer in HTTP/2");
    }
}

#[tokio::test]
async fn what_the_proxy_answers_itself_is_a_problem_document_too() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let proxy = proxy(nobody, "http2: on", "").await;
    for &listener in &proxy.listeners {
        let answer = Client::to(listener).await.get("/x").await.expect("answered");
        assert_eq!(answer.head.status(), 502);
        assert_eq!(answer.head.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.json()["reason"], "connect");
    }
}

#[tokio::test]
async fn a_proxy_that_stops_finishes_what_runs() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    let clients = [Client::to(proxy.listeners[0]).await, Client::to(proxy.listeners[1]).await];
    let slow = clients.iter().map(|client| client.get("/slow?ms=1500"));
    let stop = async {
        counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 2").await;
        proxy.signal(libc::SIGTERM).expect("signalled");
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(slow), stop);
    for answer in answers {
        assert_eq!(answer.expect("answered").head.status(), 200);
    }
    drop(clients);
    let mut proxy = proxy;
    assert_eq!(proxy.ended().await.expect("ended"), Some(0));
}

#[tokio::test]
async fn what_is_neither_protocol_ends_without_an_answer_that_one_would_misread() {
    let node = node::start(NodeOptions::new("n1")).expect("a node");
    let proxy = proxy(node.addr, "http2: on", "").await;
    for &listener in &proxy.listeners {
        for (sent, answered) in [
            ("INVALID CONNECTION PREFACE\r\n\r\n", ""),
            ("GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 505 "),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ] {
            let mut stream = TcpStream::connect(listener).await.expect("connected");
            stream.write_all(sent.as_bytes()).await.expect("written");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an orderly end");
            assert!(answer.starts_with(answered) && answer.is_empty() == answered.is_empty(), "{sent:?}: {answer}");
        }
    }
    assert_eq!(node.stats().requests, 0);
}
