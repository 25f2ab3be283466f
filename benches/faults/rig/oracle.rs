//! What must hold on every row, whatever the fault.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use crate::rig::puppet::Entry;
use crate::rig::{Puppet, Rig, gauges, until};
use crate::seen::Seen;

/// How long memory and descriptors have to come back.
const RECOVERY: Duration = Duration::from_secs(60);
/// A log line is written within milliseconds, a gauge read at the next scrape.
const SOON: Duration = Duration::from_secs(10);
/// Memory over what was held before. Below 4 MiB it is the allocator's own pages.
const MEMORY: f64 = 1.10;
const PAGES_KIB: f64 = 4096.0;
/// p99 of the other route during the fault over that before.
const SLOWER: f64 = 2.0;

/// The metric and the log line that name the cause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    /// A family that must have moved; empty where the page names none.
    pub(crate) metric: &'a str,
    /// Parts of its labels.
    pub(crate) labels: &'a [&'a str],
    /// All of these stand in one line of the access log, or of what the proxy said.
    pub(crate) log: &'a [&'a str],
}

impl Rig {
    /// Stops the load and judges everything that holds on every row. `nodes` are those that served `/fault`, with what
    /// they noted; `journals` those of nodes that are processes of their own.
    pub(crate) async fn judge(
        mut self,
        seen: &mut Seen,
        nodes: &[&Puppet],
        journals: Vec<Vec<Entry>>,
        causes: &[Cause<'_>],
    ) -> Result<(), String> {
        seen.oracle();
        self.others_unharmed(seen).await;
        for cause in causes {
            self.named(seen, cause).await?;
        }
        let mut faulty: Vec<Entry> = nodes.iter().flat_map(|node| node.journal()).collect();
        faulty.extend(journals.into_iter().flatten());
        self.journals(seen, &faulty);
        self.recovered(seen).await
    }

    pub(super) async fn others_unharmed(&mut self, seen: &mut Seen) {
        let Some(load) = self.load.take() else { return };
        let report = load.stop_and_finish().await;
        let why = report.samples.first().map_or(String::new(), |sample| format!(" ({})", sample.what));
        seen.claim(
            "others unharmed",
            report.failed == 0,
            format!("{} of {} failed{why}", report.failed, report.requests),
        );
        let ratio = report.latency.p99 / self.quiet.latency.p99.max(1.0);
        let flag = if ratio > SLOWER { " ⚑" } else { "" };
        seen.note(format!("others' p99 {:.1} ms, {ratio:.1}× of before{flag}", report.latency.p99 / 1e3));
    }

    /// A metric has moved and a line says why.
    async fn named(&self, seen: &mut Seen, cause: &Cause<'_>) -> Result<(), String> {
        if !cause.metric.is_empty() {
            let what = format!("{}{{{}}} moved", cause.metric, cause.labels.join(","));
            let moved =
                until(SOON, || async { self.moved(cause.metric, cause.labels).await.is_ok_and(|by| by != 0.0) }).await;
            seen.claim(what, moved, format!("{:+}", self.moved(cause.metric, cause.labels).await?));
        }
        let said = until(SOON, || async {
            let (log, said) = (self.log(), self.proxy.said());
            let all = |line: &str| cause.log.iter().all(|part| line.contains(part));
            log.get(self.logged..).unwrap_or_default().lines().chain(said.lines()).any(all)
        });
        let said = said.await;
        seen.claim(format!("a log line says `{}`", cause.log.join("` and `")), said, if said { "yes" } else { "no" });
        Ok(())
    }

    /// No request at a wrong node, none twice that must not be, and none acknowledged that nobody ran.
    fn journals(&self, seen: &mut Seen, faulty: &[Entry]) {
        let other = self.other.journal();
        let strays = faulty.iter().filter(|entry| entry.path.starts_with("/other"));
        let strays = strays.chain(other.iter().filter(|entry| !entry.path.starts_with("/other"))).count();
        seen.same("requests at a wrong node", strays, 0);
        let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in faulty.iter().chain(&other).filter(|entry| !entry.id.is_empty()) {
            if matches!(entry.method.as_str(), "POST" | "PATCH") {
                *runs.entry(&entry.id).or_default() += 1;
            }
        }
        seen.same("POSTs run twice", runs.values().filter(|times| **times > 1).count(), 0);
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let noted: std::collections::BTreeSet<&str> =
            faulty.iter().chain(&other).map(|entry| entry.id.as_str()).collect();
        let unseen = acknowledged.iter().filter(|id| !noted.contains(id.as_str())).count();
        if unseen > 0 {
            seen.claim("each success ran at a node", false, format!("{unseen} did not"));
        }
    }

    /// Of what kind there are more descriptors than before. A file that is opened at its first use stays open, once.
    fn more_open(&self) -> Vec<String> {
        let now = gauges::kinds(self.proxy.pid().unwrap_or(0));
        let more = now.iter().filter_map(|(kind, count)| {
            let before = self.kinds.get(kind).copied().unwrap_or(0).max(usize::from(kind.starts_with('/')));
            (*count > before).then(|| format!(", {} more `{kind}`", count - before))
        });
        more.collect()
    }

    /// The process lives, and holds no more than before.
    async fn recovered(&self, seen: &mut Seen) -> Result<(), String> {
        let lives = self.proxy.admin.get("/livez").await.is_ok_and(|answer| answer.status == 200);
        seen.claim("the process lives", lives, if lives { "yes" } else { "no" });
        if !lives {
            return Ok(());
        }
        let before = self.held();
        let bound = (before.rss_kib * MEMORY).max(before.rss_kib + PAGES_KIB);
        until(RECOVERY, || async { self.holds().is_ok_and(|now| now.rss_kib <= bound) && self.more_open().is_empty() })
            .await;
        let now = self.holds()?;
        seen.claim(
            "memory within 10%",
            now.rss_kib <= bound,
            format!("{:+.1} MiB of {:.0}", (now.rss_kib - before.rss_kib) / 1024.0, before.rss_kib / 1024.0),
        );
        seen.claim(
            "descriptors back",
            self.more_open().is_empty(),
            format!("{} of {}{}", now.descriptors, before.descriptors, self.more_open().concat()),
        );
        Ok(())
    }
}
