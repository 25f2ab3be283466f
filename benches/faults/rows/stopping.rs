//! Row 50: SIGTERM with requests and streams in flight.

use std::time::{Duration, Instant};

use pointsman_demo::client::{Connection, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Terms;
use crate::rig::{Manner, Puppet, Rig, Setup, until};
use crate::rows::{Row, Run, http2};
use crate::seen::Seen;

/// How long requests may take after SIGTERM here.
const GRACE: Duration = Duration::from_secs(4);

pub(super) const ROWS: &[Row] = &[Row {
    number: 50,
    name: "sigterm",
    fault: "SIGTERM with requests and streams in flight",
    expected: "readyz red first; Connection: close, two GOAWAYs, deadline, then cut",
    injector: "SIGTERM",
    needs: &[],
    run: Run::Now(|terms| Box::pin(terminated(terms))),
}];

/// Asks on one kept connection until it is told to close; how it was told, and every status before.
async fn polite(to: std::net::SocketAddr) -> (bool, Vec<u16>) {
    let (mut told, mut statuses) = (false, Vec::new());
    let Ok(mut connection) = Connection::open(to).await else { return (false, statuses) };
    while let Ok(answer) = connection.exchange(&Request::get("/fault/slow/20")).await {
        statuses.push(answer.status);
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            told = true;
            break;
        }
    }
    (told, statuses)
}

/// Whoever balances over several proxies must see it before anybody is refused.
async fn red_first(rig: &Rig, seen: &mut Seen) {
    let red = until(Duration::from_secs(1), || async {
        rig.proxy.admin.get("/readyz").await.is_ok_and(|answer| answer.status == 503)
    });
    let red = red.await;
    seen.claim("readyz turns red", red, if red { "yes" } else { "no" });
    let then = Request::get("/fault/x").send(rig.proxy.addr()).await;
    let status = then.as_ref().map_or(0, |answer| answer.status);
    seen.claim("red first: a request that comes then is served", status == 200, status);
}

async fn terminated(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let (node, silent) = (Puppet::start("fault-1").await?, Puppet::start("silent-1").await?);
    silent.behave(Manner::Silent);
    let mut rig: Rig = Setup::new()
        .argument("--grace")
        .argument(&GRACE.as_secs().to_string())
        .listener("http2: on")
        .faulty(&[&node], "")
        .service("silent", &[("silent-1", silent.address)], "")
        .start(terms)
        .await?;
    rig.hush(&mut seen).await;
    let to = rig.proxy.addr();
    let slow = tokio::spawn(async move { Request::get("/fault/slow/1500").send(to).await });
    let endless = tokio::spawn(async move { Request::get("/silent/x").send(to).await.map(|answer| answer.status) });
    let kept = tokio::spawn(polite(to));
    let mut h2 = TcpStream::connect(to).await.map_err(|problem| problem.to_string())?;
    h2.write_all(&http2::ask("/fault/slow/1500")).await.map_err(|problem| problem.to_string())?;
    rig.in_flight("fault", 2.0).await?;
    rig.in_flight("silent", 1.0).await?;
    rig.proxy.signal(libc::SIGTERM).map_err(|problem| problem.to_string())?;
    let began = Instant::now();
    let frames = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = tokio::time::timeout(GRACE * 3, h2.read_to_end(&mut all)).await;
        all
    });
    red_first(&rig, &mut seen).await;
    let slow = slow.await.map_err(|problem| problem.to_string())?;
    seen.same("a request under way", slow.as_ref().map_or(0, |answer| answer.status), 200);
    let (told, statuses) = kept.await.map_err(|problem| problem.to_string())?;
    seen.claim(
        "Connection: close",
        told && statuses.iter().all(|status| *status == 200),
        format!("{told}, {} answers", statuses.len()),
    );
    let cut = endless.await.map_err(|problem| problem.to_string())?;
    let took = began.elapsed();
    seen.claim(
        "cut at the deadline",
        took >= GRACE.mul_f64(0.8) && took <= GRACE + Duration::from_secs(3),
        format!("{:.1} s, {cut:?}", took.as_secs_f64()),
    );
    let (goaways, answered) = http2::farewell(&frames.await.map_err(|problem| problem.to_string())?);
    seen.claim("two GOAWAYs", goaways >= 2, goaways);
    seen.claim("the stream under way is answered", answered, if answered { "yes" } else { "no" });
    let code = rig.proxy.ended().await.map_err(|problem| problem.to_string())?;
    seen.same("exit code", code, Some(0));
    let said = rig.proxy.said();
    seen.claim(
        "a log line says `stopping`",
        said.contains("stopping"),
        if said.contains("stopping") { "yes" } else { "no" },
    );
    seen.failed = 1;
    Ok(seen)
}
