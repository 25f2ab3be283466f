//! What the handlers of one node share.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;

use super::NodeOptions;
use super::journal::Journal;
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
    health: AtomicU16,
    health_delay_ms: AtomicU64,
}

impl Shared {
    pub(super) fn new(options: &NodeOptions) -> io::Result<Self> {
        let header = HeaderValue::from_str(&options.id).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` cannot stand in a header", options.id))
        })?;
        Ok(Self {
            id: options.id.clone(),
            ordinal: options.ordinal,
            header,
            orders: Mutex::default(),
            journal: Journal::open(options.journal.as_deref())?,
            health: AtomicU16::new(200),
            health_delay_ms: AtomicU64::new(0),
        })
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
