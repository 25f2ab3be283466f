//! Bodies both ways: lengths, chunks, trailers, large ones, early responses, and what is cut off.

use pointsman_lane::traffic::Ending;

use crate::rig::{Rig, Setup};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const CHUNKED_POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKED_OK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Bytes that repeat with a period that no buffer size shares.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn chunks_travel_both_ways_with_trailers_and_without_extensions() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client
        .send(format!("{CHUNKED_POST}3;ext=1\r\nabc\r\n000A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n{GET}"))
        .await;
    let mut node = rig.node(0).await;
    node.expect(&format!("{CHUNKED_POST}3\r\nabc\r\na\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n")).await;
    node.send(format!("{CHUNKED_OK}2;a\r\nhi\r\n0\r\nX-End: 2\r\n\r\n")).await;
    client.expect(&format!("{CHUNKED_OK}2\r\nhi\r\n0\r\nX-End: 2\r\n\r\n")).await;
    assert_eq!(rig.told().await.bytes, (13, 2));
    node.expect(GET).await;
}

#[tokio::test]
async fn chunks_travel_as_they_come() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(CHUNKED_POST).await;
    let mut node = rig.node(0).await;
    node.expect(CHUNKED_POST).await;
    for piece in ["one", "two!"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len())).await;
        node.expect(&format!("{:x}\r\n{piece}\r\n", piece.len())).await;
    }
    client.send("0\r\n\r\n").await;
    node.expect("0\r\n\r\n").await;
    node.send(CHUNKED_OK).await;
    client.expect(CHUNKED_OK).await;
    for piece in ["eins", "zwei"] {
        node.send(format!("4\r\n{piece}\r\n")).await;
        client.expect(&format!("4\r\n{piece}\r\n")).await;
    }
    node.send("0\r\n\r\n").await;
    client.expect("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_reply_until_the_end_of_the_connection_becomes_chunks() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let rig = Rig::new(Setup::default()).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(format!("{version} 200 OK\r\n\r\nhello")).await;
        client.expect(&format!("{CHUNKED_OK}5\r\nhello\r\n")).await;
        drop(node);
        client.expect("0\r\n\r\n").await;
        client.send(GET).await;
        rig.node(0).await.expect(GET).await;
    }
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways() {
    const SIZE: usize = 3 << 20;
    let body = pattern(SIZE);
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {SIZE}\r\n\r\n");
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
    let sending = async {
        client.send(&head).await;
        client.send(&body).await;
        client.expect(&reply).await;
        assert!(client.take(SIZE).await == body);
    };
    let serving = async {
        let mut node = rig.node(0).await;
        node.expect(&head).await;
        assert!(node.take(SIZE).await == body);
        node.send(&reply).await;
        node.send(&body).await;
    };
    tokio::join!(sending, serving);
    assert_eq!(rig.told().await.bytes, (SIZE as u64, SIZE as u64));
}

#[tokio::test]
async fn large_chunks_arrive_whole() {
    const SIZE: usize = 1 << 20;
    let body = pattern(SIZE);
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    let sending = async {
        client.send(GET).await;
        client.expect(CHUNKED_OK).await;
        let mut got = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.extend_from_slice(&client.take(1).await);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            got.extend_from_slice(&client.take(size).await);
            client.expect("\r\n").await;
            if size == 0 {
                break;
            }
        }
        assert!(got == body);
    };
    let serving = async {
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(CHUNKED_OK).await;
        for piece in body.chunks(100_000) {
            node.send(format!("{:x}\r\n", piece.len())).await;
            node.send(piece).await;
            node.send("\r\n").await;
        }
        node.send("0\r\n\r\n").await;
    };
    tokio::join!(sending, serving);
    assert_eq!(rig.told().await.bytes, (0, SIZE as u64));
}

#[tokio::test]
async fn a_reply_that_comes_before_the_body_is_passed_on_and_ends_the_connection() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc").await;
    let mut node = rig.node(0).await;
    node.expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc").await;
    node.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
    client.expect("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").await;
    client.ends().await;
    node.ends().await;
    assert_eq!(rig.told().await.status, 413);
}

#[tokio::test]
async fn a_reply_from_a_node_that_stopped_reading_is_passed_on() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n").await;
    let mut node = rig.node(0).await;
    node.expect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n").await;
    node.send("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
    drop(node);
    client.expect("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
}

#[tokio::test]
async fn both_sides_may_stream_at_once() {
    let rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(CHUNKED_POST).await;
    let mut node = rig.node(0).await;
    node.expect(CHUNKED_POST).await;
    node.send(CHUNKED_OK).await;
    client.expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n").await;
    for number in 0..3 {
        client.send(format!("2\r\nu{number}\r\n")).await;
        node.expect(&format!("2\r\nu{number}\r\n")).await;
        node.send(format!("2\r\nd{number}\r\n")).await;
        client.expect(&format!("2\r\nd{number}\r\n")).await;
    }
    client.send("0\r\n\r\n").await;
    node.expect("0\r\n\r\n").await;
    node.send("0\r\n\r\n").await;
    client.expect("0\r\n\r\n").await;
    client.ends().await;
}

#[tokio::test]
async fn a_reply_that_is_cut_off_is_never_a_clean_end() {
    for (reply, passed) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ] {
        let mut rig = Rig::new(Setup::default()).await;
        let mut client = rig.client().await;
        client.send(GET).await;
        let mut node = rig.node(0).await;
        node.expect(GET).await;
        node.send(reply).await;
        drop(node);
        let got = client.rest().await;
        assert!(passed.starts_with(&got) || got == passed, "{got:?}");
        assert!(!got.ends_with("0\r\n\r\n"));
        assert_eq!(rig.told().await.ending, Ending::CutOff, "{reply:?}");
    }
}

#[tokio::test]
async fn a_reset_in_a_reply_until_the_end_is_no_clean_end() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    client.expect(&format!("{CHUNKED_OK}5\r\nhello\r\n")).await;
    node.reset();
    client.ends().await;
    assert_eq!(rig.told().await.ending, Ending::CutOff);
}

#[tokio::test]
async fn a_malformed_body_is_refused_and_the_node_sees_no_end_of_it() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(format!("{CHUNKED_POST}3\r\nabc\r\n")).await;
    let mut node = rig.node(0).await;
    node.expect(&format!("{CHUNKED_POST}3\r\nabc\r\n")).await;
    client.send("zz\r\n").await;
    client.expect("HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\nConnection: close\r\n\r\nchunk-size").await;
    client.ends().await;
    node.ends().await;
    let told = rig.told().await;
    assert_eq!((told.ending, told.status, told.bytes), (Ending::Rejected, 400, (3, 0)));
}

#[tokio::test]
async fn a_body_whose_first_bytes_are_malformed_is_refused() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(format!("{CHUNKED_POST}5\nhello")).await;
    client.expect("HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\nConnection: close\r\n\r\nbare-line-feed").await;
    client.ends().await;
    assert_eq!(rig.told().await.ending, Ending::Rejected);
}

#[tokio::test]
async fn a_body_that_turns_out_malformed_in_the_middle_of_the_reply_cuts_the_reply_off() {
    let mut rig = Rig::new(Setup::default()).await;
    let mut client = rig.client().await;
    client.send(CHUNKED_POST).await;
    let mut node = rig.node(0).await;
    node.expect(CHUNKED_POST).await;
    node.send(CHUNKED_OK).await;
    client.expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n").await;
    client.send("-1\r\n").await;
    client.ends().await;
    node.ends().await;
    let told = rig.told().await;
    assert_eq!((told.ending, told.status), (Ending::Rejected, 200));
}

#[tokio::test]
async fn a_refused_request_gives_its_connection_back_if_its_body_is_here() {
    let rig = Rig::new(Setup { attempts: 1, ..Setup::default() }).await;
    let mut client = rig.client().await;
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    client.send(post).await;
    let mut node = rig.node(0).await;
    node.expect(post).await;
    drop(node);
    client.expect("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nReset").await;
    client.send(GET).await;
    let mut node = rig.node(0).await;
    node.expect(GET).await;
    node.send(OK).await;
    client.expect(OK).await;
}
