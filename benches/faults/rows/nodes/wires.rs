//! Connections to nodes that are cut, dead or never made.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_demo::client::{Connection, Request};

use crate::Terms;
use crate::rig::{Cause, Harm, Manner, Puppet, Setup, Wire};
use crate::rows::running;
use crate::seen::Seen;

/// A listener that accepts nobody, its backlog filled: Linux drops further SYNs without a word.
struct Blackhole {
    address: SocketAddr,
    _listener: tokio::net::TcpListener,
    _fillers: Vec<std::net::TcpStream>,
}

impl Blackhole {
    fn dig() -> Result<Self, String> {
        let problem = |problem: std::io::Error| format!("the black hole: {problem}");
        let socket = tokio::net::TcpSocket::new_v4().map_err(problem)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(problem)?;
        let listener = socket.listen(1).map_err(problem)?;
        let address = listener.local_addr().map_err(problem)?;
        let mut fillers = Vec::new();
        while fillers.len() < 16 {
            match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                Ok(stream) => fillers.push(stream),
                Err(_) => return Ok(Self { address, _listener: listener, _fillers: fillers }),
            }
        }
        Err("the backlog does not fill".into())
    }
}

pub(super) async fn blackhole(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let good = Puppet::start("fault-1").await?;
    let hole = Blackhole::dig()?;
    let nodes = [("fault-1", good.address), ("fault-2", hole.address)];
    let also = "timeouts: { connect: 300ms, response: 5s, idle: 1s }\neject: off";
    let rig = Setup::new().service("fault", &nodes, also).start(terms).await?;
    let (mut failed, mut slowest) = (0, Duration::ZERO);
    for method in ["GET", "POST"].iter().cycle().take(8) {
        let reply = rig.ask(method, "/fault/x").await;
        failed += u64::from(reply.status() != 200);
        slowest = slowest.max(reply.took);
    }
    seen.same("requests failed", failed, 0);
    seen.claim("inside the deadline of 5 s", slowest < Duration::from_secs(5), format!("{} ms", slowest.as_millis()));
    seen.failed = failed;
    let cause = Cause {
        metric: "pointsman_retries_total",
        labels: &["service=\"fault\"", "reason=\"connect\""],
        log: &["\"service\":\"fault\"", "\"attempts\":2"],
    };
    rig.judge(&mut seen, &[&good], Vec::new(), &[cause]).await?;
    Ok(seen)
}

pub(super) async fn reset(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let (bad, good) = (Puppet::start("fault-1").await?, Puppet::start("fault-2").await?);
    let rig = Setup::new().faulty(&[&bad, &good], "eject: off").start(terms).await?;
    bad.behave(Manner::ResetBefore);
    let (mut gets, mut answers) = (0, Vec::new());
    for _ in 0..10 {
        gets += u64::from(rig.ask("GET", "/fault/x").await.status() != 200);
    }
    for _ in 0..10 {
        answers.push(rig.ask("POST", "/fault/x").await.status());
    }
    let refused = answers.iter().filter(|status| **status == 502).count();
    seen.same("before: GETs failed", gets, 0);
    seen.claim(
        "before: POSTs 200 or 502, some 502",
        refused > 0 && answers.iter().all(|s| [200, 502].contains(s)),
        format!("{answers:?}"),
    );
    bad.behave(Manner::ResetAfter);
    let mut cut = 0;
    for _ in 0..4 {
        cut += u64::from(rig.ask("GET", "/fault/x").await.answer.is_err());
    }
    seen.same("after: cut answers of 4, every other", cut, 2);
    seen.failed = refused as u64 + cut;
    let causes = [
        Cause {
            metric: "pointsman_refusals_total",
            labels: &["reason=\"reset\"", "service=\"fault\""],
            log: &["\"refused\":\"reset\"", "\"service\":\"fault\""],
        },
        Cause {
            metric: "pointsman_retries_total",
            labels: &["reason=\"reset\"", "service=\"fault\""],
            log: &["\"service\":\"fault\"", "\"status\":200", "\"error\""],
        },
    ];
    rig.judge(&mut seen, &[&bad, &good], Vec::new(), &causes).await?;
    Ok(seen)
}

pub(super) async fn half_open(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let (far, good) = (Puppet::start("fault-1").await?, Puppet::start("fault-2").await?);
    let wire = Wire::to(far.address).await?;
    let nodes = [("fault-1", wire.address), ("fault-2", good.address)];
    let also = "retry: { attempts: 2, on: [connect, reset, timeout], timeout: 300ms }\neject: off\n\
                timeouts: { connect: 300ms, response: 1s, idle: 5s }";
    let rig = Setup::new().service("fault", &nodes, also).start(terms).await?;
    let (mut gets, mut posts, mut failed) = (0, Vec::new(), 0);
    for harm in [Harm::Swallow, Harm::Reset] {
        wire.harm(Harm::Pass);
        let warm = running(rig.load("GET", "/fault/slow/20", 8).requests(64))?.finish().await;
        if warm.failed > 0 || wire.open() == 0 {
            return Err(format!("the pool did not warm up: {} failed, {} open", warm.failed, wire.open()));
        }
        wire.harm(harm);
        for _ in 0..6 {
            let reply = rig.ask("GET", "/fault/x").await;
            gets += u64::from(reply.status() != 200);
        }
        for _ in 0..6 {
            let reply = rig.ask("POST", "/fault/x").await;
            failed += u64::from(reply.status() != 200);
            posts.push(reply.status());
        }
    }
    seen.same("GETs failed", gets, 0);
    let fine = posts.iter().all(|status| [200, 502, 504].contains(status));
    seen.claim("POSTs 200, or one 502 or 504", fine && failed > 0, format!("{posts:?}"));
    seen.failed = gets + failed;
    let causes = [
        Cause {
            metric: "pointsman_retries_total",
            labels: &["reason=\"timeout\"", "service=\"fault\""],
            log: &["\"service\":\"fault\"", "\"attempts\":2"],
        },
        Cause {
            metric: "pointsman_refusals_total",
            labels: &["reason=\"timeout\"", "service=\"fault\""],
            log: &["\"refused\":\"timeout\"", "\"service\":\"fault\""],
        },
    ];
    rig.judge(&mut seen, &[&far, &good], Vec::new(), &causes).await?;
    Ok(seen)
}

pub(super) async fn idle_closed(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let (one, two) = (Puppet::start("fault-1").await?, Puppet::start("fault-2").await?);
    let rig = Setup::new().faulty(&[&one, &two], "eject: off").start(terms).await?;
    one.behave(Manner::CloseIdle);
    two.behave(Manner::CloseIdle);
    let requests = if terms.quick { 400 } else { 4000 };
    let gets = running(rig.load("GET", "/fault/x", 8).requests(requests))?.finish().await;
    let posts = running(rig.load("POST", "/fault/x", 8).requests(requests))?.finish().await;
    seen.same(format!("GETs failed of {}", gets.requests), gets.failed, 0);
    let refused = posts.statuses.get(&502).copied().unwrap_or(0);
    seen.claim(format!("POSTs of {} fail by 502 only", posts.requests), posts.failed == refused, posts.failed);
    seen.failed = gets.failed + posts.failed;
    // The keeper of a connection may see the end before it uses it: then there is nothing to tell of.
    let mut held = Connection::open(rig.proxy.addr()).await.map_err(|problem| problem.to_string())?;
    let mut kept = 0;
    for _ in 0..10 {
        kept += u64::from(held.exchange(&Request::get("/fault/x")).await.is_ok_and(|answer| answer.status == 200));
    }
    seen.same("answers on a client's kept connection", kept, 10);
    drop(held);
    let cause =
        Cause { metric: "pointsman_requests_total", labels: &["service=\"fault\""], log: &["\"service\":\"fault\""] };
    rig.judge(&mut seen, &[&one, &two], Vec::new(), &[cause]).await?;
    Ok(seen)
}
