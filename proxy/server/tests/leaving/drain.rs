//! A node that drains: nothing new goes there, what it holds finishes, tunnels are asked to leave and then cut.

use futures::SinkExt;
use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::stage::{YAML, counted, next, nodes, proxy, proxy_with, socket};

async fn turn(proxy: &Proxy, id: &str, what: &str) {
    let answer = proxy.admin.post(&format!("/v1/services/api/nodes/{id}/{what}"), &json!({})).await;
    assert_eq!(answer.expect("answered").status, 200);
}

#[tokio::test]
async fn what_a_node_holds_finishes_and_somebody_is_told() {
    let proxy = proxy(&[]).await;
    let _nodes = nodes(&proxy, 2).await;
    let mut slow = Vec::new();
    for listener in [0, 0, 1, 1] {
        let to = proxy.listeners[listener];
        slow.push(tokio::spawn(async move { Request::get("/slow?ms=1500").send(to).await }));
    }
    counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 2").await;
    turn(&proxy, "n1", "drain").await;
    assert!(!proxy.said().contains("node-drained"), "two requests are under way");
    for _ in 0..6 {
        let answer = Request::get("/echo").send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.header("x-node"), Some("n2"));
    }
    let admin = proxy.admin.address().to_string();
    let waited = proxy.command(&["nodes", "drain", "api", "n1", "--wait", "--admin", &admin]).await;
    assert!(waited.expect("the command runs").status.success());
    for slow in slow {
        assert_eq!(slow.await.expect("no panic").expect("answered").status, 200);
    }
    proxy.has_said("node-drained service=api node=n1").await.expect("told");
    let node = proxy.admin.node("api", "n1").await.expect("answered").expect("there");
    assert_eq!((&node["standing"], &node["in_flight"]), (&"draining".into(), &0.into()));
}

#[tokio::test]
async fn tunnels_are_asked_and_those_that_stay_are_cut_at_the_deadline() {
    let proxy = proxy(&[]).await;
    let _nodes = nodes(&proxy, 1).await;
    let (mut goes, stays) = (socket(proxy.listeners[0]).await, socket(proxy.listeners[1]).await);
    counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 2").await;
    turn(&proxy, "n1", "drain").await;
    let Some(Message::Close(Some(close))) = next(&mut goes).await else { panic!("no word") };
    assert_eq!(close.code, CloseCode::Away);
    assert!(next(&mut goes).await.is_none());
    // Nobody reads the other, so nobody answers.
    proxy.has_said("node-drained service=api node=n1").await.expect("cut at the deadline");
    counted(&proxy, "pointsman_tunnels{service=\"api\"} 0").await;
    drop(stays);
}

#[tokio::test]
async fn who_was_not_asked_before_the_drain_ended_stays() {
    let yaml = YAML.replace("spread: 300ms, deadline: 2s", "spread: 20h, deadline: 24h");
    let proxy = proxy_with(&yaml, &[]).await;
    let _nodes = nodes(&proxy, 1).await;
    let mut socket = socket(proxy.addr()).await;
    let mut passes = async |text: &'static str| {
        socket.send(Message::Text(text.into())).await.expect("sent");
        assert_eq!(next(&mut socket).await, Some(Message::Text(text.into())));
    };
    passes("one").await;
    turn(&proxy, "n1", "drain").await;
    proxy.admin.node_is("api", "n1", "draining").await.expect("drained");
    passes("two").await;
    turn(&proxy, "n1", "undrain").await;
    proxy.admin.node_is("api", "n1", "up").await.expect("undrained");
    passes("three").await;
}
