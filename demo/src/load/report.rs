//! What was counted.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::link::Fault;

/// Kept samples of failures: enough to see what went wrong, few enough to read.
const SAMPLES: usize = 20;

/// The end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests that were due: `succeeded + failed`.
    pub requests: u64,
    /// Answered whole, with an accepted status, by an acceptable node.
    pub succeeded: u64,
    /// All others.
    pub failed: u64,
    /// The same by kind.
    pub failures: Failures,
    /// The first of them.
    pub samples: Vec<Sample>,
    /// From the first request due to the last one ended, in seconds.
    pub seconds: f64,
    /// Requests answered whole a second.
    pub per_second: f64,
    /// From due to the last byte, of requests answered whole, whatever their status.
    pub latency: Latency,
    /// With a rate: how late the generator itself was, counted from due or from the connection coming free to the sending.
    pub lateness: Latency,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers by node, as `x-node` names it.
    pub nodes: BTreeMap<String, u64>,
    /// Connections made.
    pub connections: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// Failures by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// No connection could be made.
    pub connect: u64,
    /// The connection was reset.
    pub reset: u64,
    /// The connection was closed before a byte of the answer.
    pub closed: u64,
    /// No whole answer in time.
    pub timeout: u64,
    /// The answer was cut: in its head or in its body.
    pub short: u64,
    /// The answer was not HTTP, or more came than was asked for.
    pub malformed: u64,
    /// A status that was not accepted.
    pub status: u64,
    /// Answered by a node that should not have.
    pub misrouted: u64,
    /// Due, but never sent because no connection came free in time.
    pub unsent: u64,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of the request.
    pub request: u64,
    /// Milliseconds since the start.
    pub at_ms: f64,
    /// What happened.
    pub what: String,
    /// Node that answered, if one did.
    pub node: Option<String>,
}

/// A distribution, in microseconds. All zero when nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Smallest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// A request answered whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) node: Option<usize>,
}

/// Counts while the load runs.
#[derive(Debug)]
pub(super) struct Tally {
    latency: Histogram<u64>,
    lateness: Histogram<u64>,
    succeeded: u64,
    failures: Failures,
    samples: Vec<Sample>,
    statuses: Vec<u64>,
    nodes: Vec<(Box<[u8]>, u64)>,
    pub(super) connections: u64,
    pub(super) bytes_received: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        // 1 ns to an hour at three digits: a quarter of a megabyte, of which a run touches a few pages.
        let histogram = || Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("bounds are constant and valid");
        Self {
            latency: histogram(),
            lateness: histogram(),
            succeeded: 0,
            failures: Failures::default(),
            samples: Vec::new(),
            statuses: vec![0; 1000],
            nodes: Vec::new(),
            connections: 0,
            bytes_received: 0,
        }
    }

    /// The place of that node in the counts.
    pub(super) fn node(&mut self, name: &[u8]) -> usize {
        if let Some(index) = self.nodes.iter().position(|(known, _)| **known == *name) {
            return index;
        }
        self.nodes.push((name.into(), 0));
        self.nodes.len() - 1
    }

    pub(super) fn node_name(&self, index: usize) -> &[u8] {
        &self.nodes[index].0
    }

    pub(super) fn late(&mut self, by: Duration) {
        self.lateness.saturating_record(nanos(by));
    }

    pub(super) fn answered(&mut self, answered: Answered, latency: Duration) {
        self.latency.saturating_record(nanos(latency));
        self.statuses[usize::from(answered.status) % 1000] += 1;
        if let Some(node) = answered.node {
            self.nodes[node].1 += 1;
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.succeeded += 1;
    }

    pub(super) fn failed(&mut self, fault: &Fault, request: u64, at: Duration, node: Option<usize>) {
        *self.failures.of(fault) += 1;
        if self.samples.len() < SAMPLES {
            let node = node.map(|index| String::from_utf8_lossy(self.node_name(index)).into_owned());
            self.samples.push(Sample { request, at_ms: at.as_secs_f64() * 1e3, what: fault.to_string(), node });
        }
    }

    pub(super) fn unsent(&mut self, requests: u64) {
        self.failures.unsent += requests;
    }

    pub(super) fn report(self, took: Duration) -> Report {
        let failed = self.failures.total();
        let counted = |(status, count): (usize, &u64)| (*count > 0).then_some((status as u16, *count));
        let names = self.nodes.iter().filter(|(_, count)| *count > 0);
        Report {
            requests: self.succeeded + failed,
            succeeded: self.succeeded,
            failed,
            failures: self.failures,
            samples: self.samples,
            seconds: took.as_secs_f64(),
            per_second: self.latency.len() as f64 / took.as_secs_f64().max(1e-9),
            latency: Latency::of(&self.latency),
            lateness: Latency::of(&self.lateness),
            statuses: self.statuses.iter().enumerate().filter_map(counted).collect(),
            nodes: names.map(|(name, count)| (String::from_utf8_lossy(name).into_owned(), *count)).collect(),
            connections: self.connections,
            bytes_received: self.bytes_received,
        }
    }
}

impl Failures {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        let Self { connect, reset, closed, timeout, short, malformed, status, misrouted, unsent } = *self;
        connect + reset + closed + timeout + short + malformed + status + misrouted + unsent
    }

    fn of(&mut self, fault: &Fault) -> &mut u64 {
        match fault {
            Fault::Connect(_) => &mut self.connect,
            Fault::Reset(_) => &mut self.reset,
            Fault::Closed => &mut self.closed,
            Fault::Timeout => &mut self.timeout,
            Fault::Short => &mut self.short,
            Fault::Malformed(_) => &mut self.malformed,
            Fault::Status(_) => &mut self.status,
            Fault::Misrouted => &mut self.misrouted,
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let micros = |nanos: f64| (nanos / 100.0).round() / 10.0;
        let at = |quantile: f64| micros(histogram.value_at_quantile(quantile) as f64);
        Self {
            min: micros(histogram.min() as f64),
            mean: micros(histogram.mean()),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(histogram.max() as f64),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).max(1)
}
