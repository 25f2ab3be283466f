use super::node::Do;
use super::*;

const UPGRADE: &str = "GET /a HTTP/1.1\r\nHost: a.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Both ways lead to the same tunnel.
fn houses(node: &RawNode, adjust: impl Fn(&mut plan::Service)) -> impl Iterator<Item = House> {
    [true, false].into_iter().map(move |lane| House::on(lane, first(), &[node.address], &adjust))
}

#[test]
fn a_tunnel_counts_but_does_not_keep_the_world_alive() {
    let node = RawNode::new(|_| Do::Echo(SWITCH.into()));
    for lane in [true, false] {
        let old = first();
        let policy = Arc::downgrade(&old);
        let house = House::on(lane, old, &[node.address], |_| {});
        let world = Arc::downgrade(&house.world.load_full());
        let mut client = house.client();
        assert_eq!(client.send(UPGRADE).response(false).status, 101);
        assert_eq!(client.send("ping").bytes(4), "ping");
        assert_eq!(house.in_flight(), 1);
        assert!(house.has_metric("pointsman_tunnels{service=\"s\"} 1"));
        house.swap(first());
        eventually("the old World is dropped", || world.upgrade().is_none() && policy.upgrade().is_none());
        assert_eq!(client.send("pong").bytes(4), "pong");
        drop(client);
        eventually("the tunnel no longer counts", || house.in_flight() == 0);
        eventually("nor as open", || house.has_metric("pointsman_tunnels{service=\"s\"} 0"));
        for to in ["node", "client"] {
            assert!(house.has_metric(&format!("pointsman_tunnel_bytes_total{{service=\"s\",to=\"{to}\"}} 8")), "{to}");
        }
        let line = &house.end()[0];
        let told = (&line["status"], &line["service"], &line["node"], &line["policy"], &line["bytes"]);
        assert_eq!(told, (&101.into(), &"s".into(), &"n1".into(), &"native".into(), &8.into()));
    }
}

#[test]
fn a_tunnel_in_which_nothing_passes_ends() {
    let node = RawNode::new(|_| Do::Echo(SWITCH.into()));
    for house in houses(&node, |plan| plan.timeouts.idle = Duration::from_millis(100)) {
        let mut client = house.client();
        assert_eq!(client.send(UPGRADE).response(false).status, 101);
        assert!(client.ended());
    }
}

#[test]
fn an_upgrade_that_is_refused_is_an_answer_like_any_other() {
    let node = RawNode::new(|_| Do::Answer(node::answer(403, "no")));
    for house in houses(&node, |_| {}) {
        let response = house.client().send(UPGRADE).response(true);
        assert_eq!((response.status, response.body.as_str()), (403, "no"));
    }
}

#[test]
fn a_tunnel_ends_with_a_word_when_its_node_drains_or_leaves() {
    let node = RawNode::new(|_| Do::Echo(SWITCH.into()));
    for house in houses(&node, |_| {}) {
        for members in [vec![member(1, node.address, Standing::Draining)], Vec::new()] {
            house.publish(vec![member(1, node.address, Standing::Up)]);
            let mut client = house.client();
            assert_eq!(client.send(UPGRADE).response(false).status, 101);
            house.publish(vec![member(1, node.address, Standing::Down)]);
            assert_eq!(client.send("\u{1}\u{1}a").bytes(3), "\u{1}\u{1}a", "a node that is down may come back");
            house.publish(members);
            assert_eq!(client.raw(4), [0x88, 2, 0x03, 0xe9], "1001, going away");
        }
    }
}

#[test]
fn a_second_request_may_open_a_tunnel_too() {
    let node = RawNode::new(|seen| {
        if seen.header("upgrade").is_some() { Do::Echo(SWITCH.into()) } else { Do::Answer(node::ok("hello")) }
    });
    for house in houses(&node, |_| {}) {
        let mut client = house.client();
        assert_eq!(client.get("/a").body, "hello");
        assert_eq!(client.send(UPGRADE).response(false).status, 101);
        assert_eq!(client.send("ping").bytes(4), "ping");
        assert!(house.has_metric("pointsman_tunnels{service=\"s\"} 1"));
        drop(client);
        eventually("it no longer counts", || house.has_metric("pointsman_tunnels{service=\"s\"} 0"));
        let bytes = "pointsman_tunnel_bytes_total{service=\"s\",to=\"client\"} 4";
        assert!(house.has_metric(bytes));
    }
}
