//! Nodes at Unix sockets.

use futures::{SinkExt, StreamExt};
use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::Proxy;
use serde_json::json;
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{LISTENERS, Node, YAML, anywhere, get, get_by_tcp, options, pair, stage};

#[tokio::test]
async fn connections_to_a_node_are_used_again_and_a_restarted_one_is_found_again() {
    let yaml = YAML.replace("    health: { http: /health, interval: 500ms, timeout: 500ms, fall: 2, rise: 1 }\n", "");
    let (proxy, mut node) = stage(&yaml).await;
    let file = proxy.folder().join("a.sock");
    for round in 0..3 {
        for &listener in &proxy.listeners {
            let stream = TcpStream::connect(listener).await.expect("connected");
            let mut connection = Connection::over(stream, anywhere());
            let mut seen = Vec::new();
            for _ in 0..3 {
                let answer = connection.exchange(&Request::get("/x")).await.expect("answered");
                assert_eq!(answer.status, 200, "round {round}");
                seen.push(answer.header("x-connection").map(str::to_owned));
            }
            assert!(seen.iter().all(|one| *one == seen[0]), "one connection carries all: {seen:?}");
        }
        // Its pooled connections end with it, and the same path is another socket.
        node.kill().await;
        node = Node::start(&file);
    }
    drop(node);
}

#[tokio::test]
async fn checks_take_a_node_down_when_its_process_dies_and_bring_it_back() {
    let (proxy, node) = stage(YAML).await;
    let file = proxy.folder().join("a.sock");
    node.kill().await;
    assert!(file.exists(), "the file stays");
    proxy.admin.node_is("app", "a", "down").await.expect("nobody listens");
    for listener in LISTENERS {
        assert_eq!(get(proxy.folder().join(listener)).await.expect("answered").status, 503);
    }
    std::fs::remove_file(&file).expect("removed");
    let _node = Node::start(&file);
    proxy.admin.node_is("app", "a", "up").await.expect("somebody listens");
    for listener in LISTENERS {
        assert_eq!(get(proxy.folder().join(listener)).await.expect("answered").status, 200);
    }
}

#[tokio::test]
async fn a_node_that_nobody_is_at_is_passed_over() {
    let yaml = YAML
        .replace("    health: { http: /health, interval: 500ms, timeout: 500ms, fall: 2, rise: 1 }\n", "")
        .replace("\"unix:a.sock\" }]", "\"unix:a.sock\" }, { id: none, address: \"unix:none.sock\" }]");
    let (proxy, _node) = stage(&yaml).await;
    for _ in 0..4 {
        for &listener in &proxy.listeners {
            assert_eq!(get_by_tcp(listener).await.expect("answered").status, 200);
        }
    }
}

#[tokio::test]
async fn tls_is_spoken_to_them() {
    let (cert, key) = pair();
    let other = pair();
    for (trusted, status) in [(&cert, 200), (&other.0, 502)] {
        let yaml = YAML
            .replace("http: /health, ", "tcp: true, ")
            .replace("    nodes:", "    tls: { ca: nodes.pem }\n    retry: { attempts: 1 }\n    nodes:");
        let options = options(&yaml).file("nodes.pem", trusted.clone());
        let proxy = Proxy::start_unready(options).await.expect("it accepts");
        let _node = Node::secure(&proxy.folder().join("a.sock"), &cert, &key);
        proxy.admin.node_is("app", "a", "up").await.expect("up");
        for listener in LISTENERS {
            assert_eq!(get(proxy.folder().join(listener)).await.expect("answered").status, status);
        }
    }
}

#[tokio::test]
async fn websockets_pass_from_one_to_the_other() {
    let yaml = YAML.replace("http: /health, ", "tcp: true, ");
    let (proxy, node) = stage(&yaml).await;
    node.kill().await;
    let _node = Node::socket(&proxy.folder().join("a.sock"));
    proxy.admin.node_is("app", "a", "up").await.expect("up");
    for listener in LISTENERS {
        let stream = UnixStream::connect(proxy.folder().join(listener)).await.expect("connected");
        let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/ws", stream).await.expect("a handshake");
        for text in ["one", "two"] {
            socket.send(Message::text(text)).await.expect("sent");
            assert_eq!(socket.next().await.expect("an echo").expect("whole"), Message::text(text));
        }
        socket.close(None).await.expect("closed");
    }
}

#[tokio::test]
async fn a_node_joins_with_one_and_the_registry_keeps_it() {
    let yaml = YAML.replace("    nodes: [{ id: a, address: \"unix:a.sock\" }]\n", "");
    let mut proxy = Proxy::start_with(options(&yaml)).await.expect("it serves");
    let file = proxy.folder().join("joined.sock");
    let address = format!("unix:{}", file.display());
    let _node = Node::start(&file);
    let path = "/v1/services/app/nodes/j";
    let answer = proxy.admin.put(path, &json!({ "address": address, "ttl": "1h" })).await.expect("answered");
    assert_eq!(answer.status, 201, "{}", answer.text());
    proxy.admin.node_is("app", "j", "up").await.expect("up");
    let known = proxy.admin.node("app", "j").await.expect("answered").expect("there");
    assert_eq!(known["address"], address);
    let admin = proxy.admin.address().to_string();
    let said = proxy.command(&["nodes", "--admin", &admin]).await.expect("the command runs");
    assert!(String::from_utf8_lossy(&said.stdout).contains(&address), "{said:?}");
    for listener in LISTENERS {
        assert_eq!(get(proxy.folder().join(listener)).await.expect("answered").status, 200);
    }
    proxy.kill().await.expect("killed");
    proxy.restart().await.expect("it starts");
    proxy.admin.node_is("app", "j", "up").await.expect("it is known");
    assert_eq!(get(proxy.folder().join("lane.sock")).await.expect("answered").status, 200);

    // Not the proxy itself, by whatever name.
    let own = proxy.folder().join("registry/../lane.sock");
    let body = json!({ "address": format!("unix:{}", own.display()) });
    let answer = proxy.admin.put("/v1/services/app/nodes/own", &body).await.expect("answered");
    assert_eq!((answer.status, answer.json().expect("JSON")["reason"].clone()), (400, "loop".into()));
}
