//! What is malformed is refused on the wire: the right status, then the end, and no node hears of it.

use pointsman_lane::traffic::Room;

use crate::rig::{Rig, Setup};

async fn refused(request: &str, status: u16, label: &str) {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(request).await;
    let got = client.rest().await;
    assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {got}");
    assert!(got.ends_with(&format!("Connection: close\r\n\r\n{label}")), "{request:?}: {got}");
    let asked = rig.nodes[0].accept();
    tokio::select! {
        biased;
        _ = asked => panic!("{request:?} reached a node"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn heads_that_two_recipients_might_read_differently_are_refused() {
    for (request, label) in [
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "length-and-encoding",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "length-and-encoding",
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "length-repeated"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello", "length-repeated"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello", "length"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\nhello", "length"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello", "length"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5 5\r\n\r\nhello", "length"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nhello", "length"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\nhello", "length"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "encoding"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "encoding"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "encoding"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "encoding"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", "encoding"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", "encoding"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n", "control-byte"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n", "blank-before-colon"),
        ("POST / HTTP/1.1\r\nHost: h\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\nHost: h\n\n", "bare-line-feed"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\nContent-Length: 5\r\n\r\n", "bare-line-feed"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 5\r\n\r\n", "control-byte"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", "control-byte"),
        ("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "field-name"),
        ("GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", "field-name"),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "encoding"),
    ] {
        refused(request, 400, label).await;
    }
}

#[tokio::test]
async fn hosts_and_first_lines_are_checked() {
    for (request, status, label) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host-repeated"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "host"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host"),
        ("GET http://a HTTP/1.1\r\n\r\n", 400, "host-missing"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET / a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET /\r\n\r\n", 400, "request-line"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request-line"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
        ("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "version"),
        ("\x16\x03\x01\x02\x00\x01\r\n", 400, "request-line"),
    ] {
        refused(request, status, label).await;
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let many = "X: y\r\n".repeat(100);
    refused(&format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), 431, "too-many-fields").await;
    let long = "a".repeat(17_000);
    refused(&format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414, "line-too-long").await;
    refused(&format!("GET /{long}"), 414, "line-too-long").await;
    let huge = "a".repeat(66_000);
    refused(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {huge}\r\n\r\n"), 431, "head-too-large").await;
}

#[tokio::test]
async fn where_there_is_little_room_heads_grow_no_more_and_where_there_is_none_nothing_begins() {
    const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\nConnection: close\r\n\r\nmemory";
    let rig = Rig::new(Setup::default()).await;
    let mut small = rig.client().await;
    let mut under_way = rig.client().await;
    *rig.robin.room.lock().unwrap() = Room::Little;
    under_way.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut node = rig.node(0).await;
    node.expect("GET /a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut large = rig.client().await;
    // It never ends, and need not.
    large.send(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "a".repeat(9_000))).await;
    large.expect(REFUSED).await;
    *rig.robin.room.lock().unwrap() = Room::None;
    small.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n").await;
    small.expect(REFUSED).await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    under_way.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
}

#[tokio::test]
async fn a_malformed_request_after_a_sound_one_is_refused_alone() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n\r\n").await;
    let mut node = rig.node(0).await;
    node.expect("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    node.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    client.expect("HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\nConnection: close\r\n\r\nhost-missing").await;
    client.ends().await;
}
