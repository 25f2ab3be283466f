//! Active health checks, on a thread of their own: one task a node, each with its own clock.
//!
//! What goes to the control thread is news only (a node changed sides, or fails for another reason), so two thousand
//! checks a second of nodes that are well cost it nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use pointsman_config::plan::HealthCheck;
use pointsman_core::cluster::health::{Health, News};
use pointsman_core::cluster::node::{Address, Incarnation};
use rand::Rng;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::probe::{Outcome, Prober};
use crate::metrics::Metrics;
use crate::world::clock;

/// Time between two first checks, when many nodes come at once: 2,000 a second, the load this thread is built for.
const SLOT: Duration = Duration::from_micros(500);

/// One node under check.
pub(super) struct Target {
    pub(super) service: Arc<str>,
    pub(super) node: Arc<str>,
    pub(super) incarnation: Incarnation,
    pub(super) address: Address,
    pub(super) check: Arc<HealthCheck>,
    /// What is known of it already.
    pub(super) up: Option<bool>,
    pub(super) pulse: Arc<Pulse>,
}

/// What a node's checks say between two pieces of news: written by each, read by whoever asks, so that it need not be
/// sent.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Milliseconds on the server's clock, plus one; 0: never.
    failed_at: AtomicU64,
    /// Checks that passed in a row since somebody began to count.
    passes: AtomicU32,
}

impl Pulse {
    fn failed(&self, now: Duration) {
        self.failed_at.store(now.as_millis() as u64 + 1, Ordering::Relaxed);
        self.passes.store(0, Ordering::Relaxed);
    }

    /// Counts up to a bound that no `rise` is above.
    fn passed(&self) {
        if self.passes.load(Ordering::Relaxed) < u32::MAX {
            self.passes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts passes from here on.
    pub(super) fn count_anew(&self) {
        self.passes.store(0, Ordering::Relaxed);
    }

    pub(super) fn passes(&self) -> u32 {
        self.passes.load(Ordering::Relaxed)
    }

    pub(super) fn failed_at(&self) -> Option<Duration> {
        self.failed_at.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }
}

/// News of one life of a node.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) service: Arc<str>,
    pub(super) node: Arc<str>,
    pub(super) incarnation: Incarnation,
    pub(super) news: News,
}

enum Command {
    Watch(Target),
    Forget(Arc<str>, Arc<str>),
}

/// Tells the checking thread what to check. The thread ends when this is dropped.
pub(super) struct Checker {
    commands: mpsc::UnboundedSender<Command>,
}

impl Checker {
    /// Checks a node from now on, in place of what was checked under its id. An error means that the thread is gone,
    /// which is logged where it ends.
    pub(super) fn watch(&self, target: Target) {
        let _ = self.commands.send(Command::Watch(target));
    }

    /// Checks it no more.
    pub(super) fn forget(&self, service: &Arc<str>, node: &str) {
        let _ = self.commands.send(Command::Forget(Arc::clone(service), node.into()));
    }
}

/// Starts the checking thread.
pub(super) fn start(metrics: Arc<Metrics>) -> std::io::Result<(Checker, mpsc::UnboundedReceiver<Finding>)> {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (findings, news) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("checks".into())
        .spawn(move || runtime.block_on(obey(inbox, findings, metrics)))?;
    Ok((Checker { commands }, news))
}

async fn obey(
    mut inbox: mpsc::UnboundedReceiver<Command>,
    findings: mpsc::UnboundedSender<Finding>,
    metrics: Arc<Metrics>,
) {
    let mut tasks: HashMap<(Arc<str>, Arc<str>), JoinHandle<()>> = HashMap::new();
    let mut slot = Instant::now();
    while let Some(command) = inbox.recv().await {
        let old = match command {
            Command::Watch(target) => {
                slot = slot.max(Instant::now());
                let key = (Arc::clone(&target.service), Arc::clone(&target.node));
                let task = tokio::spawn(watch(target, slot, findings.clone(), Arc::clone(&metrics)));
                slot += SLOT;
                tasks.insert(key, task)
            }
            Command::Forget(service, node) => tasks.remove(&(service, node)),
        };
        if let Some(old) = old {
            old.abort();
        }
    }
}

/// Checks one node until aborted: at once, then at a random point of its interval, so that nodes that came together
/// are not checked together, then every interval.
async fn watch(target: Target, first: Instant, findings: mpsc::UnboundedSender<Finding>, metrics: Arc<Metrics>) {
    let Target { service, node, incarnation, address, check, up, pulse } = target;
    let mut health = match up {
        None => Health::new(check.rise, check.fall),
        Some(up) => Health::known(check.rise, check.fall, up),
    };
    let mut prober = Prober::new(address, &check);
    let mut unable = false;
    let mut spread = 1.0;
    let mut next = first;
    loop {
        tokio::time::sleep_until(next).await;
        let started = Instant::now();
        let outcome = prober.probe().await;
        let now = clock::now();
        let news = match &outcome {
            Outcome::Passed => {
                pulse.passed();
                health.passed()
            }
            Outcome::Failed(reason) => {
                pulse.failed(now);
                health.failed(reason, now)
            }
            Outcome::Unable(_) => None,
        };
        match &outcome {
            // Our own lack of descriptors or ports says nothing of the node.
            Outcome::Unable(why) if !unable => log::warn!("node {node} of {service} cannot be checked: {why}"),
            Outcome::Unable(_) => {}
            Outcome::Passed => metrics.check(&service, true),
            Outcome::Failed(_) => metrics.check(&service, false),
        }
        unable = matches!(outcome, Outcome::Unable(_));
        if let Some(news) = news {
            let finding = Finding { service: Arc::clone(&service), node: Arc::clone(&node), incarnation, news };
            if findings.send(finding).is_err() {
                return;
            }
        }
        // Jitter only ever shortens the wait: `fall` intervals and one timeout stay the bound for seeing a node die.
        let share = 1.0 - spread * rand::thread_rng().r#gen::<f64>();
        next = (started + check.interval.mul_f64(share)).max(Instant::now());
        spread = check.jitter.clamp(0.0, 1.0);
    }
}
