//! Orders to the reload task: what admin may ask of it.

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// Asks for a reload. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Reload {
    orders: mpsc::Sender<Order>,
}

/// One order.
#[derive(Debug)]
#[expect(missing_docs, reason = "the text of a variant speaks of its fields")]
pub enum Order {
    /// Read the configuration again, whatever changed.
    Now { reply: oneshot::Sender<Outcome> },
    /// The same because the process was told to by a signal.
    Signalled { reply: oneshot::Sender<Outcome> },
    /// A new version of a policy: proven, kept on disk, swapped in.
    Upload { name: String, wasm: Vec<u8>, reply: oneshot::Sender<Outcome> },
    /// The policies in force.
    Policies { reply: oneshot::Sender<Vec<PolicyReport>> },
    /// Change nothing until `until` is told; when it is dropped instead, end: another process serves.
    Hold { reply: oneshot::Sender<()>, until: oneshot::Receiver<()> },
}

/// What became of a reload.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The generation in force afterwards.
    pub generation: u64,
    /// `swapped`, `unchanged` or `refused`.
    pub outcome: &'static str,
    /// Every problem, as the operator reads it (several lines each).
    pub problems: Vec<String>,
}

/// A policy as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyReport {
    /// Name in the configuration.
    pub name: String,
    /// What the component says of itself.
    pub describes: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of the component that serves; of the quarantined one where none does.
    pub digest: String,
    /// SHA-256 of the component that was quarantined and in whose place the last good one serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined_digest: Option<String>,
    /// `built-in`, a path, or `uploaded`.
    pub source: String,
    /// Services that use it.
    pub services: Vec<String>,
    /// Faults since it was loaded, by label.
    pub faults: std::collections::BTreeMap<String, u64>,
    /// Whether it is quarantined.
    pub quarantined: bool,
}

impl Reload {
    /// A handle, and the end that the reload task reads.
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(16);
        (Self { orders }, inbox)
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(make(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Reads the configuration again. `None`: the proxy is stopping.
    pub async fn now(&self) -> Option<Outcome> {
        self.ask(|reply| Order::Now { reply }).await
    }

    /// The same because the process was told to by a signal. `None`: the proxy is stopping.
    pub async fn signalled(&self) -> Option<Outcome> {
        self.ask(|reply| Order::Signalled { reply }).await
    }

    /// Brings a new version of a policy. `None`: the proxy is stopping.
    pub async fn upload(&self, name: &str, wasm: Vec<u8>) -> Option<Outcome> {
        self.ask(|reply| Order::Upload { name: name.into(), wasm, reply }).await
    }

    /// Changes nothing from now on until the answer is told to go on; see [`Order::Hold`]. `None`: the proxy is stopping.
    pub async fn hold(&self) -> Option<oneshot::Sender<()>> {
        let (go_on, until) = oneshot::channel();
        self.ask(|reply| Order::Hold { reply, until }).await?;
        Some(go_on)
    }

    /// The policies in force. `None`: the proxy is stopping.
    pub async fn policies(&self) -> Option<Vec<PolicyReport>> {
        self.ask(|reply| Order::Policies { reply }).await
    }
}
