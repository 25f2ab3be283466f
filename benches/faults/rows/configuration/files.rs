//! The configuration's file itself: how it changes, and how often.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup, until};
use crate::seen::Seen;

/// Waits until the response time of `fault` is that many seconds in the configuration in force.
async fn in_force(rig: &Rig, mark: u32) -> bool {
    until(Duration::from_secs(10), || async {
        let config = rig.proxy.admin.get("/v1/config").await.and_then(|answer| answer.json());
        config.is_ok_and(|config| {
            config["yaml"].as_str().is_some_and(|yaml| yaml.contains(&marked(mark))) && config["yaml_in_force"] == true
        })
    })
    .await
}

/// What tells one version from the next.
fn marked(mark: u32) -> String {
    format!("response: {}s", 30 + mark)
}

pub(super) async fn moved(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let also = "timeouts: { connect: 500ms, response: 30s, idle: 1s }\npolicy: round-robin";
    let rig = Setup::new().faulty(&[&node], also).start(terms).await?;
    let file = rig.proxy.config();
    let good = std::fs::read_to_string(&file).map_err(|problem| problem.to_string())?;
    // The last one is that of `fault`: the other route's service says it too.
    let text = |mark: u32| good.replace("response: 30s", &marked(mark));
    let folder = rig.proxy.folder().to_path_buf();
    let problem = |problem: std::io::Error| problem.to_string();
    let renamed = |mark: u32| -> Result<(), String> {
        let aside = folder.join("aside.yaml");
        std::fs::write(&aside, text(mark)).and_then(|()| std::fs::rename(&aside, &file)).map_err(problem)
    };
    renamed(1)?;
    taken(&rig, &mut seen, "renamed over", 1).await;
    std::fs::write(&file, text(2)).map_err(problem)?;
    taken(&rig, &mut seen, "written in place", 2).await;
    std::fs::write(&file, "").map_err(problem)?;
    kept(&rig, &mut seen, "truncated").await?;
    std::fs::remove_file(&file).map_err(problem)?;
    kept(&rig, &mut seen, "deleted").await?;
    renamed(3)?;
    taken(&rig, &mut seen, "there again", 3).await;
    links(&folder, &file, &text(4), &text(5)).await?;
    taken(&rig, &mut seen, "a symlink swapped", 5).await;
    std::fs::set_permissions(folder.join("five.yaml"), std::fs::Permissions::from_mode(0o000)).map_err(problem)?;
    kept(&rig, &mut seen, "mode 000").await?;
    renamed(6)?;
    taken(&rig, &mut seen, "renamed over the link", 6).await;
    let cause = Cause { metric: "pointsman_reloads_total", labels: &["outcome=\"refused\""], log: &["reload-refused"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// The file becomes a link to one version, then to another: the way a `ConfigMap` is mounted.
async fn links(folder: &Path, file: &Path, four: &str, five: &str) -> Result<(), String> {
    let problem = |problem: std::io::Error| problem.to_string();
    std::fs::write(folder.join("four.yaml"), four).map_err(problem)?;
    std::fs::write(folder.join("five.yaml"), five).map_err(problem)?;
    for target in ["four.yaml", "five.yaml"] {
        let aside = folder.join("link.aside");
        symlink(target, &aside).and_then(|()| std::fs::rename(&aside, file)).map_err(problem)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn taken(rig: &Rig, seen: &mut Seen, name: &str, mark: u32) {
    let there = in_force(rig, mark).await;
    seen.claim(format!("{name}: in force"), there, if there { "yes" } else { "no" });
}

/// What was in force serves on, after a second in which it might have been dropped.
async fn kept(rig: &Rig, seen: &mut Seen, name: &str) -> Result<(), String> {
    rig.others(100).await;
    let status = rig.ask("GET", "/fault/x").await.status();
    seen.same(format!("{name}: the old one serves"), status, 200);
    Ok(())
}

pub(super) async fn hangups(terms: &Terms) -> Result<Seen, String> {
    const SIGNALS: u32 = 1000;
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let also = "timeouts: { connect: 500ms, response: 30s, idle: 1s }\npolicy: round-robin";
    let rig = Setup::new().faulty(&[&node], also).start(terms).await?;
    let file = rig.proxy.config();
    let good = std::fs::read_to_string(&file).map_err(|problem| problem.to_string())?;
    let began = std::time::Instant::now();
    let (mut failed, mut asked) = (0, 0);
    for number in 1..=SIGNALS {
        if number % 100 == 0 {
            let aside = rig.proxy.folder().join("aside.yaml");
            let text = good.replace("response: 30s", &marked(number / 100));
            std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, &file)).map_err(|p| p.to_string())?;
            asked += 1;
            failed += u64::from(rig.ask("GET", "/fault/x").await.status() != 200);
        }
        rig.proxy.signal(libc::SIGHUP).map_err(|problem| problem.to_string())?;
        let due = began + Duration::from_millis(u64::from(number));
        tokio::time::sleep(due.saturating_duration_since(std::time::Instant::now())).await;
    }
    let last = in_force(&rig, SIGNALS / 100).await;
    seen.claim("the last content is in force", last, if last { "yes" } else { "no" });
    let reloads = rig.moved("pointsman_reloads_total", &[]).await?;
    seen.at_most("reloads", reloads, f64::from(SIGNALS) / 2.0);
    seen.same(format!("failed of {asked}"), failed, 0);
    seen.note(format!("{SIGNALS} signals in {:.1} s", began.elapsed().as_secs_f64()));
    seen.failed = failed;
    let cause = Cause { metric: "pointsman_reloads_total", labels: &["outcome=\"swapped\""], log: &["reloaded"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}
