//! What is done to the proxy meanwhile, each kind at its own pace.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::{Admin, Proxy};
use pointsman_demo::node::{self, NodeOptions};
use serde::Serialize;
use serde_json::json;

use crate::fleet::Node;
use crate::watch;

/// From one to the next.
const RELOAD: Duration = Duration::from_millis(700);
const DRAIN: Duration = Duration::from_millis(900);
const KILL: Duration = Duration::from_millis(2500);
const GUEST: Duration = Duration::from_millis(400);
/// Upgrades fall into this share of the time, at most one a minute but two at least: so the last process lives for long.
const UPGRADES: f64 = 0.6;
/// While an upgrade hands over, the operators' API answers nobody, or says that it will be back.
const PATIENCE: Duration = Duration::from_secs(40);
const AGAIN: Duration = Duration::from_millis(50);

/// How often something was done, and what was said where it was not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Made {
    pub(super) done: u64,
    pub(super) refused: Vec<String>,
}

/// Where it is played.
pub(super) struct Stage {
    admin: Admin,
    config: PathBuf,
    yaml: String,
    began: Instant,
    length: Duration,
    pid: Cell<u32>,
    /// Nodes that are drained or dead just now, by index: never the same one, so that a third serves.
    drained: Cell<Option<usize>>,
    dead: Cell<Option<usize>>,
    made: RefCell<BTreeMap<&'static str, Made>>,
}

impl Stage {
    /// `yaml`: with the harness's marks.
    pub(super) fn new(proxy: &Proxy, yaml: &str, length: Duration) -> Self {
        let yaml =
            yaml.replace("@listen@", &proxy.addr().to_string()).replace("@admin@", &proxy.admin.address().to_string());
        Self {
            admin: proxy.admin.clone(),
            config: proxy.config(),
            yaml,
            began: Instant::now(),
            length,
            pid: Cell::new(proxy.pid().unwrap_or(0)),
            drained: Cell::new(None),
            dead: Cell::new(None),
            made: RefCell::default(),
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.began.elapsed() < self.length
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Who serves.
    pub(super) fn pid(&self) -> u32 {
        self.pid.get()
    }

    pub(super) fn made(self) -> BTreeMap<&'static str, Made> {
        self.made.into_inner()
    }

    /// How often each was done so far.
    pub(super) fn told(&self) -> String {
        let made = self.made.borrow();
        let one = |(name, made): (&&str, &Made)| match made.refused.len() {
            0 => format!("{} {name}", made.done),
            refused => format!("{} {name} ({refused} refused)", made.done),
        };
        made.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn note(&self, what: &'static str, outcome: Result<(), String>) {
        let mut all = self.made.borrow_mut();
        let made = all.entry(what).or_default();
        match outcome {
            Ok(()) => made.done += 1,
            Err(why) => {
                eprintln!("soak {:4.0} s: {what}: {why}", self.seconds());
                made.refused.push(why);
            }
        }
    }

    /// Asks the operators' API until it answers.
    async fn ask(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> Result<Answer, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = Request::new(method, path);
            let request = match &body {
                Some(body) => request.json(body),
                None => request,
            };
            let why = match self.admin.send(request).await {
                Ok(answer) if answer.status == 503 => answer.text(),
                Ok(answer) if answer.status < 300 => return Ok(answer),
                Ok(answer) => return Err(format!("{method} {path}: {} {}", answer.status, answer.text())),
                Err(problem) => problem.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(format!("{method} {path}: {why}"));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Another configuration each time: a bound of the checks, and a route that was not there.
    pub(super) async fn reload(&self) {
        let mut number = 0;
        while self.goes_on() {
            tokio::time::sleep(RELOAD).await;
            number += 1;
            let route = format!("routes:\n  - {{ match: {{ path: /turn-{number} }}, service: api }}");
            let yaml = self.yaml.replace("fall: 2", ["fall: 2", "fall: 3"][number % 2]).replace("routes:", &route);
            let aside = self.config.with_extension("next");
            let written = std::fs::write(&aside, yaml).and_then(|()| std::fs::rename(&aside, &self.config));
            let outcome = match written {
                Ok(()) => self.ask("POST", "/v1/config/reload", None).await,
                Err(problem) => Err(problem.to_string()),
            };
            // `unchanged`: the watch over the file was quicker than this order.
            let outcome = outcome.and_then(|answer| {
                let said = answer.json().map_err(|problem| problem.to_string())?;
                if said["outcome"] == "swapped" || said["outcome"] == "unchanged" {
                    Ok(())
                } else {
                    Err(said.to_string())
                }
            });
            self.note("reloads", outcome);
        }
    }

    /// Each node in turn takes nothing new for a while.
    pub(super) async fn drain(&self, ids: &[String]) {
        for at in (0..ids.len()).cycle() {
            if !self.goes_on() {
                break;
            }
            if self.dead.get() != Some(at) {
                self.drained.set(Some(at));
                let path = format!("/v1/services/api/nodes/{}", ids[at]);
                let drained = self.ask("POST", &format!("{path}/drain"), None).await;
                tokio::time::sleep(DRAIN / 2).await;
                let back = self.ask("POST", &format!("{path}/undrain"), None).await;
                self.note("drains", drained.and(back).map(drop));
                self.drained.set(None);
            }
            tokio::time::sleep(DRAIN / 2).await;
        }
    }

    /// `kill -9` of each node in turn, until it is found dead, and its return.
    pub(super) async fn kill(&self, nodes: &mut [Node]) {
        for at in (0..nodes.len()).cycle() {
            tokio::time::sleep(KILL).await;
            if !self.goes_on() {
                break;
            }
            if self.drained.get() == Some(at) {
                continue;
            }
            self.dead.set(Some(at));
            let outcome = self.died_and_back(&mut nodes[at]).await;
            self.note("deaths of nodes", outcome);
            self.dead.set(None);
        }
    }

    async fn died_and_back(&self, node: &mut Node) -> Result<(), String> {
        node.kill()?;
        let down = self.stands(&node.id, "down").await;
        node.revive()?;
        down?;
        self.stands(&node.id, "up").await
    }

    async fn stands(&self, id: &str, wanted: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match watch::standing(&self.admin, "api", id, wanted).await {
                Ok(_) => return Ok(()),
                Err(why) if Instant::now() >= deadline => return Err(why),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    /// A node that joins, serves for a moment and leaves.
    pub(super) async fn guests(&self) {
        let guest = match node::start(NodeOptions::new("guest")) {
            Ok(guest) => guest,
            Err(problem) => return self.note("joins and leaves", Err(problem.to_string())),
        };
        for number in (0..4).cycle() {
            if !self.goes_on() {
                break;
            }
            let path = format!("/v1/services/api/nodes/guest-{number}");
            let joined = self.ask("PUT", &path, Some(json!({ "address": guest.addr, "ttl": "60s" }))).await;
            tokio::time::sleep(GUEST).await;
            let left = self.ask("DELETE", &path, None).await;
            self.note("joins and leaves", joined.and(left).map(drop));
            tokio::time::sleep(GUEST / 2).await;
        }
    }

    /// The process is replaced a few times; the last one stays.
    pub(super) async fn upgrade(&self, proxy: &mut Proxy) {
        let times = (self.length.as_secs() / 60).clamp(2, 6);
        for number in 1..=times {
            let due = self.length.mul_f64(UPGRADES * number as f64 / times as f64);
            tokio::time::sleep(due.saturating_sub(self.began.elapsed())).await;
            self.note("upgrades", self.replace(proxy).await);
        }
    }

    async fn replace(&self, proxy: &mut Proxy) -> Result<(), String> {
        let problem = |problem: std::io::Error| problem.to_string();
        let config = self.config.display().to_string();
        let said = proxy.command(&["upgrade", "-c", &config]).await.map_err(problem)?;
        let text =
            String::from_utf8_lossy(if said.status.success() { &said.stdout } else { &said.stderr }).into_owned();
        let pid = text.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).filter(|_| said.status.success());
        let pid = pid.ok_or(text)?;
        proxy.upgraded(pid).map_err(problem)?;
        self.pid.set(pid);
        Ok(())
    }
}
