//! Whole exchanges: keep-alive, pipelining, replies without a body, interim responses.

use pointsman_lane::traffic::Ending;

use crate::rig::{Rig, Setup, Told};

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn requests_of_one_connection_use_one_connection_to_the_node() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    for round in 0..3 {
        if round > 0 {
            client.send(GET).await;
        }
        node.expect(GET).await;
        node.send(OK).await;
        client.expect(OK).await;
        let told = Told {
            path: "/a".into(),
            ending: Ending::Complete,
            status: 200,
            reused: round > 0,
            bytes: (0, 2),
            attempt: Some(1),
        };
        assert_eq!(rig.told().await, told);
        assert_eq!(rig.robin.nodes[0].load.in_flight(), 0);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let body = "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
    client.send(format!("{GET}{body}xyz{GET}")).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").await;
    node.expect(&format!("{body}xyz")).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2").await;
    node.expect(GET).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3").await;
    for number in ["1", "2", "3"] {
        client.expect(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}")).await;
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_read_like_one_that_comes_at_once() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    for byte in GET.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    for byte in OK.bytes() {
        node.send([byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect(OK).await;
}

#[tokio::test]
async fn replies_without_a_body_do_not_wait_for_one() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    client.send(head).await;
    let mut node = rig.node(0).await;
    node.expect(head).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    client.send(head).await;
    node.expect(head).await;
    node.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.expect("HTTP/1.1 200 OK\r\n\r\n").await;
    for reply in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        client.send(GET).await;
        node.expect(GET).await;
        node.send(reply).await;
        client.expect(reply).await;
    }
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_gets_it() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    let mut node = rig.node(0).await;
    node.expect("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    node.send(OK).await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").await;
    client.ends().await;
}

#[tokio::test]
async fn a_node_that_announces_its_end_is_not_asked_again_on_that_connection() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi").await;
    client.expect(OK).await;
    node.ends().await;
    client.send(GET).await;
    let mut second = rig.node(0).await;
    second.expect(GET).await;
}

#[tokio::test]
async fn bytes_after_a_reply_end_the_connection_to_the_node_and_reach_nobody() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")).await;
    client.expect(OK).await;
    node.ends().await;
    client.send(GET).await;
    let mut second = rig.node(0).await;
    second.expect(GET).await;
    second.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn interim_responses_are_passed_on() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    node.send(hints).await;
    client.expect(hints).await;
    node.send(format!("{hints}{OK}")).await;
    client.expect(&format!("{hints}{OK}")).await;
}

#[tokio::test]
async fn a_client_that_waits_for_the_go_ahead_gets_the_nodes() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await;
    let mut node = rig.node(0).await;
    node.expect(head).await;
    node.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("abc").await;
    node.expect("abc").await;
    node.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_node_that_does_not_want_the_body_ends_the_connection_with_its_reply() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await;
    let mut node = rig.node(0).await;
    node.expect(head).await;
    node.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n").await;
    client.expect("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    client.ends().await;
}

#[tokio::test]
async fn requests_take_turns_at_the_nodes() {
    let rig = Rig::new(Setup { nodes: 2, ..Setup::default() }).await;
    let mut client = rig.client().await;
    let mut nodes = Vec::new();
    for index in [0, 1, 0, 1] {
        client.send(GET).await;
        if nodes.len() < 2 {
            nodes.push(rig.node(index).await);
        }
        nodes[index].expect(GET).await;
        nodes[index].send(OK).await;
        client.expect(OK).await;
    }
}

#[tokio::test]
async fn two_clients_do_not_share_a_connection_at_the_same_time() {
    let rig = Rig::new(Setup::default()).await;
    let (mut one, mut two) = (rig.client().await, rig.client().await);
    one.send(GET).await;
    let mut first = rig.node(0).await;
    first.expect(GET).await;
    two.send(GET).await;
    let mut second = rig.node(0).await;
    second.expect(GET).await;
    second.send(OK).await;
    two.expect(OK).await;
    first.send(OK).await;
    one.expect(OK).await;
}
