//! The trading floor: WebSocket sessions of traders, most of them silent, while orders come in.

use std::path::Path;

use crate::claim::Claim;
use crate::drive::Pace;
use crate::oms_cluster::Market;
use crate::sessions::{Held, Holder};
use crate::stage::Stage;

/// Sessions of the original.
const SESSIONS: u64 = 24_000;
/// Descriptors of a process that are for something else than sessions.
const OTHERS: u64 = 2000;

/// Opens the sessions over as many proxies as descriptors ask for, and holds them while orders come in.
pub(super) async fn sessions(stage: &mut Stage, rate: f64, market: &Market) -> Result<(), String> {
    let wanted = stage.terms.count(SESSIONS, 60);
    let limit = rlimit::Resource::NOFILE.get_soft().map_err(|problem| problem.to_string())?;
    // Two of each session are the proxy's. Half of them at most, so that there are always several proxies.
    let bears = (limit.saturating_sub(OTHERS) / 2).clamp(1, wanted.div_ceil(2));
    let mut more = Vec::new();
    for _ in 1..wanted.div_ceil(bears) {
        more.push(stage.another_proxy().await?);
    }
    let proxies: Vec<_> = std::iter::once(&stage.proxy).chain(&more).collect();
    let before: Vec<u64> = proxies.iter().map(|proxy| resident(proxy.pid())).collect::<Result<_, _>>()?;
    let each = wanted.div_ceil(proxies.len() as u64);
    let from = stage.now();
    let mut holders = Vec::new();
    for (number, proxy) in (0..).zip(&proxies) {
        let first = number * each;
        holders.push(Holder::start(proxy.addr(), first, each.min(wanted - first))?);
    }
    for holder in &mut holders {
        let held = holder.open().await?;
        stage.terms.say(&format!("{} sessions open, {} refused", held.opened, held.refused));
    }
    let mut grown = 0;
    for (proxy, before) in proxies.iter().zip(&before) {
        grown += resident(proxy.pid())?.saturating_sub(*before);
    }
    let count = proxies.len();
    drop(proxies);
    let orders = stage.terms.requests(rate, 15.0, 2.0);
    let load = stage.load(Pace::Rate(rate), 48, orders, market.part(9))?;
    stage.gather(load, "sessions are open", from).await?;
    let mut all = Held::default();
    for holder in holders {
        let held = holder.end().await?;
        all.opened += held.opened;
        all.refused += held.refused;
        all.broken += held.broken;
        all.sent += held.sent;
        all.echoed += held.echoed;
        all.again += held.again;
        all.strayed += held.strayed;
        all.slowest_ms = all.slowest_ms.max(held.slowest_ms);
    }
    stage.asks(
        "WebSocket sessions",
        format!("{wanted} over {count} proxies of {limit} descriptors each, every fifth trades"),
    );
    judge(stage, &all, wanted, grown);
    Ok(())
}

fn judge(stage: &mut Stage, all: &Held, wanted: u64, grown_kib: u64) {
    let per_session = grown_kib as f64 / all.opened.max(1) as f64;
    stage.claims.extend([
        Claim::judged("WebSocket sessions open at once", &wanted.to_string(), all.opened, all.opened == wanted),
        Claim::none("sessions that were refused", all.refused, all.opened + all.refused),
        Claim::none("sessions that ended before their time", all.broken, all.opened),
        Claim::none("logins that came again and met another system", all.strayed, all.again),
        Claim::none("messages without their echo", all.sent.saturating_sub(all.echoed), all.sent),
        Claim::told("the slowest echo, ms", format!("{:.1}", all.slowest_ms)),
        Claim::told("memory that a session takes in the proxy, KiB", format!("{per_session:.1}")),
    ]);
}

/// KiB that a process has in memory.
fn resident(pid: Option<u32>) -> Result<u64, String> {
    let pid = pid.ok_or("a proxy has ended")?;
    let path = Path::new("/proc").join(pid.to_string()).join("status");
    let status = std::fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    kib.ok_or_else(|| format!("{}: no VmRSS", path.display()))
}
