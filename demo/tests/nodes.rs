//! A demo node over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use pointsman_demo::client::{Answer, Connection, Request};
use pointsman_demo::node::{self, NodeOptions};
use pointsman_demo::{bare, wire};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

async fn get(to: SocketAddr, path: &str) -> Answer {
    Request::get(path).send(to).await.expect("an answer")
}

#[tokio::test]
async fn an_order_is_kept_by_the_node_that_took_it() {
    let node = node::start(NodeOptions::new("oms-1").ordinal(1)).expect("a node");
    let order = json!({ "clOrdID": "A-1", "customer": 7, "symbol": "ABC" });
    let taken = Request::post("/orders", &order).send(node.addr).await.expect("an answer");
    assert_eq!((taken.status, taken.header("x-node")), (201, Some("oms-1")));
    let taken = taken.json().expect("JSON");
    assert_eq!((&taken["node"], &taken["clOrdID"]), (&json!("oms-1"), &json!("A-1")));

    let id = taken["id"].as_str().expect("an id");
    let shown = get(node.addr, &format!("/orders/{id}")).await;
    assert_eq!(shown.json().expect("JSON"), taken);
    let listed = get(node.addr, "/orders?customer=7").await.json().expect("JSON");
    assert_eq!(listed["orders"], json!([taken]));
    let missing = get(node.addr, "/orders/oms-9-1").await;
    assert_eq!((missing.status, missing.header("x-node")), (404, Some("oms-1")));
    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn what_is_not_an_order_is_refused() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    for body in ["[1]", "{", "7"] {
        let refused = Request::new("POST", "/orders").body(body).send(node.addr).await.expect("an answer");
        assert_eq!(refused.status, 400, "{body}");
    }
    assert_eq!(get(node.addr, "/orders").await.json().expect("JSON")["taken"], 0);
}

#[tokio::test]
async fn requests_that_ran_twice_are_seen_in_one_node_and_over_several() {
    let (one, two) = (NodeOptions::new("oms-1"), NodeOptions::new("oms-2"));
    let (one, two) = (node::start(one).expect("a node"), node::start(two).expect("a node"));
    for (to, id) in [(one.addr, "a"), (one.addr, "b"), (one.addr, "a"), (two.addr, "b"), (two.addr, "c")] {
        let order = Request::post("/orders", &json!({})).header("x-request-unique", id);
        assert_eq!(order.send(to).await.expect("an answer").status, 201);
    }
    let told = get(one.addr, "/stats").await.json().expect("JSON");
    assert_eq!((&told["unique"], &told["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!(told["duplicate_ids"], json!(["a"]));
    assert_eq!(get(two.addr, "/stats/ids").await.json().expect("JSON"), json!(["b", "c"]));
    assert_eq!(node::duplicates(&[&one, &two]), ["a", "b"]);
}

#[tokio::test]
async fn the_journal_outlives_the_node() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders");
    let options = NodeOptions { journal: Some(path.clone()), ..NodeOptions::new("oms-1") };
    let node = node::start(options).expect("a node");
    let order = Request::post("/orders", &json!({ "clOrdID": "A" }));
    order.send(node.addr).await.expect("an answer");
    node.kill();
    assert_eq!(std::fs::read_to_string(path).expect("a journal"), "A\toms-1-1\n");
}

#[tokio::test]
async fn health_is_what_it_was_told_to_be() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    assert_eq!(get(node.addr, "/health").await.status, 200);
    let told = Request::new("POST", "/health?status=503").send(node.addr).await.expect("an answer");
    assert_eq!(told.status, 200);
    assert_eq!(get(node.addr, "/health").await.status, 503);
    node.set_health(200);
    assert_eq!(get(node.addr, "/health").await.status, 200);
    let absurd = Request::new("POST", "/health?status=99").send(node.addr).await.expect("an answer");
    assert_eq!(absurd.status, 400);
}

#[tokio::test]
async fn the_other_paths_do_what_they_say() {
    let node = node::start(NodeOptions::new("api-1")).expect("a node");
    assert_eq!(get(node.addr, "/fail?status=502").await.status, 502);
    assert_eq!(get(node.addr, "/fail").await.status, 500);
    assert_eq!(get(node.addr, "/slow?ms=1").await.json().expect("JSON")["slept_ms"], 1);
    assert_eq!(get(node.addr, "/nowhere").await.status, 404);
    for bytes in [0, 1, 65_536, 200_000] {
        assert_eq!(get(node.addr, &format!("/bytes/{bytes}")).await.body.len(), bytes);
    }
    let echo = Request::post("/echo?a=b", &json!({ "x": 1 })).header("x-seen", "yes");
    let echo = echo.send(node.addr).await.expect("an answer").json().expect("JSON");
    assert_eq!((&echo["headers"]["x-seen"], &echo["method"]), (&json!(["yes"]), &json!("POST")));
    assert_eq!((&echo["target"], &echo["body"]), (&json!("/echo?a=b"), &json!("{\"x\":1}")));
    assert_eq!(echo["node"], "api-1");
}

#[tokio::test]
async fn a_websocket_echoes_text_and_bytes() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let url = format!("ws://{}/ws", node.addr);
    let (mut socket, response) = tokio_tungstenite::connect_async(url).await.expect("an upgrade");
    assert_eq!(response.headers()["x-node"], "oms-1");
    for message in [Message::text("hello"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.expect("sent");
        assert_eq!(socket.next().await.expect("a message").expect("well-formed"), message);
    }
}

#[tokio::test]
async fn a_killed_node_is_gone_at_once_and_its_connections_with_it() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let to = node.addr;
    let mut kept = Connection::open(to).await.expect("a connection");
    assert_eq!(kept.exchange(&Request::get("/")).await.expect("an answer").status, 200);
    node.kill();
    kept.exchange(&Request::get("/")).await.expect_err("the connection is gone");
    Connection::open(to).await.expect_err("nobody listens");
}

#[tokio::test]
async fn a_stopped_node_ends_although_a_websocket_is_open() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let (_socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", node.addr)).await.expect("an upgrade");
    tokio::time::timeout(Duration::from_secs(20), node.stop()).await.expect("it ends");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let problem = node::start(NodeOptions::new("oms-2").listen(node.addr)).expect_err("the port is taken");
    assert!(problem.to_string().contains(&node.addr.to_string()), "{problem}");
}

#[tokio::test]
async fn the_bare_server_answers_seventy_bytes_in_all() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = bare::start("bench-1", SocketAddr::from(([127, 0, 0, 1], 0))).expect("a server");
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.expect("a connection");
    for _ in 0..2 {
        stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc").await.expect("sent");
        let mut reply = [0; bare::REPLY];
        stream.read_exact(&mut reply).await.expect("a whole reply");
        let head = wire::parse_head(&reply, false, |_, _| {}).expect("well-formed").expect("complete");
        assert_eq!(head.framing, wire::Framing::Length((bare::REPLY - head.bytes) as u64));
    }
    assert_eq!(get(server.addr, "/bytes/10240").await.body.len(), 10_240);
    assert_eq!(get(server.addr, "/").await.header("x-node"), Some("bench-1"));
}
