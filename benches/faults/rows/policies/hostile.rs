//! Policies that fail at each pick, one after the other, over a good version that comes back in the end.

use std::time::Duration;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup, until};
use crate::rows::policies::guest;
use crate::seen::Seen;

/// What a policy may grow to, as the configuration says; one instance a worker, and one that is being set up.
const CAP_KIB: f64 = 16.0 * 1024.0;
const INSTANCES: f64 = 3.0;

pub(super) async fn each(terms: &Terms, names: &[&str]) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let nodes = [Puppet::start("fault-1").await?, Puppet::start("fault-2").await?];
    let rig = Setup::new()
        .top("policies: { bad: { wasm: bad.wasm, budget: 1ms, memory: 16MiB } }\n")
        .file("bad.wasm", guest("base"))
        .faulty(&[&nodes[0], &nodes[1]], "policy: { use: bad, on_fault: round-robin }")
        .start(terms)
        .await?;
    for (number, name) in (1..).zip(names) {
        strike(&rig, &mut seen, name, f64::from(number)).await?;
    }
    let causes = [
        Cause {
            metric: "pointsman_policy_quarantines_total",
            labels: &["policy=\"bad\""],
            log: &["policy-quarantined", "bad"],
        },
        Cause {
            metric: "pointsman_picks_total",
            labels: &["service=\"fault\"", "by=\"fallback\""],
            log: &["\"service\":\"fault\"", "\"fault\":"],
        },
    ];
    rig.judge(&mut seen, &[&nodes[0], &nodes[1]], Vec::new(), &causes).await?;
    Ok(seen)
}

async fn strike(rig: &Rig, seen: &mut Seen, name: &str, quarantines: f64) -> Result<(), String> {
    let before = rig.moved("pointsman_picks_total", &["service=\"fault\"", "by=\"fallback\""]).await?;
    let loaded = rig.proxy.admin.put_bytes("/v1/policies/bad", guest(name)).await;
    let loaded = loaded.map_err(|problem| problem.to_string())?;
    if loaded.status != 200 {
        return Err(format!("{name} was not loaded: {}", loaded.text()));
    }
    let (mut failed, mut slowest, mut most) = (0, Duration::ZERO, 0.0_f64);
    for _ in 0..12 {
        let reply = rig.ask("GET", "/fault/x").await;
        failed += u64::from(reply.status() != 200);
        slowest = slowest.max(reply.took);
        most = most.max(rig.holds()?.rss_kib);
    }
    let labels = ["policy=\"bad\""];
    let quarantined = until(Duration::from_secs(10), || async {
        rig.moved("pointsman_policy_quarantines_total", &labels).await.is_ok_and(|by| by >= quarantines)
    })
    .await;
    let picks = rig.moved("pointsman_picks_total", &["service=\"fault\"", "by=\"fallback\""]).await? - before;
    seen.same(format!("{name}: requests failed"), failed, 0);
    seen.claim(
        format!("{name}: quarantined after 5"),
        quarantined && (5.0..=7.0).contains(&picks),
        format!("after {picks}"),
    );
    seen.at_most(format!("{name}: MiB"), (most - rig.held().rss_kib) / 1024.0, CAP_KIB * INSTANCES / 1024.0);
    seen.note(format!("{name}: slowest {:.1} ms", slowest.as_secs_f64() * 1e3));
    seen.failed += failed;
    Ok(())
}
