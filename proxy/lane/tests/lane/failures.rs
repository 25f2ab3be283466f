//! Nodes that fail, connections gone stale, clients that leave.

use std::time::Duration;

use pointsman_config::plan::Timeouts;
use pointsman_lane::Options;
use pointsman_lane::traffic::Ending;

use crate::rig::{Rig, Setup, within};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(30);

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_passed_over_also_for_a_post() {
    let mut rig = Rig::new(Setup { nodes: 2, ..Setup::default() }).await;
    let gone = rig.nodes.remove(0);
    drop(gone);
    let mut client = rig.client().await;
    client.send(POST).await;
    let mut node = rig.node(0).await;
    node.expect(POST).await;
    node.send(OK).await;
    client.expect(OK).await;
    assert_eq!(rig.told().await.attempt, Some(2));
    assert_eq!(rig.robin.nodes[0].load.in_flight(), 0);
}

#[tokio::test]
async fn nobody_there_is_a_502() {
    let mut rig = Rig::new(Setup::default()).await;
    rig.nodes.clear();
    let mut client = rig.client().await;
    client.send(GET).await;
    client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 7\r\n\r\nConnect").await;
    let told = rig.told().await;
    assert_eq!((told.ending, told.status), (Ending::Page, 502));
}

#[tokio::test]
async fn a_stale_connection_costs_an_idempotent_request_nothing() {
    for request in [GET, PUT] {
        let mut rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(OK).await;
        client.expect(OK).await;
        // The node reads the next request on the connection that it is about to close.
        client.send(request).await;
        node.expect(request).await;
        drop(node);
        let mut fresh = rig.node(0).await;
        fresh.expect(request).await;
        fresh.send(OK).await;
        client.expect(OK).await;
        assert!(!rig.told().await.reused);
        let told = rig.told().await;
        assert_eq!((told.attempt, told.reused), (Some(1), false));
    }
}

#[tokio::test]
async fn a_post_that_a_node_may_have_seen_is_not_sent_again() {
    let mut rig = Rig::new(Setup { nodes: 2, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(POST).await;
    let mut node = rig.node(0).await;
    node.expect(POST).await;
    drop(node);
    client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nReset").await;
    assert_eq!(rig.told().await.attempt, Some(1));
}

#[tokio::test]
async fn a_post_on_a_stale_connection_is_not_sent_again() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
    client.send(POST).await;
    node.expect(POST).await;
    drop(node);
    client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nReset").await;
}

#[tokio::test]
async fn a_connection_that_the_node_closed_while_idle_is_not_used() {
    let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
    drop(node);
    // A second client's exchange passes through the reactor, which so learns of the end.
    let mut other = rig.client().await;
    other.send(GET).await;
    let mut second = rig.node(0).await;
    second.expect(GET).await;
    client.send(POST).await;
    let mut third = rig.node(0).await;
    third.expect(POST).await;
    third.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_reset_before_the_reply_is_tried_elsewhere_with_the_body() {
    let mut rig = Rig::new(Setup { nodes: 2, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(PUT).await;
    let mut node = rig.node(0).await;
    node.expect(PUT).await;
    node.reset();
    let mut second = rig.node(1).await;
    second.expect(PUT).await;
    second.send(OK).await;
    client.expect(OK).await;
    let told = rig.told().await;
    assert_eq!((told.attempt, told.bytes), (Some(2), (3, 2)));
}

#[tokio::test]
async fn a_body_too_large_to_hold_is_not_sent_again() {
    let rig = Rig::new(Setup { nodes: 2, ..Setup::default() }).await;
    let mut client = rig.client().await;
    let size = 200_000;
    client.send(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n")).await;
    client.send(vec![b'x'; size]).await;
    let mut node = rig.node(0).await;
    node.expect(&format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n")).await;
    node.take(size).await;
    node.reset();
    client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nReset").await;
}

#[tokio::test]
async fn a_status_is_tried_elsewhere_and_its_connection_kept_if_the_reply_is_here() {
    let rig = Rig::new(Setup { nodes: 2, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy").await;
    let mut second = rig.node(1).await;
    second.expect(GET).await;
    second.send(OK).await;
    client.expect(OK).await;
    // Its turn is at the second node, the next one's at the first, on the connection that said 503.
    client.send(GET).await;
    second.expect(GET).await;
    second.send(OK).await;
    client.expect(OK).await;
    client.send(GET).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn the_last_status_is_passed_on() {
    let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
    let mut client = rig.client().await;
    for status in ["404 Not Found", "503 Service Unavailable", "599 x"] {
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")).await;
        client.expect(&format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")).await;
        client = rig.client().await;
    }
}

#[tokio::test]
async fn a_malformed_reply_is_a_502_and_the_connection_is_not_used_again() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
    ] {
        let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(reply).await;
        client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nMalformed").await;
        node.ends().await;
    }
}

#[tokio::test]
async fn endless_heads_and_endless_interim_responses_are_malformed() {
    for piece in ["X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", "aaaaaaaaaaaaaaaaaaaaaaaa"] {
        let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(format!("HTTP/1.1 200 OK\r\n{}", piece.repeat(70_000 / piece.len()))).await;
        client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nMalformed").await;
    }
    let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(17)).await;
    client.expect(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(16)).await;
    client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nMalformed").await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_request_at_the_node() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    assert_eq!(rig.robin.nodes[0].load.in_flight(), 1);
    drop(client);
    node.ends().await;
    let told = rig.told().await;
    assert_eq!((told.ending, told.status), (Ending::ClientGone, 0));
    assert_eq!(rig.robin.nodes[0].load.in_flight(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_its_body_ends_the_request_at_the_node() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc").await;
    let mut node = rig.node(0).await;
    node.expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc").await;
    drop(client);
    node.ends().await;
    assert_eq!(rig.told().await.ending, Ending::ClientGone);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_reply_ends_the_request_at_the_node() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    drop(client);
    node.ends().await;
    assert_eq!(rig.told().await.ending, Ending::ClientGone);
}

#[tokio::test]
async fn a_node_that_does_not_answer_in_time_is_a_504() {
    let timeouts = Timeouts { connect: LONG, response: SHORT, idle: LONG };
    let mut rig = Rig::new(Setup { attempts: 1, timeouts, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    client.expect("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 7\r\n\r\nTimeout").await;
    node.ends().await;
    assert_eq!(rig.told().await.status, 504);
}

#[tokio::test]
async fn a_node_that_stalls_in_its_reply_is_cut_off() {
    let timeouts = Timeouts { connect: LONG, response: LONG, idle: SHORT };
    let mut rig = Rig::new(Setup { timeouts, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    client.ends().await;
    assert_eq!(rig.told().await.ending, Ending::CutOff);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_or_body_is_told_so() {
    let options = Options { head_timeout: SHORT, body_timeout: SHORT, ..Options::default() };
    let mut rig = Rig::new(Setup { options, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    client.expect("HTTP/1.1 408 Request Timeout\r\nContent-Length: 9\r\nConnection: close\r\n\r\nslow-head").await;
    client.ends().await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc").await;
    client.expect("HTTP/1.1 408 Request Timeout\r\nContent-Length: 9\r\nConnection: close\r\n\r\nslow-body").await;
    client.ends().await;
    assert_eq!(rig.told().await.ending, Ending::Rejected);
}

#[tokio::test]
async fn a_parked_request_goes_on_when_the_membership_changes() {
    let rig = Rig::new(Setup { parks: true, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    within("the request to park", rig.robin.parked.notified()).await;
    rig.robin.version.send_modify(|version| *version += 1);
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_parked_client_that_leaves_is_noticed() {
    let mut rig = Rig::new(Setup { parks: true, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    drop(client);
    let told = rig.told().await;
    assert_eq!((told.ending, told.attempt), (Ending::ClientGone, None));
}
