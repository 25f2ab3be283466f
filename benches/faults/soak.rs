//! Everything at once, under load, for minutes: reloads, drains, nodes that die and come back, nodes that join and leave,
//! upgrades. No request that is safe to repeat may fail, and whoever serves holds no more at the end than soon after it began.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pointsman_demo::load::{self, LoadOptions, Report, Running};
use serde::Serialize;

use crate::Terms;
use crate::fleet::{Fleet, YAML};
use crate::rig::{gauges, until};
use crate::verdict::{Spread, Verdict};
use changes::{Made, Stage};
use lives::Life;

mod changes;
mod lives;

const NAME: &str = "soak";
const RATE: f64 = 500.0;
/// Of those, so many for each that makes a connection of its own.
const KEPT: f64 = 10.0;
/// Requests a second that take a third of a second at the node, so that something is always under way there.
const SLOW: f64 = 20.0;
/// From one look at the process to the next, and from one word of progress to the next.
const LOOK: Duration = Duration::from_secs(1);
const TELL: u32 = 10;
/// How long descriptors have to come back once all is quiet, and how long idle connections to nodes are kept here.
const RECOVERY: Duration = Duration::from_secs(60);
const IDLE: &str = "  api:\n    timeouts: { idle: 5s }\n";
/// Descriptors that a process may hold beyond what the first one held before any load: files opened at their first use.
const FILES: f64 = 8.0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Soak {
    seconds: f64,
    made: BTreeMap<&'static str, Made>,
    kept: Report,
    fresh: Report,
    slow: Report,
    lives: Vec<Life>,
    /// Descriptors of the first process before any load, of the last one after all of it; and of what kinds these are.
    descriptors: (usize, usize),
    kinds: BTreeMap<String, usize>,
}

/// Load on kept connections, on connections for one request each, and with requests that take their time.
struct Loads {
    kept: Running,
    fresh: Running,
    slow: Running,
}

impl Loads {
    fn start(fleet: &Fleet, terms: &Terms) -> Result<Self, String> {
        let rate = terms.rate.unwrap_or(RATE);
        let to = |path: &str| LoadOptions::new(fleet.proxy.addr()).ask("GET", path);
        let start = |options| load::start(options).map_err(|problem| problem.to_string());
        let mut fresh = to("/bytes/64").connections(4).rate((rate / KEPT).max(1.0));
        fresh.keep_alive = false;
        Ok(Self {
            kept: start(to("/bytes/64").connections(terms.connections).rate(rate))?,
            fresh: start(fresh)?,
            slow: start(to("/slow?ms=300").connections(terms.connections).rate(SLOW))?,
        })
    }

    /// Requests that ended, and those that ended badly.
    fn counts(&self) -> (u64, u64) {
        let all = [&self.kept, &self.fresh, &self.slow].map(Running::counts);
        (all.iter().map(|counts| counts.done).sum(), all.iter().map(|counts| counts.failed).sum())
    }
}

/// Plays for as long as the terms say.
pub(crate) async fn measure(terms: &Terms) -> Result<Soak, String> {
    let mut fleet = Fleet::start(terms, "api").await?;
    let mut nodes = std::mem::take(&mut fleet.nodes);
    let ids: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    let first = gauges::look(fleet.proxy.pid().ok_or("the proxy has ended")?)?;
    let loads = Loads::start(&fleet, terms)?;
    loads.kept.further(terms.rate.unwrap_or(RATE) as u64).await;
    let length = Duration::from_secs_f64(terms.minutes * 60.0);
    let stage = Stage::new(&fleet.proxy, &YAML.replace("  api:\n", IDLE), length);
    let began = Instant::now();
    let (lives, ..) = tokio::join!(
        watch(&stage, &loads),
        stage.reload(),
        stage.drain(&ids),
        stage.kill(&mut nodes),
        stage.guests(),
        stage.upgrade(&mut fleet.proxy),
    );
    let seconds = began.elapsed().as_secs_f64();
    let Loads { kept, fresh, slow } = loads;
    let (kept, fresh, slow) = tokio::join!(kept.stop_and_finish(), fresh.stop_and_finish(), slow.stop_and_finish());
    let pid = stage.pid();
    let bound = first.descriptors + FILES as usize;
    until(RECOVERY, || async { gauges::look(pid).is_ok_and(|now| now.descriptors <= bound) }).await;
    let descriptors = (first.descriptors, gauges::look(pid)?.descriptors);
    let kinds = gauges::kinds(pid);
    eprintln!("soak: descriptors in the end: {kinds:?}");
    Ok(Soak { seconds, made: stage.made(), kept, fresh, slow, lives, descriptors, kinds })
}

/// Looks at whoever serves, and says how it goes.
async fn watch(stage: &Stage, loads: &Loads) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    let mut looks = 0;
    while stage.goes_on() {
        tokio::time::sleep(LOOK).await;
        let pid = stage.pid();
        let Ok(holds) = gauges::look(pid) else { continue };
        if lives.last().is_none_or(|life| life.pid != pid) {
            lives.push(Life::new(pid));
        }
        if let Some(life) = lives.last_mut() {
            life.saw(stage.seconds(), holds);
        }
        looks += 1;
        if looks % TELL == 0 {
            let (done, failed) = loads.counts();
            eprintln!(
                "soak {:4.0} s: {done} requests, {failed} failed; {}; process {pid}: {:.1} MiB, {} descriptors",
                stage.seconds(),
                stage.told(),
                holds.rss_kib / 1024.0,
                holds.descriptors
            );
        }
    }
    lives
}

impl Soak {
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let loads = [
            ("GETs on kept connections", &self.kept),
            ("GETs on a connection each", &self.fresh),
            ("GETs of 300 ms", &self.slow),
        ];
        let mut verdicts: Vec<Verdict> = loads
            .iter()
            .map(|(name, load)| {
                // What was never sent is the generator's: it stops in the middle of things.
                let failed = load.failed - load.failures.unsent;
                Verdict::no_failures(NAME, format!("{} {name} in {:.0} s", load.requests, self.seconds), failed)
            })
            .collect();
        for (name, made) in &self.made {
            let fine = made.done > 0 && made.refused.is_empty();
            verdicts.push(Verdict::judged(NAME, name, "> 0, none refused", [made.done as f64], fine));
        }
        verdicts.extend(lives::verdicts(&self.lives));
        let (before, after) = self.descriptors;
        verdicts.push(Verdict::judged(
            NAME,
            "descriptors once all is quiet",
            &format!("≤ {before} before any load, and {FILES:.0} files"),
            [after as f64],
            after as f64 <= before as f64 + FILES,
        ));
        let p99 = loads.iter().map(|(_, load)| load.latency.p99 / 1e3);
        verdicts.push(Verdict::judged(NAME, "p99 of the three loads, ms", "–", p99, true).digits(1));
        verdicts
    }
}
