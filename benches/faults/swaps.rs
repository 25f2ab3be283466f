//! Policies and configurations swapped under load, beside runs without.

use std::time::{Duration, Instant};

use pointsman_demo::load::{self, End, LoadOptions, Report, Running};
use serde::Serialize;

use crate::Terms;
use crate::access;
use crate::fleet::{Fleet, YAML};
use crate::verdict::{Spread, Verdict};

const NAME: &str = "swaps";
/// Of each kind, in each run that has any.
const SWAPS: usize = 100;
const PAIRS: usize = 3;
const RATE: f64 = 2000.0;
/// p99 with swaps over p99 without.
const RATIO: f64 = 1.5;
/// The policy of service `api`; its uploads alternate between these components, each time with another mark inside, so
/// that the proxy has never seen the bytes and must compile them.
const POLICY: &str = "round-robin";
const COMPONENTS: [&str; 2] = ["two-choices", "round-robin"];

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Swaps {
    /// Requests a second that a short closed loop reached.
    peak: f64,
    /// Requests due each second in the runs.
    rate: f64,
    pairs: Vec<Pair>,
}

/// A run with swaps and one without, equally long, one after the other.
#[derive(Debug, Serialize)]
struct Pair {
    with: Report,
    without: Report,
    /// Milliseconds that each upload of a policy took, from the request to the answer.
    uploads: Vec<f64>,
    /// The same of each reload, the writing of the file included.
    reloads: Vec<f64>,
    /// Changes that were not accepted, in the proxy's words.
    refused: Vec<String>,
    /// Generations in force before and after.
    generations: (u64, u64),
    /// Resident memory of the proxy before and after, KiB.
    rss_kib: (u64, u64),
}

/// What the changes came to.
#[derive(Default)]
struct Changes {
    uploads: Vec<f64>,
    reloads: Vec<f64>,
    refused: Vec<String>,
}

/// One run with, one without, and so on.
pub(crate) async fn measure(terms: &Terms) -> Result<Swaps, String> {
    let components = [component(COMPONENTS[0])?, component(COMPONENTS[1])?];
    let fleet = Fleet::start(terms, "api").await?;
    let peak = peak(&fleet, terms).await?;
    let rate = if terms.half_peak { peak / 2.0 } else { terms.rate.unwrap_or(RATE) };
    eprintln!("swaps: a closed loop reaches {peak:.0}/s; the runs are at {rate:.0}/s");
    let options = load_options(&fleet, terms).rate(rate);
    let mut pairs = Vec::new();
    let count = if terms.quick { 1 } else { PAIRS };
    for number in 0..count {
        let pair = pair(&fleet, terms, &options, &components).await?;
        eprintln!(
            "swaps {}/{count}: p99 {:.0} us with, {:.0} us without; failed {} and {}; generation {} to {}; {} to {} KiB",
            number + 1,
            pair.with.latency.p99,
            pair.without.latency.p99,
            pair.with.failed,
            pair.without.failed,
            pair.generations.0,
            pair.generations.1,
            pair.rss_kib.0,
            pair.rss_kib.1
        );
        pairs.push(pair);
    }
    Ok(Swaps { peak, rate, pairs })
}

async fn pair(fleet: &Fleet, terms: &Terms, options: &LoadOptions, components: &[Vec<u8>; 2]) -> Result<Pair, String> {
    let generation = generation(fleet).await?;
    let rss = rss_kib(fleet)?;
    let load = start(options.clone())?;
    load.further(100).await;
    let changes = change(fleet, terms, components).await?;
    let with = load.stop_and_finish().await;
    let generations = (generation, self::generation(fleet).await?);
    let rss_kib = (rss, rss_kib(fleet)?);
    let equally_long = End::After(Duration::from_secs_f64(with.seconds));
    let without = start(LoadOptions { end: equally_long, ..options.clone() })?.finish().await;
    let Changes { uploads, reloads, refused } = changes;
    Ok(Pair { with, without, uploads, reloads, refused, generations, rss_kib })
}

/// Uploads and reloads in turn, each due at a fixed time; one that is late is made at once.
async fn change(fleet: &Fleet, terms: &Terms, components: &[Vec<u8>; 2]) -> Result<Changes, String> {
    let problem = |problem: std::io::Error| format!("the admin API: {problem}");
    let mut changes = Changes::default();
    let mut due = tokio::time::interval(terms.pause().max(Duration::from_millis(1)));
    let admin = &fleet.proxy.admin;
    for number in 0..terms.times(SWAPS) {
        let wasm = marked(&components[number % 2]);
        due.tick().await;
        let started = Instant::now();
        let answer = admin.put_bytes(&format!("/v1/policies/{POLICY}"), wasm).await.map_err(problem)?;
        changes.uploads.push(millis(started));
        if answer.status != 200 {
            changes.refused.push(answer.text());
        }
        due.tick().await;
        let started = Instant::now();
        fleet.proxy.write_config(&YAML.replace("fall: 2", ["fall: 3", "fall: 2"][number % 2])).map_err(problem)?;
        // `unchanged`: the watch over the file was quicker than this order.
        let outcome = admin.reload().await.map_err(problem)?;
        changes.reloads.push(millis(started));
        if outcome["outcome"] != "swapped" && outcome["outcome"] != "unchanged" {
            changes.refused.push(outcome.to_string());
        }
    }
    Ok(changes)
}

/// Requests a second of a closed loop; warms everything up as well.
async fn peak(fleet: &Fleet, terms: &Terms) -> Result<f64, String> {
    let seconds = if terms.quick { 1 } else { 3 };
    let options = LoadOptions { end: End::After(Duration::from_secs(seconds)), ..load_options(fleet, terms) };
    let report = start(options)?.finish().await;
    if report.succeeded == 0 {
        return Err(format!("nothing was answered: {:?}", report.samples.first()));
    }
    Ok(report.per_second)
}

fn load_options(fleet: &Fleet, terms: &Terms) -> LoadOptions {
    LoadOptions::new(fleet.proxy.addr()).ask("GET", "/bytes/64").connections(terms.connections)
}

fn start(options: LoadOptions) -> Result<Running, String> {
    load::start(options).map_err(|problem| problem.to_string())
}

fn component(name: &str) -> Result<Vec<u8>, String> {
    let path = format!("{}/../policies/dist/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).map_err(|problem| format!("{path}: {problem}; `make policies` builds it"))
}

/// The component with a custom section behind it that says when: it does the same and is not the same. A custom section
/// is id 0, the length of what follows, then its name and its content (WebAssembly core specification, §5.5.3); lengths
/// below 128 are one byte of LEB128.
fn marked(component: &[u8]) -> Vec<u8> {
    const TITLE: &[u8] = b"mark";
    let stamp = access::now_ms().to_bits().to_le_bytes();
    let mut marked = component.to_vec();
    marked.extend([0, (1 + TITLE.len() + stamp.len()) as u8, TITLE.len() as u8]);
    marked.extend_from_slice(TITLE);
    marked.extend_from_slice(&stamp);
    marked
}

async fn generation(fleet: &Fleet) -> Result<u64, String> {
    let text = fleet.proxy.admin.get("/metrics").await.map_err(|problem| problem.to_string())?.text();
    let line = text.lines().find_map(|line| line.strip_prefix("pointsman_config_generation "));
    line.and_then(|value| value.trim().parse().ok()).ok_or_else(|| "/metrics tells no generation".into())
}

/// Resident set size (proc(5), `VmRSS`).
fn rss_kib(fleet: &Fleet) -> Result<u64, String> {
    let path = format!("/proc/{}/status", fleet.proxy.pid().unwrap_or(0));
    let status = std::fs::read_to_string(&path).map_err(|problem| format!("{path}: {problem}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok()).ok_or_else(|| format!("{path} has no VmRSS"))
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

impl Swaps {
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let all = |of: fn(&Pair) -> f64| self.pairs.iter().map(of).collect::<Vec<_>>();
        let made: usize = self.pairs.iter().map(|pair| pair.uploads.len()).sum();
        let refused: usize = self.pairs.iter().map(|pair| pair.refused.len()).sum();
        let whole = |name: &str, of: fn(&Pair) -> &Report| {
            let requests: u64 = self.pairs.iter().map(|pair| of(pair).requests).sum();
            let failed = self.pairs.iter().map(|pair| of(pair).failed).sum();
            Verdict::no_failures(NAME, format!("{name}, {requests} GETs at {:.0}/s", self.rate), failed)
        };
        let ratios = all(|pair| pair.with.latency.p99 / pair.without.latency.p99);
        let ratio = Spread::of(ratios.iter().copied()).is_some_and(|ratio| ratio.median <= RATIO);
        let reached = self.pairs.iter().all(Pair::reached);
        let each = self.pairs.first().map_or(0, Pair::changes);
        let times = |of: fn(&Pair) -> &Vec<f64>| self.pairs.iter().flat_map(of).copied().collect::<Vec<_>>();
        vec![
            whole(&format!("{made} swaps of a policy and {made} reloads"), |pair| &pair.with),
            whole("the same time without", |pair| &pair.without),
            Verdict::judged(NAME, "p99 with over p99 without", "median ≤ 1.5", ratios, ratio).digits(2),
            Verdict::judged(NAME, "p99 with, us", "–", all(|pair| pair.with.latency.p99), true),
            Verdict::judged(NAME, "p99 without, us", "–", all(|pair| pair.without.latency.p99), true),
            Verdict::judged(NAME, "changes refused", "0", [refused as f64], refused == 0),
            Verdict::judged(
                NAME,
                "generations, a run",
                &format!("{each}"),
                all(|pair| (pair.generations.1 - pair.generations.0) as f64),
                reached,
            ),
            Verdict::judged(NAME, "an upload, ms", "–", times(|pair| &pair.uploads), true).digits(1),
            Verdict::judged(NAME, "a reload, ms", "–", times(|pair| &pair.reloads), true).digits(1),
            Verdict::judged(NAME, "RSS before a run, KiB", "–", all(|pair| pair.rss_kib.0 as f64), true),
            Verdict::judged(NAME, "RSS after it, KiB", "–", all(|pair| pair.rss_kib.1 as f64), true),
        ]
    }
}

impl Pair {
    fn changes(&self) -> usize {
        self.uploads.len() + self.reloads.len()
    }

    /// Each change is one generation, whether the order or the watch over the file brought it.
    fn reached(&self) -> bool {
        self.generations.1.checked_sub(self.generations.0) == Some(self.changes() as u64)
    }
}
