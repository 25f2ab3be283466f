//! Upgrades, and what passes after 101.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pointsman_config::plan::Timeouts;
use pointsman_lane::traffic::Ending;
use tokio::io::AsyncWriteExt;

use crate::rig::{Rig, Setup, Told, Wire, within};

const HEAD: &str =
    "GET /ws HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
/// A text frame from a server, and one from a client under the mask 0.
const HI: &str = "\u{1}\u{2}hi";

async fn opened(rig: &Rig) -> (Wire, Wire) {
    let mut client = rig.client().await;
    client.send(HEAD).await;
    let mut node = rig.node(0).await;
    node.expect(HEAD).await;
    node.send(SWITCH).await;
    client.expect(SWITCH).await;
    (client, node)
}

/// The tunnels have to end now.
fn leave(rig: &Rig, code: u16) {
    rig.robin.leave.store(code, Ordering::Relaxed);
    pointsman_lane::wake_idle();
}

fn told(ending: Ending, up: u64, down: u64) -> Told {
    Told { path: "/ws".into(), ending, status: 101, reused: false, bytes: (up, down), attempt: Some(1) }
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_counted() {
    let mut rig = Rig::new(Setup::default()).await;
    let (mut client, mut node) = opened(&rig).await;
    client.send("ping").await;
    node.expect("ping").await;
    node.send(HI).await;
    client.expect(HI).await;
    assert_eq!(rig.robin.nodes[0].load.in_flight(), 1);
    client.stream.shutdown().await.unwrap();
    node.ends().await;
    assert_eq!(rig.told().await, told(Ending::Complete, 4, 4));
    assert_eq!(rig.robin.nodes[0].load.in_flight(), 0);
}

#[tokio::test]
async fn what_is_sent_behind_an_upgrade_waits_for_the_101() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(format!("{HEAD}early")).await;
    let mut node = rig.node(0).await;
    node.expect(HEAD).await;
    // Another request through the same lane: by its end the lane has had its turn.
    let mut other = rig.client().await;
    other.send(GET).await;
    let mut second = rig.node(0).await;
    second.expect(GET).await;
    second.send(OK).await;
    other.expect(OK).await;
    assert_eq!(node.stream.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // The node speaks first, in the same piece as its 101.
    node.send(format!("{SWITCH}{HI}")).await;
    client.expect(&format!("{SWITCH}{HI}")).await;
    node.expect("early").await;
}

#[tokio::test]
async fn an_interim_response_before_the_101_is_passed_on() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(HEAD).await;
    let mut node = rig.node(0).await;
    node.expect(HEAD).await;
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    node.send(format!("{hint}{SWITCH}{HI}")).await;
    client.expect(&format!("{hint}{SWITCH}{HI}")).await;
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_a_request_like_any_other() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(format!("{HEAD}{GET}")).await;
    let mut node = rig.node(0).await;
    node.expect(HEAD).await;
    node.send(OK).await;
    client.expect(OK).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
}

#[tokio::test]
async fn a_101_to_something_else_is_malformed() {
    for (upgrade, answer) in [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: other\r\n"),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\n"),
        ("", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
        let mut client = rig.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n")).await;
        let mut node = rig.node(0).await;
        node.expect(&format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n")).await;
        node.send(format!("HTTP/1.1 101 X\r\n{answer}\r\n")).await;
        client.expect("HTTP/1.1 502 ").await;
        node.ends().await;
    }
}

#[tokio::test]
async fn an_upgrade_that_concerns_another_hop_or_would_hide_requests_is_not_passed_on() {
    for upgrade in [
        "Upgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
    ] {
        let rig = Rig::new(Setup::default()).await;
        let mut client = rig.client().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n")).await;
        rig.node(0).await.expect(GET).await;
    }
}

#[tokio::test]
async fn both_sides_end_when_one_does() {
    let mut rig = Rig::new(Setup::default()).await;
    let (mut client, mut node) = opened(&rig).await;
    node.send("last words").await;
    node.stream.shutdown().await.unwrap();
    client.expect("last words").await;
    client.ends().await;
    drop(client);
    node.ends().await;
    assert_eq!(rig.told().await.ending, Ending::Complete);

    let (mut client, node) = opened(&rig).await;
    node.reset();
    client.ends().await;
    assert_eq!(rig.told().await.ending, Ending::CutOff);

    let (client, mut node) = opened(&rig).await;
    client.reset();
    node.ends().await;
    assert_eq!(rig.told().await.ending, Ending::ClientGone);
}

#[tokio::test]
async fn much_passes_in_both_directions_at_once() {
    let rig = Rig::new(Setup::default()).await;
    let (mut client, mut node) = opened(&rig).await;
    let many: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let copy = many.clone();
    let ((), got) = tokio::join!(client.send(&many), node.take(copy.len()));
    assert!(got == many);
    let ((), got) = tokio::join!(node.send(&many), client.take(copy.len()));
    assert!(got == many);
}

#[tokio::test]
async fn a_client_is_told_between_two_frames() {
    let mut rig = Rig::new(Setup::default()).await;
    let (mut client, mut node) = opened(&rig).await;
    leave(&rig, 1012);
    client.expect_bytes(&[0x88, 2, 0x03, 0xf4]).await;
    // Nothing may follow a Close, but what the client says still passes, and its own Close ends the tunnel.
    node.send(HI).await;
    let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4];
    client.send(close).await;
    node.expect_bytes(&close).await;
    client.ends().await;
    drop(client);
    node.ends().await;
    let told = rig.told().await;
    assert_eq!((told.ending, told.bytes), (Ending::Complete, (8, 4)));
}

#[tokio::test]
async fn a_frame_that_is_half_sent_is_sent_whole_before() {
    let rig = Rig::new(Setup::default()).await;
    let (mut client, mut node) = opened(&rig).await;
    let length = 200_000_usize;
    let mut frame = vec![0x82, 127];
    frame.extend((length as u64).to_be_bytes());
    frame.resize(10 + length, b'x');
    let (first, rest) = frame.split_at(70_000);
    node.send(first).await;
    assert_eq!(client.take(first.len()).await, first);
    leave(&rig, 1001);
    // A second frame is in the same piece as the end of the first: it is not sent any more.
    node.send([rest, HI.as_bytes()].concat()).await;
    assert_eq!(client.take(rest.len()).await, rest);
    client.expect_bytes(&[0x88, 2, 0x03, 0xe9]).await;
}

#[tokio::test]
async fn a_node_that_closes_first_is_not_interrupted() {
    let rig = Rig::new(Setup::default()).await;
    let (mut client, mut node) = opened(&rig).await;
    let close = [0x88, 2, 0x03, 0xe8];
    node.send(close).await;
    client.expect_bytes(&close).await;
    leave(&rig, 1012);
    node.stream.shutdown().await.unwrap();
    client.ends().await;
}

#[tokio::test]
async fn who_does_not_answer_is_cut_after_the_grace() {
    let mut rig = Rig::new(Setup::default()).await;
    rig.robin.within.store(30, Ordering::Relaxed);
    let (mut client, mut node) = opened(&rig).await;
    // A frame that never ends: there is no place to say anything.
    node.send([0x82, 5, 1]).await;
    client.expect_bytes(&[0x82, 5, 1]).await;
    leave(&rig, 1012);
    client.ends().await;
    node.ends().await;
    assert_eq!(rig.told().await.ending, Ending::CutOff);
}

#[tokio::test]
async fn another_protocol_gets_the_grace_and_no_word() {
    let rig = Rig::new(Setup::default()).await;
    rig.robin.within.store(30, Ordering::Relaxed);
    let mut client = rig.client().await;
    let head = HEAD.replace("websocket", "spdy/3.1");
    client.send(&head).await;
    let mut node = rig.node(0).await;
    node.expect(&head).await;
    node.send(SWITCH.replace("websocket", "SPDY/3.1")).await;
    client.expect(&SWITCH.replace("websocket", "spdy/3.1")).await;
    leave(&rig, 1012);
    client.ends().await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_passes_is_cut() {
    let wait = Duration::from_secs(20);
    let timeouts = Timeouts { connect: wait, response: wait, idle: Duration::from_millis(40) };
    let mut rig = Rig::new(Setup { timeouts, ..Setup::default() }).await;
    let (mut client, mut node) = opened(&rig).await;
    client.ends().await;
    node.ends().await;
    assert_eq!(rig.told().await.ending, Ending::CutOff);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_101_is_seen() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(HEAD).await;
    let mut node = rig.node(0).await;
    node.expect(HEAD).await;
    drop(client);
    node.ends().await;
    assert_eq!(within("a receipt", rig.told()).await.ending, Ending::ClientGone);
}
