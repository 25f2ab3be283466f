//! Connections that leave the lane: handed over, idle for too long, drained.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pointsman_lane::hand_over::HandOver;
use pointsman_lane::{Ended, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Rig, Setup, within};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn what_the_lane_does_not_carry_is_given_back_with_every_byte() {
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: a, b\r\n\r\n", HandOver::Upgrade),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: a\r\nContent-Length: 2\r\n\r\nhi",
            HandOver::Upgrade,
        ),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nhello", HandOver::Connect),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HandOver::Http2),
        ("GET / HTTP/1.0\r\n\r\n", HandOver::Http10),
        ("TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 3\r\n\r\n", HandOver::Unsure),
    ] {
        let mut rig = Rig::new(Setup::default()).await;
        let mut client = rig.client().await;
        client.send(request).await;
        let ended = within("the hand-over", rig.ended.recv()).await.unwrap();
        let Ended::HandOver { mut stream, read, why, .. } = ended else { panic!("{request:?} was not handed over") };
        assert_eq!(why, expected);
        assert_eq!(String::from_utf8(read).unwrap(), request);
        stream.write_all(b"mine").await.unwrap();
        client.expect("mine").await;
        client.send("more").await;
        let mut more = [0; 4];
        within("more", stream.read_exact(&mut more)).await.unwrap();
        assert_eq!(&more, b"more");
    }
}

#[tokio::test]
async fn a_connection_is_handed_over_after_requests_that_were_carried() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let upgrade = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: a, b\r\n\r\n\x01\x02";
    client.send(format!("{GET}{upgrade}")).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
    let Some(Ended::HandOver { read, why, .. }) = within("the hand-over", rig.ended.recv()).await else {
        panic!("closed")
    };
    assert_eq!((why, read.as_slice()), (HandOver::Upgrade, upgrade.as_bytes()));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let options = Options { keep_alive: Duration::from_millis(30), ..Options::default() };
    let mut rig = Rig::new(Setup { options, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.ends().await;
    assert!(matches!(within("the end", rig.ended.recv()).await, Some(Ended::Closed)));
}

#[tokio::test]
async fn draining_closes_idle_connections_and_ends_busy_ones_with_their_reply() {
    let rig = Rig::new(Setup::default()).await;
    let (mut idle, mut busy) = (rig.client().await, rig.client().await);
    idle.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    idle.expect(OK).await;
    busy.send(GET).await;
    node.expect(GET).await;
    rig.robin.draining.store(true, Ordering::Relaxed);
    pointsman_lane::wake_idle();
    idle.ends().await;
    node.send(OK).await;
    busy.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").await;
    busy.ends().await;
}

#[tokio::test]
async fn an_unused_connection_to_a_node_is_closed_after_a_while() {
    let mut setup = Setup::default();
    setup.timeouts.idle = Duration::from_millis(30);
    let rig = Rig::new(setup).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
    node.ends().await;
}

#[tokio::test]
async fn a_client_that_comes_and_goes_without_a_word_is_closed() {
    let mut rig = Rig::new(Setup::default()).await;
    drop(rig.client().await);
    assert!(matches!(within("the end", rig.ended.recv()).await, Some(Ended::Closed)));
}

#[tokio::test]
async fn a_lane_for_upgrades_alone_gives_all_else_back() {
    let options = Options { upgrades_only: true, ..Options::default() };
    let mut rig = Rig::new(Setup { options, ..Setup::default() }).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let Some(Ended::HandOver { read, why, .. }) = within("the hand-over", rig.ended.recv()).await else {
        panic!("closed")
    };
    assert_eq!((why, read.as_slice()), (HandOver::Off, GET.as_bytes()));
}
