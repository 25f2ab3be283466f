use super::node::Do;
use super::*;

const UPGRADE: &str = "GET /a HTTP/1.1\r\nHost: a.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn a_tunnel_counts_but_does_not_keep_the_policy_alive() {
    let node = RawNode::new(|_| Do::Echo(SWITCH.into()));
    let old = first();
    let gone = Arc::downgrade(&old);
    let house = House::new(old, &[node.address]);
    let mut client = house.client();
    assert_eq!(client.send(UPGRADE).response(false).status, 101);
    assert_eq!(client.send("ping").bytes(4), "ping");
    assert_eq!(house.in_flight(), 1);
    house.swap(first());
    eventually("the old policy is dropped", || gone.upgrade().is_none());
    assert_eq!(client.send("pong").bytes(4), "pong");
    drop(client);
    eventually("the tunnel no longer counts", || house.in_flight() == 0);
    let line = &house.end()[0];
    assert_eq!((&line["status"], &line["service"], &line["node"]), (&101.into(), &"s".into(), &"n1".into()));
}

#[test]
fn a_tunnel_in_which_nothing_passes_ends() {
    let node = RawNode::new(|_| Do::Echo(SWITCH.into()));
    let house = House::with(first(), &[node.address], |plan| plan.timeouts.idle = Duration::from_millis(100));
    let mut client = house.client();
    assert_eq!(client.send(UPGRADE).response(false).status, 101);
    assert!(client.ended());
}

#[test]
fn an_upgrade_that_is_refused_is_an_answer_like_any_other() {
    let node = RawNode::new(|_| Do::Answer(node::answer(403, "no")));
    let house = House::new(first(), &[node.address]);
    let response = house.client().send(UPGRADE).response(true);
    assert_eq!((response.status, response.body.as_str()), (403, "no"));
}
