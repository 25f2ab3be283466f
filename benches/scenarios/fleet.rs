//! Demo nodes, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use pointsman_benches::process;
use pointsman_demo::client::Request;
use serde_json::Value;

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recipe {
    pub(crate) id: String,
    pub(crate) ordinal: Option<u64>,
    pub(crate) weight: Option<u32>,
    /// Services that it joins.
    pub(crate) services: Vec<&'static str>,
    /// Life of its lease.
    pub(crate) ttl: &'static str,
    /// Name of its ledger; nodes of the same name share one.
    pub(crate) ledger: String,
    /// Further arguments of `demo-node`.
    pub(crate) also: Vec<String>,
}

impl Recipe {
    pub(crate) fn new(id: &str, services: &[&'static str]) -> Self {
        Self { id: id.into(), services: services.to_vec(), ttl: "10s", ledger: id.into(), ..Self::default() }
    }

    pub(crate) fn ordinal(mut self, ordinal: u64) -> Self {
        self.ordinal = Some(ordinal);
        self
    }

    pub(crate) fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    pub(crate) fn ttl(mut self, ttl: &'static str) -> Self {
        self.ttl = ttl;
        self
    }

    pub(crate) fn ledger(mut self, name: &str) -> Self {
        self.ledger = name.into();
        self
    }

    pub(crate) fn also(mut self, arguments: &[&str]) -> Self {
        self.also.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn arguments(&self, address: SocketAddr, admin: SocketAddr, folder: &Path) -> Vec<String> {
        let mut pairs = vec![
            ("--id", self.id.clone()),
            ("--listen", address.to_string()),
            ("--join", format!("http://{admin}")),
            ("--ttl", self.ttl.to_owned()),
            ("--ledger", folder.join(&self.ledger).display().to_string()),
        ];
        pairs.extend(self.services.iter().map(|service| ("--service", (*service).to_owned())));
        pairs.extend(self.ordinal.map(|ordinal| ("--ordinal", ordinal.to_string())));
        pairs.extend(self.weight.map(|weight| ("--weight", weight.to_string())));
        let pairs = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        pairs.chain(self.also.iter().cloned()).collect()
    }
}

/// A node, alive or dead. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) recipe: Recipe,
    pub(crate) address: SocketAddr,
    binary: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
    /// What its earlier lives said of themselves before they ended.
    past: Vec<Value>,
}

impl Node {
    /// Starts it as number so-and-so of the play, with its ledger in `folder`.
    pub(crate) fn start(
        recipe: Recipe,
        number: usize,
        tools: &Path,
        admin: SocketAddr,
        folder: &Path,
    ) -> Result<Self, String> {
        let address = process::address(number as u64)?;
        let arguments = recipe.arguments(address, admin, folder);
        let binary = tools.join("demo-node");
        let mut node = Self { recipe, address, binary, arguments, child: None, past: Vec::new() };
        node.revive()?;
        Ok(node)
    }

    pub(crate) fn id(&self) -> &str {
        &self.recipe.id
    }

    /// Starts it, again or for the first time, on its address.
    pub(crate) fn revive(&mut self) -> Result<(), String> {
        self.child = Some(process::launch(&self.binary, &self.arguments, Stdio::null())?);
        Ok(())
    }

    /// `kill -9`, and waits until it is gone. What it has counted is asked for just before.
    pub(crate) async fn kill(&mut self) -> Result<(), String> {
        self.remember().await?;
        self.end(libc::SIGKILL)
    }

    /// SIGTERM, and waits until it has left and ended.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        self.remember().await?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        process::signal(&child, libc::SIGTERM)?;
        // It asks the proxy to let go of it first, and the load goes on meanwhile: nothing here may block.
        let ended = tokio::task::spawn_blocking(move || child.wait());
        ended.await.map_err(|problem| problem.to_string())?.map_err(|problem| problem.to_string()).map(drop)
    }

    /// What it has counted, over all its lives: the sum, or the largest where a name says so.
    /// What it does not tell is no zero.
    pub(crate) async fn counted(&self, name: &str) -> Result<u64, String> {
        let now = self.stats().await?;
        let lives = self.past.iter().chain(&now);
        let all: Vec<u64> = lives.map(|stats| number(&self.recipe.id, stats, name)).collect::<Result<_, _>>()?;
        Ok(if name.starts_with("most") { all.into_iter().max().unwrap_or(0) } else { all.into_iter().sum() })
    }

    async fn remember(&mut self) -> Result<(), String> {
        let now = self.stats().await?;
        self.past.extend(now);
        Ok(())
    }

    /// `None` if it is dead, as it should be.
    async fn stats(&self) -> Result<Option<Value>, String> {
        if self.child.is_none() {
            return Ok(None);
        }
        let told = Request::get("/stats").send(self.address).await.and_then(|answer| answer.json());
        told.map(Some).map_err(|problem| format!("{}: /stats: {problem}", self.id()))
    }

    fn end(&mut self, signal: i32) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        process::signal(&child, signal)?;
        child.wait().map(drop).map_err(|problem| format!("{}: {problem}", self.id()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.end(libc::SIGKILL);
    }
}

/// What a node says of itself under that name.
fn number(id: &str, stats: &Value, name: &str) -> Result<u64, String> {
    stats[name].as_u64().ok_or_else(|| format!("{id}: /stats has no number `{name}`: {stats}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_node_does_not_tell_is_no_zero() {
        let told = serde_json::json!({ "over": 3 });
        assert_eq!(number("web-1", &told, "over"), Ok(3));
        assert!(number("web-1", &told, "misrouted").is_err_and(|problem| problem.contains("`misrouted`")));
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let past = vec![told.clone(), told];
        let mut node = Node {
            recipe: Recipe::new("web-1", &[]),
            address,
            binary: "".into(),
            arguments: vec![],
            child: None,
            past,
        };
        assert_eq!(node.counted("over").await, Ok(6));
        assert!(node.counted("requests").await.is_err());
        // A process that lives and does not answer: nothing listens on the discard port.
        let child = std::process::Command::new("sleep").arg("60").spawn();
        node.child = Some(child.expect("sleep"));
        assert!(node.counted("over").await.is_err_and(|problem| problem.contains("/stats")));
    }
}
