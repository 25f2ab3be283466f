//! Where a play is played: the proxy, its nodes, the clock, and what is written down meanwhile.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use pointsman_demo::harness::{Proxy, ProxyOptions};
use serde::Serialize;
use tempfile::TempDir;

use crate::Terms;
use crate::claim::Claim;
use crate::drive::{Load, Pace, Shape, Story};
use crate::fleet::{Node, Recipe};
use crate::shot::Shot;

/// A policy sees a new membership within so long of the event that tells of it, on either side.
const AROUND: Duration = Duration::from_millis(50);

/// Something that was done to a node, and when.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) what: &'static str,
    pub(crate) node: String,
    pub(crate) from: Duration,
    /// When it was done: a killed node is gone.
    pub(crate) done: Duration,
    /// When the proxy had seen it.
    pub(crate) until: Duration,
}

/// A part of the play.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// What was asked for, for the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Asked {
    pub(crate) what: &'static str,
    pub(crate) value: String,
}

/// A play under way.
pub(crate) struct Stage {
    pub(crate) terms: Terms,
    pub(crate) clock: Instant,
    began: SystemTime,
    options: ProxyOptions,
    pub(crate) proxy: Proxy,
    pub(crate) nodes: Vec<Node>,
    folder: TempDir,
    pub(crate) shots: Vec<Shot>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) asked: Vec<Asked>,
}

impl Stage {
    /// Starts the proxy with the configuration of that name, on free ports and with its files in a folder of its own.
    pub(crate) async fn start(terms: &Terms, name: &str) -> Result<Self, String> {
        let path = terms.configurations.join(format!("{name}.yaml"));
        let yaml = std::fs::read_to_string(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
        let options = ProxyOptions::new(&terms.pointsman, &movable(&yaml, name)).arguments(&["--threads", "2"]);
        let proxy = Proxy::start_with(options.clone()).await.map_err(|problem| problem.to_string())?;
        let folder = tempfile::tempdir().map_err(|problem| problem.to_string())?;
        Ok(Self {
            terms: terms.clone(),
            clock: Instant::now(),
            began: SystemTime::now(),
            options,
            proxy,
            nodes: Vec::new(),
            folder,
            shots: Vec::new(),
            marks: Vec::new(),
            phases: Vec::new(),
            claims: Vec::new(),
            asked: Vec::new(),
        })
    }

    /// Starts another proxy with the same configuration, where the nodes are known too. They join the first alone: the others
    /// are told of them, and hear no more.
    pub(crate) async fn another_proxy(&self) -> Result<Proxy, String> {
        let problem = |problem: std::io::Error| problem.to_string();
        let proxy = Proxy::start_with(self.options.clone()).await.map_err(problem)?;
        for node in &self.nodes {
            for service in &node.recipe.services {
                let join = serde_json::json!({ "address": node.address, "ordinal": node.recipe.ordinal, "ttl": "1h" });
                proxy
                    .admin
                    .put(&format!("/v1/services/{service}/nodes/{}", node.id()), &join)
                    .await
                    .map_err(problem)?;
                proxy.admin.node_is(service, node.id(), "up").await.map_err(problem)?;
            }
        }
        Ok(proxy)
    }

    /// Starts a node.
    pub(crate) fn node(&mut self, recipe: Recipe) -> Result<(), String> {
        let (tools, admin) = (self.terms.tools.clone(), self.proxy.admin.address());
        let node = Node::start(recipe, self.nodes.len() + 1, &tools, admin, self.folder.path())?;
        self.nodes.push(node);
        Ok(())
    }

    /// Waits until every service that a node joins sees it so.
    pub(crate) async fn is(&self, id: &str, standing: &str) -> Result<(), String> {
        let node = self.nodes.iter().find(|node| node.id() == id).ok_or_else(|| format!("no node {id}"))?;
        for service in &node.recipe.services {
            let seen = self.proxy.admin.node_is(service, id, standing).await;
            seen.map_err(|problem| problem.to_string())?;
        }
        Ok(())
    }

    /// Does something to a node, waits until the proxy sees it so, and writes it down.
    pub(crate) async fn act(&mut self, act: Act, id: &str) -> Result<(), String> {
        let from = self.now();
        let node = self.nodes.iter_mut().find(|node| node.id() == id).ok_or_else(|| format!("no node {id}"))?;
        match act {
            Act::Kill => node.kill().await?,
            Act::Restart => node.revive()?,
            Act::Leave => node.stop().await?,
        }
        let done = self.now();
        // A lease may lapse before the proxy is asked: a node that is gone is as good as down.
        let seen = match act {
            Act::Kill => self.gone(id).await,
            Act::Restart => self.is(id, "up").await,
            Act::Leave => self.is(id, "absent").await,
        };
        seen?;
        self.mark(act.word(), id, from, done);
        Ok(())
    }

    /// Waits until no service sees the node as one that takes requests.
    async fn gone(&self, id: &str) -> Result<(), String> {
        let node = self.nodes.iter().find(|node| node.id() == id).ok_or_else(|| format!("no node {id}"))?;
        for service in &node.recipe.services {
            let path = format!("/v1/services/{service}");
            let down = |answer: &pointsman_demo::client::Answer| {
                let Ok(report) = answer.json() else { return false };
                let mut nodes = report["nodes"].as_array().into_iter().flatten();
                answer.status == 200
                    && nodes.find(|node| node["id"] == id).is_none_or(|node| node["standing"] == "down")
            };
            self.proxy.admin.answers(&path, down).await.map_err(|problem| problem.to_string())?;
        }
        Ok(())
    }

    /// Writes down that something was done to a node from `from` to `done`, and that the proxy has seen it now.
    pub(crate) fn mark(&mut self, what: &'static str, id: &str, from: Duration, done: Duration) {
        let until = self.now();
        self.terms.say(&format!("{what} {id}"));
        self.marks.push(Mark { what, node: id.into(), from, done, until });
    }

    /// The marks of that kind.
    pub(crate) fn marked<'a>(&'a self, what: &'a str) -> impl Iterator<Item = &'a Mark> {
        self.marks.iter().filter(move |mark| mark.what == what)
    }

    /// Whether it may have been lost with a node: it may not be tried again, and was under way while one was killed.
    pub(crate) fn was_lost(&self, shot: &Shot) -> bool {
        shot.was_cut() && !shot.safe && self.marked("kill").any(|mark| shot.meets(mark.from, mark.done))
    }

    /// How many requests may be tried again, and how many may not.
    pub(crate) fn by_safety(&self) -> (u64, u64) {
        let safe = self.shots.iter().filter(|shot| shot.safe).count();
        (safe as u64, (self.shots.len() - safe) as u64)
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Begins a load.
    pub(crate) fn load(&self, pace: Pace, connections: usize, stories: u64, story: impl Story) -> Result<Load, String> {
        Load::start(self.clock, Shape { to: self.proxy.addr(), pace, connections, stories }, story)
    }

    /// Waits for the end of a load and keeps its requests. A phase of that name begins with `from`.
    pub(crate) async fn gather(&mut self, load: Load, phase: &str, from: Duration) -> Result<(), String> {
        while !load.is_over() {
            self.terms.progress(phase, load.counts());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.terms.progress_ends(phase, load.counts());
        let shots = load.shots().await?;
        if shots.is_empty() {
            return Err(format!("{phase}: not one request was made"));
        }
        self.shots.extend(shots);
        self.phases.push(Phase { name: phase.into(), from, until: self.now() });
        Ok(())
    }

    /// Says what was asked for.
    pub(crate) fn asks(&mut self, what: &'static str, value: impl ToString) {
        self.asked.push(Asked { what, value: value.to_string() });
    }

    /// The requests of a phase.
    pub(crate) fn within(&self, phase: &str) -> Vec<&Shot> {
        let of = |shot: &&Shot| self.phases.iter().any(|known| known.name == phase && known.holds(shot));
        self.shots.iter().filter(of).collect()
    }

    /// When the membership of a service changed, by the proxy's own events, each with some time around it.
    pub(crate) async fn changes(&self, service: &str) -> Result<Vec<(Duration, Duration)>, String> {
        let seen = crate::events::all(self.proxy.admin.address()).await?;
        let began = self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let of_service = seen.into_iter().filter(|event| event.service == service && event.changes_members());
        let at = of_service.map(|event| Duration::from_millis(event.at_ms).saturating_sub(began));
        Ok(at.map(|at| (at.saturating_sub(AROUND), at + AROUND)).collect())
    }

    /// Who was primary of a service from when to when, by the proxy's own events.
    pub(crate) async fn reigns(&self, service: &str) -> Result<Vec<Reign>, String> {
        let seen = crate::events::all(self.proxy.admin.address()).await?;
        let began = self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut reigns: Vec<Reign> = Vec::new();
        for event in seen.into_iter().filter(|event| event.service == service) {
            let at = Duration::from_millis(event.at_ms).saturating_sub(began);
            match event.kind.as_str() {
                "primary-elected" => {
                    reigns.push(Reign { node: event.node, from: at.saturating_sub(AROUND), until: Duration::MAX });
                }
                "primary-deposed" => reigns.last_mut().into_iter().for_each(|reign| reign.until = at + AROUND),
                _ => {}
            }
        }
        if reigns.is_empty() { Err(format!("the proxy told of no primary of {service}")) } else { Ok(reigns) }
    }

    /// Who is primary of a service, as soon as there is one.
    pub(crate) async fn primary(&self, service: &str) -> Result<String, String> {
        let path = format!("/v1/services/{service}/primary");
        let answer = self.proxy.admin.answers(&path, |answer| answer.status == 200).await;
        let told = answer.and_then(|answer| answer.json()).map_err(|problem| problem.to_string())?;
        told["id"].as_str().map(str::to_owned).ok_or_else(|| format!("{path} names nobody: {told}"))
    }

    /// What all nodes have counted under that name: the sum, or the largest where the name says so.
    pub(crate) async fn counted(&self, name: &str) -> Result<u64, String> {
        let mut all = Vec::new();
        for node in &self.nodes {
            all.push(node.counted(name).await?);
        }
        Ok(if name.starts_with("most") { all.into_iter().max().unwrap_or(0) } else { all.into_iter().sum() })
    }

    /// Ids of requests that stand in the nodes' ledgers.
    pub(crate) fn ran(&self) -> Result<Ran, String> {
        let problem = |problem: std::io::Error| format!("the ledgers: {problem}");
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).map_err(problem)? {
            texts.push(std::fs::read_to_string(entry.map_err(problem)?.path()).map_err(problem)?);
        }
        Ok(Ran::of(texts.iter().map(String::as_str)))
    }
}

/// Someone was primary.
#[derive(Debug, Clone)]
pub(crate) struct Reign {
    pub(crate) node: String,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// What ran, as ledgers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Different ids.
    pub(crate) ids: u64,
    /// Those of them that stand there more than once.
    pub(crate) twice: u64,
}

impl Ran {
    /// A line of a ledger is `KIND/KEY<TAB>ID<TAB>NODE`; what runs twice without harm has no id.
    fn of<'a>(ledgers: impl Iterator<Item = &'a str>) -> Self {
        let ids = ledgers.flat_map(str::lines).filter_map(|line| line.split('\t').nth(1));
        let mut ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
        ids.sort_unstable();
        let same = || ids.chunk_by(|one, two| one == two);
        Self { ids: same().count() as u64, twice: same().filter(|same| same.len() > 1).count() as u64 }
    }
}

impl Phase {
    pub(crate) fn holds(&self, shot: &Shot) -> bool {
        shot.due >= self.from && shot.due < self.until
    }
}

/// What is done to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// `kill -9`.
    Kill,
    /// Back after a kill or a leave, where it was.
    Restart,
    /// SIGTERM: it leaves on its own.
    Leave,
}

impl Act {
    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Leave => "leave",
        }
    }
}

/// The configuration as users copy it, but on ports that the harness gives and with its files beside it.
fn movable(yaml: &str, name: &str) -> String {
    yaml.replace("127.0.0.1:8080", "\"@listen@\"")
        .replace("127.0.0.1:9901", "\"@admin@\"")
        .replace(&format!("../../var/{name}/"), "")
}

/// Programs run in folders of their own, so a relative path would lead nowhere.
pub(crate) fn whole(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|problem| format!("{}: {problem}; build it first", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_stands_in_two_ledgers_ran_twice() {
        let ledgers = ["order/1\tr-1\ta\norder/2\tr-2\ta\nuser/7\t\ta\n", "order/1\tr-1\tb\nuser/7\t\tb\n"];
        assert_eq!(Ran::of(ledgers.into_iter()), Ran { ids: 2, twice: 1 });
        assert_eq!(Ran::of(["user/7\t\ta\n"].into_iter()), Ran { ids: 0, twice: 0 });
    }
}
