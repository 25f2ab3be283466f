//! What every row stands on: the real proxy with a configuration, a node of another route with load on it, and the oracle
//! that judges afterwards what holds on every row.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::Proxy;
use pointsman_demo::load::{self, LoadOptions, Report};

use crate::seen::Seen;
use crate::watch;

pub(crate) mod gauges;
mod oracle;
mod process;
pub(crate) mod puppet;
mod setup;
pub(crate) mod wire;

pub(crate) use gauges::{Holds, Metrics};
pub(crate) use oracle::Cause;
pub(crate) use process::{Process, Tool};
pub(crate) use puppet::{Manner, Puppet};
pub(crate) use setup::Setup;
pub(crate) use wire::{Harm, Wire};

/// A proxy under load, and what it held before.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
    yaml: String,
    other: Puppet,
    load: Option<load::Running>,
    quiet: Report,
    before: Holds,
    kinds: std::collections::BTreeMap<String, usize>,
    metrics: Metrics,
    logged: usize,
    run: String,
    number: AtomicU64,
    acknowledged: Mutex<Vec<String>>,
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The answer, or what went wrong instead.
    pub(crate) answer: Result<Answer, std::io::Error>,
    pub(crate) took: Duration,
}

impl Reply {
    /// Status; 0 without an answer.
    pub(crate) fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status)
    }
}

/// Requests a second at the other route.
const RATE: f64 = 100.0;

impl Rig {
    /// Notes what the proxy holds while it is quiet, and lets load run on the other route from now on.
    pub(crate) async fn begin(&mut self) -> Result<(), String> {
        let empty = self.holds()?.descriptors;
        let options = LoadOptions { end: load::End::Requests(150), ..self.other_load("quiet") };
        self.quiet = load::start(options).map_err(|problem| problem.to_string())?.finish().await;
        if self.quiet.failed > 0 {
            return Err(format!("before the fault {} requests failed: {:?}", self.quiet.failed, self.quiet.samples));
        }
        // Pooled connections to nodes are let go of after a second; a file that the first request opened stays.
        let settled = Instant::now() + Duration::from_secs(4);
        while self.holds()?.descriptors > empty && Instant::now() < settled {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.before = self.holds()?;
        self.kinds = gauges::kinds(self.proxy.pid().unwrap_or(0));
        self.metrics = self.metrics().await?;
        self.logged = self.log().len();
        self.load = Some(load::start(self.other_load("other")).map_err(|problem| problem.to_string())?);
        Ok(())
    }

    fn other_load(&self, name: &str) -> LoadOptions {
        let mut options = LoadOptions::new(self.proxy.addr())
            .ask("GET", "/other/get")
            .header("x-request-unique", &format!("{name}-{{run}}-{{n}}"))
            .connections(4)
            .rate(RATE)
            .check(|_, node| node == b"other-1");
        let post = load::Ask { share: 1, method: "POST".into(), target: load::Template::text("/other/post") };
        options.mix.push(post);
        options
    }

    /// Load on the faulty service, each request with an id of its own.
    pub(crate) fn load(&self, method: &str, path: &str, connections: usize) -> LoadOptions {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        LoadOptions::new(self.proxy.addr())
            .ask(method, path)
            .header("x-request-unique", &format!("{method}{number}-{{run}}-{{n}}"))
            .connections(connections)
    }

    /// One request on a connection of its own, with an id of its own.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Reply {
        self.send(Request::new(method, path)).await
    }

    /// As [`Rig::ask`], with headers or a body.
    pub(crate) async fn send(&self, request: Request) -> Reply {
        let id = format!("{}-ask-{}", self.run, self.number.fetch_add(1, Ordering::Relaxed));
        let request = request.header("x-request-unique", &id).patience(Duration::from_secs(40));
        let began = Instant::now();
        let answer = request.send(self.proxy.addr()).await;
        let took = began.elapsed();
        if answer.as_ref().is_ok_and(|answer| answer.status < 300) {
            self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
        Reply { answer, took }
    }

    /// The configuration with which it was started, marks included.
    pub(crate) fn yaml(&self) -> &str {
        &self.yaml
    }

    /// Requests at the other route that failed since [`Rig::begin`].
    pub(crate) fn others_failed(&self) -> u64 {
        self.load.as_ref().map_or(0, |load| load.counts().failed)
    }

    /// Waits until so many more requests of the other route have ended.
    pub(crate) async fn others(&self, further: u64) {
        if let Some(load) = &self.load {
            load.further(further).await;
        }
    }

    /// Ends the load on the other route before [`Rig::judge`] does, where the fault to come ends the proxy itself.
    pub(crate) async fn hush(&mut self, seen: &mut Seen) {
        self.others_unharmed(seen).await;
    }

    /// The metrics now.
    pub(crate) async fn metrics(&self) -> Result<Metrics, String> {
        let answer = self.proxy.admin.get("/metrics").await.map_err(|problem| format!("/metrics: {problem}"))?;
        Ok(Metrics(answer.text()))
    }

    /// By how much a metric has moved since [`Rig::begin`].
    pub(crate) async fn moved(&self, family: &str, labels: &[&str]) -> Result<f64, String> {
        Ok(self.metrics().await?.sum(family, labels) - self.metrics.sum(family, labels))
    }

    /// Waits until a node of `/fault` stands as wanted.
    pub(crate) async fn standing(&self, node: &str, wanted: &str) -> Result<(), String> {
        watch::standing(&self.proxy.admin, "fault", node, wanted).await.map(drop)
    }

    /// Waits until a node of `/fault` takes requests.
    pub(crate) async fn up(&self, node: &str) -> Result<(), String> {
        self.standing(node, "up").await
    }

    /// Waits until a node that was killed and started again was found dead, and is up.
    pub(crate) async fn down_and_up(&self, node: &str) -> Result<(), String> {
        let labels = [format!("node=\"{node}\""), "to=\"down\"".to_owned()];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        // It may be back before anybody looked, and never have been down.
        until(Duration::from_millis(300), || async {
            self.moved("pointsman_health_transitions_total", &labels).await.is_ok_and(|by| by > 0.0)
        })
        .await;
        self.up(node).await
    }

    /// Waits until so many requests of a service are under way.
    pub(crate) async fn in_flight(&self, service: &str, wanted: f64) -> Result<(), String> {
        let label = format!("service=\"{service}\"");
        let labels = [label.as_str()];
        let there = until(Duration::from_secs(20), || async {
            self.metrics().await.is_ok_and(|now| now.sum("pointsman_node_in_flight", &labels) >= wanted)
        });
        if there.await { Ok(()) } else { Err(format!("never were {wanted} requests of {service} under way")) }
    }

    /// What the process holds now.
    pub(crate) fn holds(&self) -> Result<Holds, String> {
        gauges::look(self.proxy.pid().ok_or("the proxy has ended")?)
    }

    /// What it held before the fault.
    pub(crate) fn held(&self) -> Holds {
        self.before
    }

    /// The access log and what the proxy said.
    fn log(&self) -> String {
        let access = std::fs::read(self.proxy.folder().join("access.log")).unwrap_or_default();
        String::from_utf8_lossy(&access).into_owned()
    }
}

/// Waits for something that another process does, up to `patience`; whether it came.
pub(crate) async fn until<F: Future<Output = bool>>(patience: Duration, mut ask: impl FnMut() -> F) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if ask().await {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
