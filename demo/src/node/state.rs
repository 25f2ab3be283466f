//! What the handlers of one node share.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;

use super::NodeOptions;
use super::door::Door;
use super::journal::{Journal, Stats};
use super::ledger::Ledger;
use super::orders::Orders;

/// One node's state. Demo traffic is small: plain locks, never held across an await.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: String,
    pub(super) ordinal: Option<u64>,
    /// The value of `x-node`.
    pub(super) header: HeaderValue,
    pub(super) orders: Mutex<Orders>,
    pub(super) journal: Journal,
    pub(super) ledger: Ledger,
    pub(super) door: Door,
    misrouted: AtomicU64,
    health: AtomicU16,
    health_delay_ms: AtomicU64,
}

impl Shared {
    pub(super) fn new(options: &NodeOptions) -> io::Result<Self> {
        let header = HeaderValue::from_str(&options.id).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` cannot stand in a header", options.id))
        })?;
        let ledger = Ledger::open(&options.id, options.ledger.as_deref())?;
        Ok(Self {
            id: options.id.clone(),
            ordinal: options.ordinal,
            header,
            orders: Mutex::default(),
            journal: Journal::open(options.journal.as_deref())?,
            door: Door::new(options.most_at_once, options.capacity, &ledger)?,
            ledger,
            misrouted: AtomicU64::new(0),
            health: AtomicU16::new(200),
            health_delay_ms: AtomicU64::new(0),
        })
    }

    pub(super) fn count_misrouted(&self) {
        self.misrouted.fetch_add(1, Ordering::Relaxed);
    }

    /// What it has served, as `/stats` tells it.
    pub(super) fn stats(&self) -> Stats {
        let passed = self.door.passed();
        Stats {
            misrouted: self.misrouted.load(Ordering::Relaxed),
            most_at_once: passed.most_at_once,
            over: passed.over,
            epoch: passed.epoch,
            stale: passed.stale,
            ..self.journal.stats(&self.id)
        }
    }

    pub(super) fn health(&self) -> (u16, Duration) {
        let delay = Duration::from_millis(self.health_delay_ms.load(Ordering::Relaxed));
        (self.health.load(Ordering::Relaxed), delay)
    }

    pub(super) fn set_health(&self, status: u16) {
        self.health.store(status, Ordering::Relaxed);
    }

    pub(super) fn set_health_delay(&self, delay: Duration) {
        self.health_delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
