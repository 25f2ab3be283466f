//! What a demo node knows, refuses and counts, over real sockets.

use std::net::SocketAddr;

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::node::{self, NodeOptions};
use serde_json::{Value, json};

async fn ask(to: SocketAddr, request: Request) -> Answer {
    request.send(to).await.expect("an answer")
}

#[tokio::test]
async fn a_shard_that_does_not_know_a_user_says_so_and_counts_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Some(folder.path().join("shard-1"));
    let options = || NodeOptions { ledger: ledger.clone(), ..NodeOptions::new("shard-1") };
    let node = node::start(options()).expect("a node");
    let trade = || Request::new("POST", "/users/anna/trades").header("x-request-unique", "t-1");
    assert_eq!(ask(node.addr, trade()).await.status, 421);
    assert_eq!(ask(node.addr, Request::get("/users/anna")).await.status, 421);
    assert_eq!(ask(node.addr, Request::new("PUT", "/users/anna")).await.status, 201);
    assert_eq!(ask(node.addr, trade()).await.status, 201);
    assert_eq!(node.stats().misrouted, 2);
    node.kill();
    let again = node::start(options()).expect("a node");
    assert_eq!(ask(again.addr, Request::get("/users/anna")).await.status, 200, "its ledger outlives it");
    let text = std::fs::read_to_string(folder.path().join("shard-1")).expect("a ledger");
    assert_eq!(text, "user/anna\t\tshard-1\ntrade/anna\tt-1\tshard-1\n");
}

#[tokio::test]
async fn an_order_finds_its_payment_at_the_node_and_at_a_replica() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Some(folder.path().join("store"));
    let of = |id: &str| node::start(NodeOptions { ledger: ledger.clone(), ..NodeOptions::new(id) }).expect("a node");
    let (one, two) = (of("one"), of("two"));
    let pay = |order: u64| Request::new("POST", &format!("/payments/{order}"));
    let place = |order: u64| Request::new("POST", &format!("/placed/{order}"));
    assert_eq!(ask(one.addr, pay(1)).await.json().expect("JSON")["waits"], true);
    assert_eq!(ask(one.addr, place(1)).await.json().expect("JSON")["paid"], "here");
    assert_eq!(ask(one.addr, pay(2)).await.status, 202);
    assert_eq!(ask(two.addr, place(2)).await.json().expect("JSON")["paid"], "at a replica");
    assert_eq!(ask(two.addr, place(3)).await.json().expect("JSON")["paid"], "no");
    assert_eq!(ask(one.addr, pay(3)).await.json().expect("JSON")["waits"], false);
}

#[tokio::test]
async fn an_execution_is_for_the_node_that_has_the_order_or_for_the_primary() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let execution = |order: &str| Request::post("/executions", &json!({ "execution": { "clOrdID": order } }));
    let taken = ask(node.addr, Request::post("/orders", &json!({ "clOrdID": "o-1", "customer": 7 }))).await;
    assert_eq!(taken.status, 201);
    assert_eq!(ask(node.addr, execution("o-1")).await.json().expect("JSON")["adopted"], false);
    assert_eq!(ask(node.addr, execution("o-2")).await.status, 421);
    let to_owner = execution("o-2").header("pointsman-epoch", "3").header("pointsman-owner-epoch", "1");
    assert_eq!(ask(node.addr, to_owner).await.status, 421, "the proxy says that it is the owner, and it is not");
    let to_primary = execution("o-2").header("pointsman-epoch", "3");
    assert_eq!(ask(node.addr, to_primary).await.json().expect("JSON")["adopted"], true);
    let fix = Request::new("POST", "/executions").header("content-type", "application/fix");
    assert_eq!(ask(node.addr, fix.body("8=FIX.4.4\u{1}35=8\u{1}11=o-1\u{1}")).await.status, 200);
    assert_eq!(node.stats().misrouted, 2);
}

#[tokio::test]
async fn an_epoch_that_is_over_is_refused_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || NodeOptions { ledger: Some(folder.path().join("oms-1")), ..NodeOptions::new("oms-1") };
    let in_epoch = |epoch: u64| Request::get("/drop-copy/all").header("pointsman-epoch", &epoch.to_string());
    let node = node::start(options()).expect("a node");
    for (epoch, status) in [(2, 200), (9, 200), (2, 409), (10, 200), (9, 409)] {
        assert_eq!(ask(node.addr, in_epoch(epoch)).await.status, status, "epoch {epoch}");
    }
    assert_eq!((node.stats().epoch, node.stats().stale), (10, 2));
    let order = Request::post("/orders", &json!({ "clOrdID": "o-1" })).header("pointsman-epoch", "2");
    assert_eq!(ask(node.addr, order).await.status, 201, "any system takes orders, primary or not");
    let told = |answer: Answer| answer.json().expect("JSON")["epoch"].clone();
    assert_eq!(told(ask(node.addr, in_epoch(10)).await), 10);
    let without = ask(node.addr, Request::get("/drop-copy/all")).await;
    assert_eq!((without.status, told(without)), (200, Value::Null), "no epoch, no objection");
    node.kill();
    let again = node::start(options()).expect("a node");
    assert_eq!(ask(again.addr, in_epoch(9)).await.status, 409);
}

#[tokio::test]
async fn more_at_once_than_a_node_bears_are_refused_and_counted() {
    let options = NodeOptions { most_at_once: Some(1), ..NodeOptions::new("web-1") };
    let node = node::start(options).expect("a node");
    // Each holds the node's only place for a second: of two at once one is refused.
    let slow = || Request::get("/slow?ms=1000");
    let (first, second) = (slow(), slow());
    let (one, two) = tokio::join!(first.send(node.addr), second.send(node.addr));
    let mut statuses = [one.expect("an answer").status, two.expect("an answer").status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    assert_eq!((node.stats().most_at_once, node.stats().over), (1, 1));
    assert_eq!(ask(node.addr, Request::get("/")).await.status, 200, "the place is free again");
}

#[tokio::test]
async fn trades_name_their_client() {
    let options = NodeOptions { capacity: Some(1000.0), ..NodeOptions::new("partition-1") };
    let node = node::start(options).expect("a node");
    let told = ask(node.addr, Request::post("/trades", &json!({ "client": { "id": "C7" } }))).await;
    assert_eq!((told.status, &told.json().expect("JSON")["client"]), (201, &json!("C7")));
    assert_eq!(ask(node.addr, Request::new("POST", "/trades").body("{}")).await.status, 400);
    assert!(node::start(NodeOptions { capacity: Some(0.0), ..NodeOptions::new("partition-1") }).is_err());
}
