//! Nodes that answer late, little, or nonsense, and services whose nodes come and go.

use std::time::{Duration, Instant};

use crate::Terms;
use crate::rig::{Cause, Harm, Manner, Puppet, Rig, Setup, Wire};
use crate::rows::running;
use crate::seen::Seen;

pub(super) async fn late(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let also = "timeouts: { connect: 500ms, response: 500ms, idle: 800ms }\neject: off";
    let wire = Wire::to(node.address).await?;
    let through = [("wire-1", wire.address)];
    let rig = Setup::new().faulty(&[&node], also).service("wire", &through, also).start(terms).await?;
    node.behave(Manner::Silent);
    let silent = futures::future::join_all((0..50).map(|_| rig.ask("GET", "/fault/x"))).await;
    let answers: std::collections::BTreeSet<u16> = silent.iter().map(crate::rig::Reply::status).collect();
    seen.same("late head", answers.into_iter().collect::<Vec<_>>(), vec![504]);
    node.behave(Manner::Drip);
    let dripping = futures::future::join_all((0..50).map(|_| rig.ask("GET", "/fault/x"))).await;
    let cut = dripping.iter().filter(|reply| reply.answer.is_err()).count();
    let slowest = dripping.iter().map(|reply| reply.took).max().unwrap_or_default();
    seen.same("a byte a second: cut of 50", cut, 50);
    seen.claim("cut at the idle timeout", slowest < Duration::from_secs(10), format!("{} ms", slowest.as_millis()));
    node.behave(Manner::Well);
    for (name, harm) in [
        ("in slices of 3 bytes", Harm::Slice(3, Duration::from_millis(2))),
        ("100 ms late", Harm::Delay(Duration::from_millis(100))),
    ] {
        wire.harm(harm);
        seen.same(format!("{name}: whole"), rig.ask("GET", "/wire/x").await.status(), 200);
    }
    wire.harm(Harm::Delay(Duration::from_secs(2)));
    seen.same("2 s late", rig.ask("GET", "/wire/x").await.status(), 504);
    seen.same("well again", rig.ask("GET", "/fault/x").await.status(), 200);
    seen.failed = 100;
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"timeout\"", "service=\"fault\""],
        log: &["\"refused\":\"timeout\"", "\"service\":\"fault\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// Answers that are none, each with whether its head is one: then the client has it already and sees a cut.
fn nonsense() -> Vec<(&'static str, Vec<u8>, bool)> {
    let head = |lines: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}").into_bytes();
    let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
    (0..40_000).for_each(|number| endless.extend_from_slice(format!("X-{number}: {}\r\n", "y".repeat(32)).as_bytes()));
    vec![
        ("two lengths", head("Content-Length: 5\r\nContent-Length: 6\r\n", "helloo"), false),
        ("length and coding", head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), false),
        ("signed length", head("Content-Length: +5\r\n", "hello"), false),
        ("length that overflows", head("Content-Length: 99999999999999999999\r\n", "hello"), false),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(), false),
        ("endless head", endless, false),
        (
            "wrong 101",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbytes".to_vec(),
            false,
        ),
        ("bare NUL in a field", head("X-A: a\0b\r\nContent-Length: 0\r\n", ""), false),
        ("bad chunk", head("Transfer-Encoding: chunked\r\n", "zz\r\nhello\r\n0\r\n\r\n"), true),
        ("chunk that overflows", head("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\nhello\r\n"), true),
    ]
}

pub(super) async fn malformed(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let rig = Setup::new().faulty(&[&node], "eject: off\nretry: off").start(terms).await?;
    for (name, bytes, has_head) in nonsense() {
        node.behave(Manner::Raw(bytes));
        let reply = rig.ask("GET", "/fault/x").await;
        let fine = if has_head { reply.answer.is_err() || reply.status() == 502 } else { reply.status() == 502 };
        let shown = match &reply.answer {
            Ok(answer) => answer.status.to_string(),
            Err(problem) => problem.kind().to_string(),
        };
        seen.claim(name, fine, shown);
        seen.failed += u64::from(reply.status() != 200);
        node.behave(Manner::Well);
        let next = rig.ask("GET", "/fault/x").await.status();
        if next != 200 {
            seen.claim(format!("{name}: the next one is well"), false, next);
        }
    }
    seen.same("connections used again", node.reused(), 0);
    let cause = Cause {
        metric: "pointsman_refusals_total",
        labels: &["reason=\"malformed\"", "service=\"fault\""],
        log: &["\"refused\":\"malformed\"", "\"service\":\"fault\""],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

async fn all_down(rig: &Rig, seen: &mut Seen, nodes: &[Puppet]) -> Result<(), String> {
    nodes.iter().for_each(|node| node.healthy(false));
    rig.standing("fault-1", "down").await?;
    rig.standing("fault-2", "down").await?;
    let began = Instant::now();
    let statuses: Vec<u16> =
        vec![rig.ask("GET", "/fault/x").await.status(), rig.ask("POST", "/fault/x").await.status()];
    let took = began.elapsed() / 2;
    seen.same("all down", statuses, vec![503, 503]);
    seen.note(format!("refused in {:.1} ms (10 granted)", took.as_secs_f64() * 1e3));
    let any = [rig.ask("GET", "/any/x").await.status(), rig.ask("POST", "/any/x").await.status()];
    seen.same("try-any: GET, POST", any, [200, 503]);
    Ok(())
}

pub(super) async fn flapping(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let nodes = [Puppet::start("fault-1").await?, Puppet::start("fault-2").await?];
    let gone = fleet_address()?;
    let checks = "health: { http: /health, interval: 100ms, timeout: 80ms, fall: 3, rise: 3 }";
    let down = [("any-1", nodes[0].address), ("any-2", nodes[1].address)];
    let any = format!("{checks}\nall_down: try-any");
    let rig = Setup::new()
        .faulty(&[&nodes[0], &nodes[1]], checks)
        .service("any", &down, &any)
        .service("dead", &[("dead-1", gone)], checks)
        .start(terms)
        .await?;
    rig.up("fault-1").await?;
    rig.up("fault-2").await?;
    // Twice as fast as it could ever count as down: nothing moves. Then every second: one change for each.
    let load = running(rig.load("GET", "/fault/x", 8).rate(100.0))?;
    let transitions = ["node=\"fault-1\"", "service=\"fault\""];
    for turn in 0..10 {
        nodes[0].healthy(turn % 2 == 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    nodes[0].healthy(true);
    let twitching = rig.moved("pointsman_health_transitions_total", &transitions).await?;
    seen.at_most("changes while its health twitched", twitching, 0.0);
    let flaps = 3;
    for _ in 0..flaps {
        for healthy in [false, true] {
            nodes[0].healthy(healthy);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let moved = rig.moved("pointsman_health_transitions_total", &transitions).await? - twitching;
    seen.at_most("changes while it flapped", moved, f64::from(flaps * 2));
    let flapped = load.stop_and_finish().await;
    seen.same("failed while it flapped", flapped.failed, 0);
    all_down(&rig, &mut seen, &nodes).await?;
    seen.failed = flapped.failed + 3;
    let causes = [
        Cause {
            metric: "pointsman_refusals_total",
            labels: &["reason=\"no-node\"", "service=\"fault\""],
            log: &["\"refused\":\"no-node\"", "\"service\":\"fault\""],
        },
        Cause {
            metric: "pointsman_health_transitions_total",
            labels: &["node=\"fault-1\"", "to=\"down\""],
            log: &["fault-1", "down"],
        },
    ];
    rig.judge(&mut seen, &[&nodes[0], &nodes[1]], Vec::new(), &causes).await?;
    Ok(seen)
}

/// An address where nobody listens.
fn fleet_address() -> Result<std::net::SocketAddr, String> {
    crate::fleet::address(9)
}
