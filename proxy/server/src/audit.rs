//! The audit: who changed what, one JSON line a change, on disk before whoever asked is answered.
//!
//! A change is made only where its line has room: room is set aside on the disk beforehand, so that a full disk
//! refuses the change and never loses its line (`on_error: go-on` makes it all the same). One thread writes; lines that
//! come together share a sync.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::SystemTime;

use pointsman_config::plan::{self, OnAuditError};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::access_log::stamp;
use crate::metrics::Metrics;
use crate::world::bus::Bus;

mod journal;
mod writer;

use journal::Journal;
use writer::{Order, Writer};

/// What a line says.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When it was written, in UTC (RFC 3339).
    #[serde(serialize_with = "stamp::serialize")]
    pub time: SystemTime,
    /// A token's name, `loopback` where there are no tokens, `nobody` without a right one; `file` and `signal` where the
    /// configuration was read again for these.
    pub who: String,
    /// Where they asked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SocketAddr>,
    /// What they asked for: `join`, `leave`, `drain`, `undrain`, `lower-mark`, `upload-policy`, `reload`.
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
            before: Value::Null,
            after: Value::Null,
            outcome: "done",
            reason: None,
        }
    }
}

/// Why a change cannot be written down.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit cannot be written: {0}")]
pub struct Unwritable(pub(crate) String);

/// Writes down changes. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Audit {
    /// `None`: nothing is written down.
    orders: Option<mpsc::Sender<Order>>,
    refuses: bool,
}

impl Audit {
    /// Opens the file, repairs its end if a crash tore it, and starts the thread that writes.
    pub fn start(plan: Option<&plan::Audit>, metrics: &Arc<Metrics>, bus: &Bus) -> io::Result<Self> {
        let Some(plan) = plan else { return Ok(Self::off()) };
        let journal = Journal::open(&plan.file, plan.max_bytes, plan.keep).map_err(|error| {
            io::Error::new(error.kind(), format!("the audit {} cannot be opened: {error}", plan.file.display()))
        })?;
        let writer = Writer::new(journal, Arc::clone(metrics), bus.clone());
        let (orders, inbox) = mpsc::channel();
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&inbox))?;
        Ok(Self { orders: Some(orders), refuses: plan.on_error == OnAuditError::Refuse })
    }

    /// One that writes nothing down.
    pub fn off() -> Self {
        Self { orders: None, refuses: false }
    }

    async fn ask(&self, make: impl FnOnce(oneshot::Sender<Result<(), Unwritable>>) -> Order) -> Result<(), Unwritable> {
        let Some(orders) = &self.orders else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let gone = || Unwritable("its thread has ended".into());
        orders.send(make(reply)).map_err(|_| gone())?;
        let outcome = answer.await.map_err(|_| gone()).and_then(|outcome| outcome);
        if self.refuses { outcome } else { Ok(()) }
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
        if let Some(orders) = &self.orders {
            // An error means that the thread has ended, and its room with it.
            let _ = orders.send(Order::Nothing);
        }
    }
}

#[cfg(test)]
mod tests;
