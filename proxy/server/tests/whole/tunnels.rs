use futures::{SinkExt, StreamExt};
use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stage::{nodes, proxy, proxy_with};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn socket(proxy: &Proxy) -> Socket {
    connect_async(format!("ws://{}/ws", proxy.addr())).await.expect("a handshake").0
}

async fn has_metric(proxy: &Proxy, line: &str) {
    proxy.admin.answers("/metrics", |answer| answer.text().contains(line)).await.expect(line);
}

/// What comes next, within reason.
async fn next(socket: &mut Socket) -> Option<Message> {
    let message = tokio::time::timeout(pointsman_demo::harness::PATIENCE, socket.next()).await.expect("in time");
    message.and_then(Result::ok)
}

async fn is_closed_with(socket: &mut Socket, code: CloseCode) {
    let Some(Message::Close(Some(frame))) = next(socket).await else { panic!("no Close with a code") };
    assert_eq!(frame.code, code);
    // The client answers by itself; then the connection ends in order.
    assert!(next(socket).await.is_none());
}

#[tokio::test]
async fn a_websocket_passes_and_is_counted() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let mut socket = socket(&proxy).await;
    let large = vec![7_u8; 1_000_000];
    for message in [Message::Text("hello".into()), Message::Binary(large.into()), Message::Text("".into())] {
        socket.send(message.clone()).await.expect("sent");
        assert_eq!(next(&mut socket).await, Some(message));
    }
    has_metric(&proxy, "pointsman_tunnels{service=\"api\"} 1").await;
    has_metric(&proxy, "pointsman_node_in_flight{node=\"oms-1\",service=\"api\"} 1").await;
    socket.close(None).await.expect("closed");
    assert!(matches!(next(&mut socket).await, Some(Message::Close(_))), "the node answers");
    has_metric(&proxy, "pointsman_tunnels{service=\"api\"} 0").await;
    has_metric(&proxy, "pointsman_node_in_flight{node=\"oms-1\",service=\"api\"} 0").await;
    has_metric(&proxy, "pointsman_requests_total{code=\"101\",service=\"api\"} 1").await;
}

#[tokio::test]
async fn a_proxy_that_stops_says_so() {
    let mut proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let mut sockets = [socket(&proxy).await, socket(&proxy).await];
    sockets[0].send(Message::Text("hello".into())).await.expect("sent");
    assert_eq!(next(&mut sockets[0]).await, Some(Message::Text("hello".into())));
    proxy.signal(libc::SIGTERM).expect("sent");
    for socket in &mut sockets {
        is_closed_with(socket, CloseCode::Restart).await;
    }
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
}

#[tokio::test]
async fn a_node_that_drains_sends_its_sockets_away() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 2, &["api"]).await;
    let (mut drained, mut kept) = (None, None);
    for _ in 0..2 {
        // One of each node: the turn is strict.
        let (socket, answer) = connect_async(format!("ws://{}/ws", proxy.addr())).await.expect("a handshake");
        let place = if answer.headers()["x-node"] == "oms-1" { &mut drained } else { &mut kept };
        *place = Some(socket);
    }
    let (mut drained, mut kept) = (drained.expect("one of oms-1"), kept.expect("one of oms-2"));
    let drain = Request::new("POST", "/v1/services/api/nodes/oms-1/drain");
    let answer = proxy.admin.send(drain).await.expect("an answer");
    assert!(answer.status < 300, "{}", answer.text());
    is_closed_with(&mut drained, CloseCode::Away).await;
    kept.send(Message::Text("still there?".into())).await.expect("sent");
    assert_eq!(next(&mut kept).await, Some(Message::Text("still there?".into())));
    has_metric(&proxy, "pointsman_tunnels{service=\"api\"} 1").await;
}

#[tokio::test]
async fn a_node_that_dies_ends_its_sockets() {
    let proxy = proxy().await;
    let mut nodes = nodes(&proxy, 1, &["api"]).await;
    let mut socket = socket(&proxy).await;
    socket.send(Message::Text("hello".into())).await.expect("sent");
    assert!(next(&mut socket).await.is_some());
    nodes.remove(0).kill();
    assert!(next(&mut socket).await.is_none(), "an end without a Close: nobody speaks for the node");
    has_metric(&proxy, "pointsman_tunnels{service=\"api\"} 0").await;
}

/// A node that shakes hands and then does what the test does.
async fn handshake(listener: &TcpListener) -> BufReader<TcpStream> {
    let mut stream = BufReader::new(listener.accept().await.expect("a connection").0);
    let mut key = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await.expect("a head") > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("sec-websocket-key")
        {
            value.trim().clone_into(&mut key);
        }
        line.clear();
    }
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn a_message_that_is_half_sent_arrives_whole_before_the_word() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let yaml = format!(
        "listeners: [{{ address: \"@listen@\", lane: {} }}]
admin: {{ address: \"@admin@\" }}
access_log: off
registry: {{ store: embedded, path: registry }}
services: {{ s: {{ policy: round-robin, nodes: [{{ id: n1, ordinal: 1, address: {} }}] }} }}
routes: [{{ match: {{}}, service: s }}]
",
        crate::LANE,
        listener.local_addr().expect("an address"),
    );
    let mut proxy = proxy_with(&yaml).await;
    let (mut socket, mut node) = tokio::join!(socket(&proxy), handshake(&listener));
    let body = vec![b'x'; 300_000];
    let mut frame = vec![0x82, 127];
    frame.extend((body.len() as u64).to_be_bytes());
    frame.extend(&body);
    let (first, rest) = frame.split_at(100_000);
    node.write_all(first).await.expect("sent");
    // The client has the beginning, so the proxy stands within the message when it is told to stop.
    let MaybeTlsStream::Plain(wire) = socket.get_ref() else { panic!("in clear") };
    assert!(wire.peek(&mut [0; 1]).await.expect("a beginning") > 0);
    has_metric(&proxy, "pointsman_tunnels{service=\"s\"} 1").await;
    proxy.signal(libc::SIGTERM).expect("sent");
    proxy.has_said("stopping").await.expect("said");
    node.write_all(rest).await.expect("sent");
    assert_eq!(next(&mut socket).await, Some(Message::Binary(body.into())));
    is_closed_with(&mut socket, CloseCode::Restart).await;
    // The node hears the client's own Close, under its mask.
    let mut close = [0; 8];
    node.read_exact(&mut close).await.expect("a Close");
    assert_eq!(close[..2], [0x88, 0x82]);
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
}
