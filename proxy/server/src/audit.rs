//! The audit: who changed what, one JSON line a change, on disk before whoever asked is answered.
//!
//! A change is made only where its line has room: room is set aside on the disk beforehand, so that a full disk
//! refuses the change and never loses its line (`on_error: go-on` makes it all the same). One thread writes; lines that
//! come together share a sync.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use pointsman_config::plan::{self, OnAuditError};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::access_log::stamp;
use crate::metrics::Metrics;
use crate::world::bus::Bus;

mod journal;
mod writer;

use writer::{Order, Reply, Writer};

/// What a line says.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When it was written, in UTC (RFC 3339).
    #[serde(serialize_with = "stamp::serialize")]
    pub time: SystemTime,
    /// A token's name, `loopback` where there are no tokens, `nobody` without a right one; `file` and `signal` where the
    /// proxy acted for these; `user 0` and the like where the system says who asked.
    pub who: String,
    /// Where they asked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SocketAddr>,
    /// What they asked for: `join`, `leave`, `drain`, `undrain`, `lower-mark`, `reassign-owners`, `release-owner`,
    /// `upload-policy`, `reload`, `upgrade`.
    pub what: &'static str,
    /// The service that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The node that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The policy that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Of keys: `from` which node, `key` where it was one, `to` whom, how many `moved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<Value>,
    /// As it was.
    pub before: Value,
    /// As it is now.
    pub after: Value,
    /// `done`, `unchanged` or `refused`.
    pub outcome: &'static str,
    /// Why it was refused, as the problem names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Record {
    /// One that is filled in further by whoever knows more.
    pub fn new(who: impl Into<String>, what: &'static str) -> Self {
        Self {
            time: SystemTime::now(),
            who: who.into(),
            from: None,
            what,
            service: None,
            node: None,
            policy: None,
            given: None,
            before: Value::Null,
            after: Value::Null,
            outcome: "done",
            reason: None,
        }
    }
}

/// Why a change cannot be written down.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unwritable {
    /// The disk says so.
    #[error("the audit cannot be written: {0}")]
    Failed(String),
    /// Another process has the file, and answers whoever asks for changes.
    #[error("another process writes the audit")]
    Elsewhere,
}

/// Writes down changes. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Audit {
    /// `None`: nothing is written down.
    orders: Option<mpsc::Sender<Order>>,
    refuses: bool,
}

impl Audit {
    /// Starts the thread that writes. Until [`Audit::open`] changes wait: another process may have the file.
    pub fn closed(plan: Option<&plan::Audit>, metrics: &Arc<Metrics>, bus: &Bus) -> io::Result<Self> {
        let Some(plan) = plan else { return Ok(Self::off()) };
        let writer = Writer::new(plan, Arc::clone(metrics), bus.clone());
        let (orders, inbox) = mpsc::channel();
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&inbox))?;
        Ok(Self { orders: Some(orders), refuses: plan.on_error == OnAuditError::Refuse })
    }

    /// Opens the file, repairs its end if a crash tore it, and lets changes go on. An error: the file cannot be opened,
    /// which is tried again with each change.
    pub async fn open(&self) -> Result<(), Unwritable> {
        self.order(|reply| Order::Open { reply }).await
    }

    /// Lets further changes wait; those that have room may still be written down.
    pub fn hold(&self) {
        self.tell(Order::Hold);
    }

    /// Closes the file, for another process to open it: once every change that has room is written down, and within
    /// `patience` even if some are not. Their lines wait in memory until it is opened again.
    pub async fn close(&self, patience: Duration) -> Result<(), Unwritable> {
        let until = Instant::now() + patience;
        self.order(|reply| Order::Close { until, reply }).await
    }

    /// Another process has the file from now on: changes that wait are refused.
    pub fn leave(&self) {
        self.tell(Order::Leave);
    }

    /// One that writes nothing down.
    pub fn off() -> Self {
        Self { orders: None, refuses: false }
    }

    /// As [`Audit::order`]; where changes are made even without their lines, nothing is an error.
    async fn ask(&self, make: impl FnOnce(Reply) -> Order) -> Result<(), Unwritable> {
        let outcome = self.order(make).await;
        if self.refuses { outcome } else { Ok(()) }
    }

    async fn order(&self, make: impl FnOnce(Reply) -> Order) -> Result<(), Unwritable> {
        let Some(orders) = &self.orders else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let gone = || Unwritable::Failed("its thread has ended".into());
        orders.send(make(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone()).and_then(|outcome| outcome)
    }

    fn tell(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // An error means that the thread has ended, and what it held with it.
            let _ = orders.send(order);
        }
    }

    /// Sets room aside for the line of a change that is about to be made. An error: it must not be made. Each success
    /// is followed by one [`Audit::record`] or [`Audit::nothing`].
    pub async fn room(&self) -> Result<(), Unwritable> {
        self.ask(|reply| Order::Room { reply }).await
    }

    /// Writes down what became of a change that room was set aside for. An error: it was made, and its line waits in
    /// memory until it can be written.
    pub async fn record(&self, record: Record) -> Result<(), Unwritable> {
        self.ask(|reply| Order::Line { record: Box::new(record), had_room: true, reply }).await
    }

    /// The same for what was refused before room was set aside. That a refusal cannot be written down refuses nothing.
    pub async fn refusal(&self, record: Record) {
        let _ = self.ask(|reply| Order::Line { record: Box::new(record), had_room: false, reply }).await;
    }

    /// Gives back room: there was nothing to change.
    pub fn nothing(&self) {
        self.tell(Order::Nothing);
    }
}

#[cfg(test)]
mod tests;
