//! Nodes that speak HTTP/2: gRPC with its trailers, answers that fail, connections that are shared.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use pointsman_demo::client;
use tokio::net::TcpListener;

use crate::stage::{Client, counted, post, proxy};

/// A node that speaks HTTP/2 with prior knowledge and answers as a gRPC server does: every message back, then trailers
/// with `grpc-status`. Counts its connections.
pub(crate) struct Grpc {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Grpc {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond));
                    }
                });
            }
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn answer(request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    if head.uri.path() == "/reset" {
        return respond.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    for name in ["te", "x-request-id", "x-forwarded-for"] {
        if let Some(value) = head.headers.get(name) {
            headers.insert(http::HeaderName::try_from(format!("seen-{name}")).expect("a name"), value.clone());
        }
    }
    let authority = head.uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
    headers.insert("seen-authority", authority.parse().expect("a value"));
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    while let Some(Ok(message)) = body.data().await {
        let _ = body.flow_control().release_capacity(message.len());
        if stream.send_data(message, false).is_err() {
            return;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("grpc-message", HeaderValue::from_static("fine"));
    let _ = stream.send_trailers(trailers);
}

fn call() -> http::Request<()> {
    let mut request = post("/orders.Orders/Place");
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    request
}

/// A message as gRPC frames it.
fn message(text: &str) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
    framed.extend_from_slice(text.as_bytes());
    framed
}

#[tokio::test]
async fn a_grpc_call_comes_back_with_its_trailers() {
    let node = Grpc::start().await;
    let proxy = proxy(node.address, "http2: on", "protocol: h2").await;
    for &listener in &proxy.listeners {
        let client = Client::to(listener).await;
        let sent = message("an order");
        let answer = client.send(call(), &[&sent], None).await.expect("answered");
        assert_eq!(answer.head.status(), 200);
        assert_eq!(answer.body, sent);
        let headers = answer.head.headers();
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(
            (&headers["seen-te"], &headers["seen-authority"]),
            (&"trailers".parse().expect("a value"), &"site.example".parse().expect("a value"))
        );
        assert_eq!(headers["seen-x-forwarded-for"], "127.0.0.1");
        let trailers = answer.trailers.expect("trailers");
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&"0".parse().expect("a value"), &"fine".parse().expect("a value"))
        );
    }
    counted(&proxy, "pointsman_requests_total{code=\"200\",service=\"api\"} 2").await;
}

#[tokio::test]
async fn messages_pass_while_the_call_is_open() {
    let node = Grpc::start().await;
    let proxy = proxy(node.address, "http2: on", "protocol: h2").await;
    for &listener in &proxy.listeners {
        let stream = tokio::net::TcpStream::connect(listener).await.expect("connected");
        let (requests, connection) = h2::client::handshake(stream).await.expect("spoken");
        tokio::spawn(connection);
        let (response, mut up) = requests.ready().await.expect("ready").send_request(call(), false).expect("sent");
        // The first message goes before any answer, each other one after the answer to the one before.
        up.send_data(message("0").into(), false).expect("sent");
        let mut down = response.await.expect("a head while the call is open").into_body();
        for turn in 0..5 {
            let came = down.data().await.expect("a message").expect("whole");
            down.flow_control().release_capacity(came.len()).expect("released");
            assert_eq!(came, message(&turn.to_string()));
            up.send_data(message(&(turn + 1).to_string()).into(), turn == 4).expect("sent");
        }
        let last = down.data().await.expect("a message").expect("whole");
        assert_eq!(last, message("5"));
        assert!(down.data().await.is_none());
        assert_eq!(down.trailers().await.expect("whole").expect("trailers")["grpc-status"], "0");
    }
}

#[tokio::test]
async fn a_client_of_http_1_1_reaches_a_node_of_http_2() {
    let node = Grpc::start().await;
    let proxy = proxy(node.address, "http2: off", "protocol: h2").await;
    for &listener in &proxy.listeners {
        let mut connection = client::Connection::open(listener).await.expect("connected");
        for body in ["one", "two"] {
            let answer = connection.exchange(&client::Request::new("POST", "/x").body(body)).await.expect("answered");
            assert_eq!((answer.status, answer.text().as_str()), (200, body));
        }
    }
    counted(&proxy, "pointsman_handed_over_total{reason=\"node\"} 1").await;
}

#[tokio::test]
async fn a_connection_to_a_node_is_shared_and_outlives_a_reset() {
    let node = Grpc::start().await;
    let proxy = proxy(node.address, "http2: on", "protocol: h2").await;
    let client = Client::to(proxy.listeners[1]).await;
    client.get("/first").await.expect("answered");
    for _ in 0..5 {
        let reset = client.get("/reset").await.expect("the proxy answers for the node");
        assert_eq!(reset.head.status(), 502);
        assert_eq!(reset.json()["reason"], "reset");
        let sound = message("sound");
        let pieces: &[&[u8]] = &[&sound];
        let calls = (0..10).map(|_| client.send(call(), pieces, None));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.expect("answered").head.status(), 200);
        }
    }
    assert_eq!(node.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_node_that_is_silent_is_given_up_and_its_neighbours_are_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                let mut held = Vec::new();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if request.uri().path() == "/silent" {
                        held.push(respond);
                    } else {
                        let _ = respond.send_response(Response::new(()), true);
                    }
                }
            });
        }
    });
    let service = "protocol: h2\n    timeouts: { response: 300ms, idle: 300ms }";
    let proxy = proxy(address, "http2: on", service).await;
    let client = Client::to(proxy.listeners[1]).await;
    let (silent, sound) = tokio::join!(client.get("/silent"), client.get("/sound"));
    assert_eq!(sound.expect("answered").head.status(), 200);
    let silent = silent.expect("answered");
    assert_eq!((silent.head.status().as_u16(), &silent.json()["reason"]), (504, &"timeout".into()));
    assert_eq!(client.get("/sound").await.expect("answered").head.status(), 200);
}

#[tokio::test]
async fn a_node_that_does_not_speak_it_is_no_node() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::Write;
            let _ = stream.expect("accepted").write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let proxy = proxy(address, "http2: on", "protocol: h2").await;
    let answer = Client::to(proxy.listeners[0]).await.get("/x").await.expect("answered");
    assert_eq!(answer.head.status(), 502);
}

/// Answers health checks with this status of the protocol's until told otherwise.
async fn healthy(listener: TcpListener, says: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let says = Arc::clone(&says);
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let (head, mut body) = request.into_parts();
                let mut response = Response::new(());
                response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
                let mut send = respond.send_response(response, false).expect("sent");
                if head.uri.path() == "/grpc.health.v1.Health/Check" {
                    let asked = body.data().await.expect("a message").expect("read");
                    assert_eq!(&asked[..], b"\0\0\0\0\x06\x0a\x04shop");
                    let status = u8::try_from(says.load(Ordering::Relaxed)).expect("small");
                    send.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false).expect("sent");
                }
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                send.send_trailers(trailers).expect("sent");
            }
        });
    }
}

#[tokio::test]
async fn a_node_serves_while_its_grpc_health_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, says) = (listener.local_addr().expect("an address"), Arc::new(AtomicUsize::new(1)));
    tokio::spawn(healthy(listener, Arc::clone(&says)));
    let check = "protocol: h2\n    health: { grpc: shop, interval: 100ms, timeout: 100ms }";
    let proxy = proxy(address, "http2: on", check).await;
    proxy.admin.node_is("api", "n1", "up").await.expect("up");
    says.store(2, Ordering::Relaxed);
    proxy.admin.node_is("api", "n1", "down").await.expect("down");
    says.store(1, Ordering::Relaxed);
    proxy.admin.node_is("api", "n1", "up").await.expect("up again");
}
