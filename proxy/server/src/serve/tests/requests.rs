use std::collections::BTreeSet;

use super::node::{Do, ok};
use super::*;

#[test]
fn a_request_goes_to_a_node_and_its_answer_back() {
    let node = RawNode::saying("hello");
    let house = House::new(in_turn(), &[node.address]);
    let response = house.client().get("/a?x=1");
    assert_eq!((response.status, response.body.as_str(), response.whole), (200, "hello", true));
    let seen = &node.seen()[0];
    assert_eq!(seen.line, "GET /a?x=1 HTTP/1.1");
    assert_eq!(seen.header("host"), Some("a.com"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    let id = seen.header("x-request-id").expect("an id").to_owned();
    let lines = house.end();
    assert_eq!(lines.len(), 1);
    let expected = [
        ("request_id", serde_json::json!(id)),
        ("client", "127.0.0.1".into()),
        ("method", "GET".into()),
        ("path", "/a".into()),
        ("status", 200.into()),
        ("service", "s".into()),
        ("node", "n1".into()),
        ("policy", "native".into()),
        ("by", "policy".into()),
        ("attempts", 1.into()),
        ("bytes", 5.into()),
    ];
    for (name, value) in expected {
        assert_eq!(lines[0][name], value, "{name}");
    }
    assert!(lines[0]["duration_us"].as_u64() >= lines[0]["upstream_us"].as_u64());
}

#[test]
fn connections_on_both_sides_are_used_again() {
    let node = RawNode::saying("x");
    let house = House::new(in_turn(), &[node.address]);
    let mut client = house.client();
    for _ in 0..5 {
        assert_eq!(client.get("/a").status, 200);
    }
    assert!(node.seen().iter().all(|seen| seen.connection == 1));
}

#[test]
fn what_belongs_to_one_hop_is_not_passed_on() {
    let node = RawNode::saying("x");
    let house = House::new(in_turn(), &[node.address]);
    let head = "GET /a HTTP/1.1\r\nHost: a.com\r\nConnection: x-secret\r\nX-Secret: 1\r\nTE: gzip\r\nX-Request-Id: mine-1\r\n\r\n";
    assert_eq!(house.client().send(head).response(true).status, 200);
    let seen = &node.seen()[0];
    assert_eq!((seen.header("x-secret"), seen.header("te")), (None, None));
    assert_eq!(seen.header("x-request-id"), Some("mine-1"));
}

#[test]
fn a_body_arrives_whole_in_either_framing() {
    let node = RawNode::new(|seen| Do::Answer(ok(&seen.body)));
    let house = House::new(in_turn(), &[node.address]);
    let body = "order".repeat(50_000);
    let mut client = house.client();
    assert_eq!(client.post("/a", &body).body, body);
    let chunked = format!(
        "POST /a HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(client.send(&chunked).response(true).body, body);
}

#[test]
fn what_no_route_takes_is_answered_and_the_connection_stays() {
    let house = House::new(in_turn(), &[nobody()]);
    let mut client = house.client();
    for _ in 0..2 {
        let response = client.get("/nowhere");
        assert_eq!(response.status, 404);
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!(response.json()["reason"], "no-route");
        assert_eq!(response.json()["request_id"].as_str(), response.header("x-request-id"));
    }
    eventually("both are counted", || house.has_metric("pointsman_requests_total{code=\"404\",service=\"-\"} 2"));
    assert!(house.has_metric("pointsman_refusals_total{reason=\"no-route\",service=\"-\"} 2"));
    let lines = house.end();
    assert_eq!((&lines[0]["service"], &lines[0]["refused"]), (&"-".into(), &"no-route".into()));
}

#[test]
fn an_answer_to_head_has_no_body() {
    let house = House::new(in_turn(), &[nobody()]);
    let mut client = house.client();
    let response = client.send("HEAD /nowhere HTTP/1.1\r\nHost: a.com\r\n\r\n").response(false);
    assert_eq!(response.status, 404);
    assert_eq!(client.get("/nowhere").status, 404, "the next answer begins where the one before ended");
}

#[test]
fn a_refusal_of_the_policy_reaches_the_client() {
    let refuses = policy(true, |_, _| Ok(Verdict::Refuse { status: 400, reason: "x-customer-id is missing".into() }));
    let house = House::new(refuses, &[nobody()]);
    let response = house.client().get("/a");
    assert_eq!((response.status, &response.json()["detail"]), (400, &"x-customer-id is missing".into()));
}

#[test]
fn a_fault_of_a_policy_that_pins_is_503_with_retry_after() {
    let house = House::new(policy(true, |_, _| Err(Fault::Trap)), &[nobody()]);
    let response = house.client().get("/a");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(response.json()["reason"], "policy-fault");
    assert!(
        house.has_metric("pointsman_picks_total{by=\"fallback\",fault=\"trap\",policy=\"native\",service=\"s\"} 1")
    );
    assert_eq!(house.end()[0]["fault"], "trap");
}

#[test]
fn a_fault_of_a_policy_that_does_not_pin_costs_the_client_nothing() {
    let node = RawNode::saying("x");
    let house = House::new(policy(false, |_, _| Err(Fault::Late)), &[node.address]);
    assert_eq!(house.client().get("/a").status, 200);
    let line = &house.end()[0];
    assert_eq!((&line["by"], &line["fault"]), (&"fallback".into(), &"late".into()));
}

#[test]
fn turns_are_strict_over_all_workers() {
    let nodes: Vec<_> = (0..3).map(|_| RawNode::saying("x")).collect();
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let house = House::new(in_turn(), &addresses);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = house.client();
                (0..50).for_each(|_| assert_eq!(client.get("/a").status, 200));
            });
        }
    });
    assert_eq!(nodes.iter().map(|node| node.seen().len()).collect::<Vec<_>>(), [100, 100, 100]);
}

#[test]
fn a_request_under_way_counts_until_its_last_byte() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = parking_lot::Mutex::new(wait);
    let node = RawNode::new(move |_| {
        wait.lock().recv().expect("the test goes on");
        Do::Answer(ok("x"))
    });
    let house = House::new(in_turn(), &[node.address]);
    let mut client = house.client();
    client.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("it is under way", || node.seen().len() == 1);
    assert_eq!(house.in_flight(), 1);
    go.send(()).expect("the node waits");
    assert_eq!(client.response(true).status, 200);
    eventually("it no longer counts", || house.in_flight() == 0);
}

#[test]
fn a_world_is_swapped_under_requests_and_the_old_policy_goes() {
    let nodes = [RawNode::saying("one"), RawNode::saying("two")];
    let only = |index: u32| policy(true, move |_, _| Ok(Verdict::Only(index)));
    let old = only(0);
    let gone = Arc::downgrade(&old);
    let house = House::new(old, &[nodes[0].address, nodes[1].address]);
    let mut client = house.client();
    assert_eq!(client.get("/a").body, "one");
    house.swap(only(1));
    assert_eq!(client.get("/a").body, "two");
    eventually("the old policy is dropped", || gone.upgrade().is_none());
}

#[test]
fn a_parked_request_goes_on_when_a_node_comes_up() {
    let node = RawNode::saying("back");
    let owner = policy(true, |members, _| {
        let up = members.members()[0].eligible();
        Ok(if up { Verdict::Only(0) } else { Verdict::Park(30_000) })
    });
    let house = House::new(owner, &[]);
    house.publish(vec![member(1, node.address, Standing::Down)]);
    let mut client = house.client();
    client.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("it is parked", || house.state.feed.changed.receiver_count() == 1);
    // A change that does not help leaves it parked.
    house.publish(vec![member(1, node.address, Standing::Draining)]);
    house.publish(vec![member(1, node.address, Standing::Up)]);
    assert_eq!(client.response(true).body, "back");
}

#[test]
fn a_parked_request_is_answered_when_its_time_is_over() {
    let house = House::new(policy(true, |_, _| Ok(Verdict::Park(1))), &[nobody()]);
    let response = house.client().get("/a");
    assert_eq!((response.status, &response.json()["reason"]), (503, &"parked".into()));
}

#[test]
fn a_malformed_request_is_answered_400() {
    let house = House::new(in_turn(), &[nobody()]);
    let response = house.client().send("GET /a HTTP/1.1\r\nHost: a.com\r\nNo colon here\r\n\r\n").response(true);
    assert_eq!(response.status, 400);
}

#[test]
fn what_breaks_a_rule_is_refused_before_pingora_reads_it() {
    let node = RawNode::saying("hello");
    let house = House::new(first(), &[node.address]);
    let mut client = house.client();
    assert_eq!(client.get("/a").status, 200);
    let chunks = "POST /a HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n;\r\n\r\n";
    let response = client.send(chunks).response(true);
    assert_eq!((response.status, response.header("content-type")), (400, Some("application/problem+json")));
    assert!(client.ended());
    let response = house.client().send("GET /a b HTTP/1.1\r\nHost: a.com\r\n\r\n").response(true);
    assert_eq!((response.status, response.json()["reason"].as_str()), (400, Some("bad-request")));
    assert_eq!(node.seen().len(), 1, "the node sees nothing of it");
    let log = house.end();
    let told: Vec<_> = log.iter().map(|line| (&line["method"], &line["path"], &line["status"])).collect();
    let (chunked, headless) = ((&"POST".into(), &"/a".into(), &400.into()), (&"-".into(), &"-".into(), &400.into()));
    assert_eq!(told[1..], [chunked, headless]);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let node = RawNode::saying("hello");
    let house = House::new(first(), &[node.address]);
    let mut client = house.client();
    client.send(&"GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n".repeat(3));
    for _ in 0..3 {
        assert_eq!(client.response(true).body, "hello");
    }
    assert_eq!(node.seen().len(), 3);
    assert_eq!(house.end().len(), 3);
}

#[test]
fn what_is_no_request_to_a_service_is_refused_with_a_reason_and_a_log_line() {
    for lane in [true, false] {
        let house = House::on(lane, first(), &[nobody()], |_| {});
        for (bytes, status, says) in [
            ("CONNECT a.com:443 HTTP/1.1\r\nHost: a.com:443\r\n\r\n", 405, "CONNECT is not taken"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "`http2: on`"),
            // Not a line, and the client waits for an answer: it gets one at once.
            ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", 400, "TLS is not spoken here"),
        ] {
            let mut client = house.client();
            let response = client.send(bytes).response(true);
            assert_eq!((response.status, response.header("content-type")), (status, Some("application/problem+json")));
            assert!(response.json()["detail"].as_str().expect("text").contains(says), "{}", response.body);
            assert_eq!(response.header("allow").is_some(), status == 405);
            assert_eq!(response.header("connection"), Some("close"));
        }
        let metrics = Arc::clone(&house.metrics);
        // Two workers write, so the order says nothing.
        let statuses: BTreeSet<_> = house.end().iter().map(|line| line["status"].as_u64()).collect();
        assert_eq!(statuses, BTreeSet::from([Some(400), Some(405), Some(505)]), "lane: {lane}");
        let counted = "pointsman_refusals_total{reason=\"bad-request\",service=\"-\"} 3\n";
        assert!(metrics.render().contains(counted), "lane: {lane}");
    }
}
