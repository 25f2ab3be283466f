//! Heads that HTTP/2 can carry and HTTP/1 must never see.

use std::time::Duration;

use crate::Terms;
use crate::rig::{Cause, Puppet, Setup};
use crate::rows::http2::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, ended, exchange, field, frame, head};
use crate::seen::Seen;

/// A request's head alone.
fn bare(block: Vec<u8>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// A request with a body of `sent` bytes that says it has `said`.
fn with_body(said: &str, sent: usize) -> Vec<u8> {
    let block = head("POST", "/fault/x", &[("content-length", said)]);
    [frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, &vec![b'x'; sent])].concat()
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let with = |name, value| bare(head("GET", "/fault/x", &[(name, value)]));
    let path = |path| bare(head("GET", path, &[]));
    let twice = [head("GET", "/fault/x", &[]), field(":path", "/fault/y")].concat();
    let without_path =
        [field(":method", "GET"), field(":scheme", "http"), field(":authority", "a"), field("x-a", "b")].concat();
    vec![
        ("CR LF in a value", with("x-a", "b\r\nX-Evil: c")),
        ("LF in a value", with("x-a", "b\nX-Evil: c")),
        ("NUL in a value", with("x-a", "b\0c")),
        ("CR LF in a name", with("x-a\r\nx-evil", "c")),
        ("a colon in a name", with("x:a", "c")),
        ("an upper-case name", with("X-A", "c")),
        ("TE other than trailers", with("te", "gzip")),
        ("Connection", with("connection", "close")),
        ("Transfer-Encoding", with("transfer-encoding", "chunked")),
        ("Upgrade", with("upgrade", "websocket")),
        ("an empty :path", path("")),
        (":path without a slash", path("fault/x")),
        ("a space in :path", path("/fault/x HTTP/1.1")),
        ("CR LF in :path", path("/fault/x\r\nX-Evil: c")),
        (":method with a space", bare(head("GET /fault/evil HTTP/1.1\r\nHost: b\r\n\r\nGET", "/fault/x", &[]))),
        ("two :path", bare(twice)),
        ("no :path", bare(without_path)),
        ("less body than said", with_body("5", 3)),
        ("more body than said", with_body("3", 5)),
        ("a length that is signed", with_body("+3", 3)),
    ]
}

pub(super) async fn forbidden(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().listener("http2: on").faulty(&[&node], "").start(terms).await?;
    let good = exchange(rig.proxy.addr(), &bare(head("GET", "/fault/x", &[])), Duration::from_millis(500)).await?;
    seen.same("a good one", ended(&good, 1), "200".to_owned());
    let (mut wrong, all) = (Vec::new(), cases());
    for (name, bytes) in &all {
        let before = node.asked();
        let said = exchange(rig.proxy.addr(), bytes, Duration::from_millis(700)).await?;
        let how = ended(&said, 1);
        let asked = node.asked() - before;
        if asked > 0 || !["reset", "goaway", "400"].contains(&how.as_str()) {
            wrong.push(format!("{name}: {how}, {asked} at the node"));
        }
        seen.failed += 1;
    }
    seen.claim(
        format!("{} cases reset or 400", all.len()),
        wrong.is_empty(),
        if wrong.is_empty() { "all".into() } else { wrong.join(", ") },
    );
    let cause = Cause {
        metric: "pointsman_http2_streams_reset_total",
        labels: &["code=\"protocol-error\""],
        log: &["127.0.0.1", "HTTP/2 streams", "protocol-error"],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}
