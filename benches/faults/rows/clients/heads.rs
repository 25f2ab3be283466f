//! Heads that are too large, ambiguous or wrong.

use std::time::Duration;

use crate::Terms;
use crate::rig::{Cause, Manner, Puppet, Setup};
use crate::rows::clients::corpus::{Case, Verdict, all};
use crate::rows::clients::folder;
use crate::rows::raw;
use crate::seen::Seen;

const PATIENCE: Duration = Duration::from_secs(3);

/// The status of the first answer; 0 without one.
fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

pub(super) async fn too_large(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&node], "").start(terms).await?;
    let head = |lines: String| format!("GET /fault/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    let cases = [
        ("a head of 100 KB", head(format!("X-A: {}\r\n", "y".repeat(100_000))), 431),
        ("200 fields", head(many), 431),
        ("a URI of 40 KB", format!("GET /fault/{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(40_000)).into_bytes(), 414),
        ("a head of 64 MB", head(format!("X-A: {}\r\n", "y".repeat(64 << 20))), 431),
    ];
    for (name, bytes, wanted) in cases {
        let mut answers: Vec<u16> = Vec::new();
        for _ in 0..terms.times(20) {
            let answer = raw(rig.proxy.addr(), &bytes, PATIENCE).await?;
            answers.push(status(&answer));
            seen.failed += 1;
            if bytes.len() > 1 << 20 {
                break;
            }
        }
        answers.dedup();
        // A client that still sends when it is refused may lose the answer to the reset (RFC 9112 section 9.6).
        let lost = bytes.len() > 1 << 20 && answers == [0];
        seen.claim(format!("{name}: {wanted}"), answers == [wanted] || lost, format!("{answers:?}"));
    }
    seen.same("requests at the node", node.asked(), 0);
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"head-too-large\""],
        log: &["\"refused\":\"head-too-large\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// Every case of these files that must be refused, whole or from some point on.
pub(super) async fn corpus(terms: &Terms, files: &[&str]) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&node], "").route("{ match: {}, service: fault }").start(terms).await?;
    let of = |case: &Case| files.iter().any(|file| case.name.starts_with(&format!("{file}/")));
    let cases: Vec<Case> = all(&folder()).into_iter().filter(of).collect();
    let (mut tried, mut wrong) = (0, Vec::new());
    for case in cases {
        let forwarded = match case.verdict {
            Verdict::Refuse => 0,
            Verdict::Cut(forwarded) => forwarded,
            Verdict::Carry(_) | Verdict::Any => continue,
        };
        tried += 1;
        let before = node.asked();
        let answer = raw(rig.proxy.addr(), &case.bytes, PATIENCE).await?;
        let asked = node.asked() - before;
        let refused = String::from_utf8_lossy(&answer)
            .split("HTTP/1.1 ")
            .filter_map(|part| part.get(..3)?.parse::<u16>().ok())
            .filter(|status| matches!(status, 400 | 405 | 411 | 414 | 417 | 421 | 426 | 431 | 501 | 505))
            .count();
        seen.failed += 1;
        if asked != forwarded || refused != 1 {
            let text = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
            wrong.push(format!("{}: {asked} at the node, not {forwarded}; {refused} refused ({text})", case.name));
        }
    }
    seen.claim(
        format!("{tried} cases refused, nothing at the node"),
        tried > 0 && wrong.is_empty(),
        if wrong.is_empty() { "all".into() } else { wrong.join(", ") },
    );
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"bad-request\""],
        log: &["\"refused\":\"bad-request\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

pub(super) async fn upgrade(terms: &Terms) -> Result<Seen, String> {
    const ASK: &str = "GET /fault/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const FRAME: &[u8] = b"\x81\x85\x01\x02\x03\x04aaaaa";
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&node], "").start(terms).await?;
    node.behave(Manner::NoUpgrade);
    let answer = raw(rig.proxy.addr(), &[ASK.as_bytes(), FRAME].concat(), PATIENCE).await?;
    seen.claim(
        "refused: what stood behind it is no request",
        node.asked() == 1,
        format!("{} at the node", node.asked()),
    );
    seen.claim(
        "refused: 403, and no tunnel",
        status(&answer) == 403 && !String::from_utf8_lossy(&answer).contains("101"),
        status(&answer),
    );
    node.behave(Manner::Well);
    let answer = raw(rig.proxy.addr(), &[ASK.as_bytes(), FRAME].concat(), PATIENCE).await?;
    let echoed = answer.windows(FRAME.len()).any(|window| window == FRAME);
    seen.claim(
        "101: what stood behind it follows",
        status(&answer) == 101 && echoed,
        format!("{}, echoed: {echoed}", status(&answer)),
    );
    let before = node.asked();
    let old = b"POST /fault/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = raw(rig.proxy.addr(), old, PATIENCE).await?;
    seen.claim("HTTP/1.0 with TE: 400", status(&answer) == 400, status(&answer));
    seen.same("HTTP/1.0 with TE: at the node", node.asked() - before, 0);
    seen.failed = 2;
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"bad-request\""],
        log: &["\"refused\":\"bad-request\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}
