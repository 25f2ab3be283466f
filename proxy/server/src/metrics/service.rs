//! Counters of one service, resolved once and then plain atomics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, Range};

/// Why a policy's verdict was not used. The last one takes what is not listed.
pub(super) const FAULTS: &[&str] =
    &["trap", "late", "memory", "stranger", "ineligible", "strays", "malformed", "quarantined", "other"];

/// How an attempt failed that was tried again. The last one takes what is not listed.
pub(super) const RETRIES: &[&str] = &["connect", "reset", "timeout", "malformed", "status", "other"];

/// Why a request was answered by the proxy itself. The last one takes what is not listed.
pub(super) const REFUSALS: &[&str] = &[
    "no-route",
    "key-missing",
    "key-malformed",
    "key-ambiguous",
    "key-too-large",
    "no-node",
    "owner-down",
    "owner-unknown",
    "owner-gone",
    "not-primary",
    "barrier",
    "policy",
    "policy-fault",
    "parked",
    "rate-limited",
    "queue-full",
    "queue-timeout",
    "connect",
    "reset",
    "timeout",
    "malformed",
    "bad-request",
    "head-too-large",
    "body-too-large",
    "client-slow",
    "memory",
    "client-gone",
    "internal",
    "other",
];

/// Statuses that have a counter of their own.
const STATUSES: std::ops::RangeInclusive<u16> = 100..=599;

/// One counter for each of a fixed set of labels, so that the number of series is bounded.
#[derive(Debug)]
pub(super) struct Labelled {
    labels: &'static [&'static str],
    counts: Box<[AtomicU64]>,
}

impl Labelled {
    fn new(labels: &'static [&'static str]) -> Self {
        Self { labels, counts: labels.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    fn add(&self, label: &str) {
        let index = self.labels.iter().position(|&known| known == label).unwrap_or(self.labels.len() - 1);
        self.counts[index].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.labels.iter().copied().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// What is counted for a service whatever policy it uses.
#[derive(Debug)]
pub(super) struct PerService {
    pub(super) name: String,
    codes: Box<[AtomicU64]>,
    /// Requests whose status has no counter of its own: nothing was sent to the client.
    no_code: AtomicU64,
    pub(super) request: Histogram,
    pub(super) upstream: Histogram,
    pub(super) queued: Histogram,
    pub(super) retries: Labelled,
    pub(super) refusals: Labelled,
    pub(super) tunnels: Tunnels,
}

impl PerService {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            codes: STATUSES.map(|_| AtomicU64::new(0)).collect(),
            no_code: AtomicU64::new(0),
            request: Histogram::new(Range::REQUEST),
            upstream: Histogram::new(Range::REQUEST),
            queued: Histogram::new(Range::REQUEST),
            retries: Labelled::new(RETRIES),
            refusals: Labelled::new(REFUSALS),
            tunnels: Tunnels::default(),
        }
    }

    fn code(&self, status: u16) -> &AtomicU64 {
        status
            .checked_sub(*STATUSES.start())
            .and_then(|index| self.codes.get(usize::from(index)))
            .unwrap_or(&self.no_code)
    }

    /// (label, count) of the statuses that were seen; `none` for requests that ended without one.
    pub(super) fn read_codes(&self) -> Vec<(String, u64)> {
        let mut seen: Vec<(String, u64)> = STATUSES
            .zip(self.codes.iter())
            .map(|(status, count)| (status.to_string(), count.load(Ordering::Relaxed)))
            .chain([("none".into(), self.no_code.load(Ordering::Relaxed))])
            .filter(|&(_, count)| count > 0)
            .collect();
        seen.shrink_to_fit();
        seen
    }
}

/// Connections that switched protocols.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    pub(super) open: AtomicU64,
    /// Bytes to nodes.
    pub(super) up: AtomicU64,
    /// Bytes to clients.
    pub(super) down: AtomicU64,
}

/// An open tunnel; it is counted as long as this lives.
#[derive(Debug)]
pub struct OpenTunnel(Arc<PerService>);

impl OpenTunnel {
    /// Bytes passed, to the node and to the client.
    pub fn passed(&self, up: u64, down: u64) {
        self.0.tunnels.up.fetch_add(up, Ordering::Relaxed);
        self.0.tunnels.down.fetch_add(down, Ordering::Relaxed);
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.tunnels.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is counted for a service under one policy.
#[derive(Debug)]
pub(super) struct PerPolicy {
    pub(super) service: String,
    pub(super) policy: String,
    pub(super) by_policy: AtomicU64,
    pub(super) by_owner: AtomicU64,
    pub(super) by_primary: AtomicU64,
    pub(super) by_fallback: Labelled,
    pub(super) took: Histogram,
}

impl PerPolicy {
    pub(super) fn new(service: &str, policy: &str) -> Self {
        Self {
            service: service.into(),
            policy: policy.into(),
            by_policy: AtomicU64::new(0),
            by_owner: AtomicU64::new(0),
            by_primary: AtomicU64::new(0),
            by_fallback: Labelled::new(FAULTS),
            took: Histogram::new(Range::PICK),
        }
    }
}

/// Handles of one service under one policy. Recording takes no lock and does not allocate.
#[derive(Debug)]
pub struct ServiceMetrics {
    pub(super) service: Arc<PerService>,
    pub(super) policy: Arc<PerPolicy>,
}

impl ServiceMetrics {
    /// A request ended. `status` is what the client was sent, 0 when it was sent nothing; `took` runs from the head
    /// being read to the last byte.
    pub fn request(&self, status: u16, took: Duration) {
        self.service.code(status).fetch_add(1, Ordering::Relaxed);
        self.service.request.record(took);
    }

    /// A node answered: from the attempt's start to its response head.
    pub fn upstream(&self, took: Duration) {
        self.service.upstream.record(took);
    }

    /// A request got a permit of a node after it had waited for one.
    pub fn queued(&self, waited: Duration) {
        self.service.queued.record(waited);
    }

    /// The policy's verdict was used.
    pub fn picked(&self) {
        self.policy.by_policy.fetch_add(1, Ordering::Relaxed);
    }

    /// The owner of the key took it.
    pub fn owner_took(&self) {
        self.policy.by_owner.fetch_add(1, Ordering::Relaxed);
    }

    /// The primary took it, since the key has no owner that is there.
    pub fn primary_took(&self) {
        self.policy.by_primary.fetch_add(1, Ordering::Relaxed);
    }

    /// The policy failed (`fault`: its label) and the fallback picked, or refused.
    pub fn fell_back(&self, fault: &str) {
        self.policy.by_fallback.add(fault);
    }

    /// One pick took so long. Callers sample: the clock costs as much as a pick.
    pub fn pick_took(&self, took: Duration) {
        self.policy.took.record(took);
    }

    /// An attempt failed (`reason`: its class) and the request went elsewhere.
    pub fn retried(&self, reason: &str) {
        self.service.retries.add(reason);
    }

    /// A node switched protocols.
    pub fn tunnel(&self) -> OpenTunnel {
        self.service.tunnels.open.fetch_add(1, Ordering::Relaxed);
        OpenTunnel(Arc::clone(&self.service))
    }

    /// The proxy answered by itself.
    pub fn refused(&self, reason: &str) {
        self.service.refusals.add(reason);
    }

    /// Requests that ended so far with this status (0: with none). For tests and the operator's page.
    pub fn requests_with(&self, status: u16) -> u64 {
        self.service.code(status).load(Ordering::Relaxed)
    }
}
