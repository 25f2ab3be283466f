use pointsman_config::plan::RetryOn;

use super::node::{Do, ok};
use super::*;

#[test]
fn a_node_that_is_gone_costs_neither_get_nor_post() {
    let node = RawNode::new(|seen| Do::Answer(ok(&seen.body)));
    let house = House::new(first(), &[nobody(), node.address]);
    assert_eq!(house.client().get("/a").status, 200);
    assert_eq!(house.client().post("/a", "order").body, "order");
    assert!(house.has_metric("pointsman_retries_total{reason=\"connect\",service=\"s\"} 2"));
    let lines = house.end();
    assert!(lines.iter().all(|line| line["attempts"] == 2 && line["node"] == "n2"), "{lines:?}");
}

#[test]
fn when_all_nodes_are_gone_the_client_is_told_in_502() {
    let house = House::new(first(), &[nobody(), nobody()]);
    let response = house.client().get("/a");
    assert_eq!((response.status, &response.json()["reason"]), (502, &"connect".into()));
    assert_eq!(house.in_flight(), 0);
}

#[test]
fn no_node_at_all_is_503_with_retry_after() {
    let house = House::new(first(), &[]);
    let response = house.client().get("/a");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(response.json()["reason"], "no-node");
}

#[test]
fn a_reset_before_the_answer_is_tried_elsewhere_if_idempotent() {
    let (bad, good) = (RawNode::new(|_| Do::Reset), RawNode::saying("good"));
    let house = House::new(first(), &[bad.address, good.address]);
    assert_eq!(house.client().get("/a").body, "good");
    assert_eq!(bad.seen().len(), 1);
    assert!(house.has_metric("pointsman_retries_total{reason=\"reset\",service=\"s\"} 1"));
}

#[test]
fn a_put_is_sent_again_with_its_body() {
    let (bad, good) = (RawNode::new(|_| Do::Reset), RawNode::new(|seen| Do::Answer(ok(&seen.body))));
    let house = House::new(first(), &[bad.address, good.address]);
    let put = "PUT /a HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\n\r\norder";
    assert_eq!(house.client().send(put).response(true).body, "order");
}

#[test]
fn a_post_that_was_sent_is_answered_502_and_never_sent_again() {
    let (bad, good) = (RawNode::new(|_| Do::Reset), RawNode::saying("good"));
    let house = House::new(first(), &[bad.address, good.address]);
    let response = house.client().post("/a", "order");
    assert_eq!((response.status, &response.json()["reason"]), (502, &"reset".into()));
    assert_eq!((bad.seen().len(), good.seen().len()), (1, 0));
}

#[test]
fn a_pooled_connection_that_the_node_closed_costs_nothing() {
    let fickle = RawNode::new(|seen| if seen.line.contains("/a/1") { Do::Answer(ok("x")) } else { Do::Reset });
    let good = RawNode::saying("good");
    let house = House::new(first(), &[fickle.address, good.address]);
    let mut client = house.client();
    assert_eq!(client.get("/a/1").body, "x");
    assert_eq!(client.get("/a/2").body, "good");
}

#[test]
fn a_status_that_the_rule_names_is_tried_elsewhere_and_passed_on_at_last() {
    let busy = [
        RawNode::new(|_| Do::Answer(node::answer(503, "busy one"))),
        RawNode::new(|_| Do::Answer(node::answer(503, "busy two"))),
    ];
    let house = House::with(first(), &[busy[0].address, busy[1].address], |plan| {
        plan.retry.on = vec![RetryOn::Status(503)];
    });
    let mut client = house.client();
    assert_eq!((client.get("/a").body, client.get("/a").status), ("busy two".into(), 503));
    assert_eq!(client.post("/a", "order").body, "busy one", "a POST that was sent is not sent again");
    assert_eq!((busy[0].seen().len(), busy[1].seen().len()), (3, 2));
}

#[test]
fn a_node_that_is_silent_is_504_in_time() {
    let silent = RawNode::new(|_| Do::Silence);
    let house = House::with(first(), &[silent.address], |plan| plan.timeouts.response = Duration::from_millis(100));
    let response = house.client().get("/a");
    assert_eq!((response.status, &response.json()["reason"]), (504, &"timeout".into()));
}

#[test]
fn a_silent_node_is_tried_elsewhere_where_the_rule_says_so() {
    let (silent, good) = (RawNode::new(|_| Do::Silence), RawNode::saying("good"));
    let house = House::with(first(), &[silent.address, good.address], |plan| {
        plan.timeouts.response = Duration::from_millis(100);
        plan.retry.on = vec![RetryOn::Timeout];
    });
    assert_eq!(house.client().get("/a").body, "good");
    assert!(house.has_metric("pointsman_retries_total{reason=\"timeout\",service=\"s\"} 1"));
}

#[test]
fn a_slow_client_is_not_taken_for_a_slow_node() {
    let node = RawNode::new(|seen| Do::Answer(ok(&seen.body)));
    let house = House::with(first(), &[node.address], |plan| plan.timeouts.response = Duration::from_millis(100));
    let mut client = house.client();
    client.send("POST /a HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\n\r\nor");
    // Longer than the node may take to answer, which is counted from the request's last byte.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(client.send("der").response(true).body, "order");
}

#[test]
fn an_answer_that_is_cut_is_seen_to_be_cut() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let node = RawNode::new(move |_| Do::AnswerAndEnd(text.into()));
        let house = House::new(first(), &[node.address, node.address]);
        let mut client = house.client();
        let response = client.get("/a");
        assert_eq!((response.status, response.whole), (200, false), "{text}");
        assert_eq!(node.seen().len(), 1, "what has begun is not begun again");
        let line = &house.end()[0];
        assert!(line["error"].is_string(), "{line}");
    }
}

#[test]
fn an_answer_that_stalls_is_cut_and_seen_to_be_cut() {
    for text in ["Content-Length: 10\r\n\r\nhalf", "Connection: close\r\n\r\nhalf"] {
        let text = format!("HTTP/1.1 200 OK\r\n{text}");
        let node = RawNode::new(move |_| Do::Echo(text.clone()));
        let house = House::with(first(), &[node.address], |plan| plan.timeouts.idle = Duration::from_millis(100));
        assert!(!house.client().get("/a").whole);
        assert!(house.end()[0]["error"].is_string());
    }
}

#[test]
fn an_answer_that_is_malformed_is_tried_elsewhere_if_idempotent() {
    for text in ["rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"] {
        let node = RawNode::new(move |_| Do::AnswerAndEnd(text.into()));
        let good = RawNode::saying("good");
        let house = House::new(first(), &[node.address, good.address]);
        assert_eq!(house.client().get("/a").body, "good", "{text}");
        let response = house.client().post("/a", "order");
        assert_eq!((response.status, &response.json()["reason"]), (502, &"malformed".into()), "{text}");
        assert_eq!((node.seen().len(), good.seen().len()), (2, 1));
    }
}

#[test]
fn a_client_that_leaves_gives_its_node_back() {
    let silent = RawNode::new(|_| Do::Silence);
    let house = House::new(first(), &[silent.address]);
    let mut client = house.client();
    client.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("it is under way", || silent.seen().len() == 1);
    drop(client);
    eventually("it no longer counts", || house.in_flight() == 0);
    assert_eq!(house.end()[0]["refused"], "client-gone");
}

#[test]
fn a_client_that_stops_sending_is_told_408_and_gives_its_node_back() {
    let node = RawNode::saying("x");
    let house = House::with(first(), &[node.address], |plan| plan.timeouts.idle = Duration::from_millis(100));
    let mut client = house.client();
    client.send("POST /a HTTP/1.1\r\nHost: a.com\r\nContent-Length: 5\r\n\r\nor");
    let response = client.response(true);
    assert_eq!((response.status, &response.json()["reason"]), (408, &"client-slow".into()));
    assert!(client.ended());
    eventually("it no longer counts", || house.in_flight() == 0);
}

#[test]
fn a_client_that_stops_reading_gives_its_node_back() {
    // More than the buffers of two sockets take.
    let long = ok(&"x".repeat(64 << 20));
    let node = RawNode::new(move |_| Do::AnswerAndEnd(long.clone()));
    let house = House::with(first(), &[node.address], |plan| plan.timeouts.idle = Duration::from_millis(100));
    let mut client = house.client();
    client.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("the request is over", || house.has_metric("pointsman_requests_total{code=\"200\",service=\"s\"} 1"));
    assert_eq!(house.in_flight(), 0);
}
