//! What is counted, and the only place that registers a metric family. Knows nothing else of the house: callers hand
//! in names and numbers.
//!
//! Requests record into handles resolved once per service ([`ServiceMetrics`]): relaxed atomics, no lock, no lookup.
//! Series are bounded by configuration: services, policies and nodes are names that an operator gave; a status is one
//! of 500; reasons are fixed lists; requests that no route takes count under the service `-`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily};
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

mod admin;
mod clients;
mod families;
mod histogram;
mod kept;
mod nodes;
mod owners;
mod primaries;
mod process;
mod rows;
mod service;
mod sticky;
mod tls;

pub use admin::AdminMetrics;
pub use clients::ClientMetrics;
use families::{count_alone, counters, gauges, register};
pub use kept::KeptMetrics;
pub use nodes::NodeGauges;
pub use owners::OwnerMetrics;
pub use primaries::PrimaryMetrics;
use process::ProcessMetrics;
use rows::{counter, family, gauge, histogram};
pub use service::{OpenTunnel, ServiceMetrics};
use service::{PerPolicy, PerService};
pub use sticky::StickyMetrics;
pub use tls::TlsMetrics;

/// The service name under which requests count that no route takes.
pub const NO_SERVICE: &str = "-";

type Scrape = Box<dyn Fn(&NodeGauges) + Send + Sync>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    services: Arc<Services>,
    nodes: NodeGauges,
    scrape: Mutex<Option<Scrape>>,
    transitions: IntCounterVec,
    checks: IntCounterVec,
    leases_lost: IntCounterVec,
    ejections: IntCounterVec,
    spared: IntCounterVec,
    primaries: PrimaryMetrics,
    kept: KeptMetrics,
    reloads: IntCounterVec,
    quarantines: IntCounterVec,
    swaps: IntCounterVec,
    handed_over: IntCounterVec,
    clients: ClientMetrics,
    sticky: IntCounterVec,
    tls: TlsMetrics,
    admin: AdminMetrics,
    process: ProcessMetrics,
    generation: IntGauge,
    connections: IntGauge,
    log_dropped: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All families, registered.
    pub fn new() -> Self {
        let registry = Registry::new();
        let services = Arc::new(Services::new());
        register(&registry, SharedServices(Arc::clone(&services)));
        let counters = |name: &str, help: &str, labels: &[&str]| counters(&registry, name, help, labels);
        let gauge = |name: &str, help: &str| {
            let family = IntGauge::new(name, help).expect("a valid family");
            register(&registry, family.clone());
            family
        };
        Self {
            nodes: NodeGauges::new(&registry),
            transitions: counters(
                "pointsman_health_transitions_total",
                "Changes of a node's standing.",
                &["service", "node", "to"],
            ),
            checks: counters("pointsman_checks_total", "Active health checks.", &["service", "result"]),
            leases_lost: counters("pointsman_leases_lost_total", "Leases that lapsed.", &["service"]),
            ejections: counters(
                "pointsman_ejections_total",
                "Times a node was taken out because requests to it failed.",
                &["service", "node", "cause"],
            ),
            spared: counters(
                "pointsman_ejections_spared_total",
                "Times a node stayed though it failed too often, because too many were out.",
                &["service", "node"],
            ),
            primaries: PrimaryMetrics::new(&registry),
            kept: KeptMetrics::new(&registry),
            reloads: counters("pointsman_reloads_total", "Reloads of the configuration.", &["outcome"]),
            quarantines: counters(
                "pointsman_policy_quarantines_total",
                "Times a policy was taken out of service for repeated faults.",
                &["policy"],
            ),
            swaps: counters("pointsman_policy_swaps_total", "Times a new version of a policy went live.", &["policy"]),
            handed_over: counters(
                "pointsman_handed_over_total",
                "Connections that left the express lane for the full proxy.",
                &["reason"],
            ),
            generation: gauge("pointsman_config_generation", "Generation of the configuration in force."),
            connections: gauge("pointsman_connections", "Client connections open."),
            log_dropped: count_alone(
                &registry,
                "pointsman_access_log_dropped_total",
                "Access log lines dropped because the disk did not keep up.",
            ),
            clients: ClientMetrics::new(&registry),
            sticky: sticky::family(&registry),
            tls: TlsMetrics::new(&registry),
            admin: AdminMetrics::new(&registry),
            process: ProcessMetrics::new(&registry),
            scrape: Mutex::new(None),
            services,
            registry,
        }
    }

    /// Handles of a service under a policy. The same names give handles on the same counters, so that nothing starts
    /// again at zero after a reload.
    pub fn service(&self, name: &str, policy: &str) -> Arc<ServiceMetrics> {
        let service = Arc::clone(
            self.services.by_name.lock().entry(name.into()).or_insert_with(|| Arc::new(PerService::new(name))),
        );
        let policy = Arc::clone(
            self.services
                .policies
                .lock()
                .entry((name.into(), policy.into()))
                .or_insert_with(|| Arc::new(PerPolicy::new(name, policy))),
        );
        Arc::new(ServiceMetrics { service, policy })
    }

    /// Called at each scrape to set the gauges of nodes; replaces the one before. Gauges not set by it vanish.
    pub fn on_scrape(&self, scrape: impl Fn(&NodeGauges) + Send + Sync + 'static) {
        *self.scrape.lock() = Some(Box::new(scrape));
    }

    /// A node's standing changed (`to`: `up`, `degraded`, `draining`, `down`).
    pub fn health_transition(&self, service: &str, node: &str, to: &str) {
        self.transitions.with_label_values(&[service, node, to]).inc();
    }

    /// A node left for good: its series go, or churn would grow them without end.
    pub fn forget_node(&self, service: &str, node: &str) {
        for to in ["up", "degraded", "draining", "down"] {
            // An error means that this series never was.
            let _ = self.transitions.remove_label_values(&[service, node, to]);
        }
        for cause in ["row", "share"] {
            let _ = self.ejections.remove_label_values(&[service, node, cause]);
        }
        let _ = self.spared.remove_label_values(&[service, node]);
    }

    /// A health check ended.
    pub fn check(&self, service: &str, passed: bool) {
        self.checks.with_label_values(&[service, if passed { "pass" } else { "fail" }]).inc();
    }

    /// A node was taken out because requests to it failed (`cause`: `row` or `share`).
    pub fn ejected(&self, service: &str, node: &str, cause: &str) {
        self.ejections.with_label_values(&[service, node, cause]).inc();
    }

    /// A node stayed though it failed too often.
    pub fn spared(&self, service: &str, node: &str) {
        self.spared.with_label_values(&[service, node]).inc();
    }

    /// Primaries of services.
    pub fn primaries(&self) -> &PrimaryMetrics {
        &self.primaries
    }

    /// Owners of keys on disk.
    pub fn kept(&self) -> &KeptMetrics {
        &self.kept
    }

    /// A lease lapsed.
    pub fn lease_lost(&self, service: &str) {
        self.leases_lost.with_label_values(&[service]).inc();
    }

    /// A reload ended (`outcome`: `swapped`, `unchanged`, `refused`); `generation` is in force now.
    pub fn reloaded(&self, outcome: &str, generation: u64) {
        self.reloads.with_label_values(&[outcome]).inc();
        self.generation(generation);
    }

    /// This generation of the configuration is in force.
    pub fn generation(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// A policy was quarantined.
    pub fn policy_quarantined(&self, policy: &str) {
        self.quarantines.with_label_values(&[policy]).inc();
    }

    /// A new version of a policy went live.
    pub fn policy_swapped(&self, policy: &str) {
        self.swaps.with_label_values(&[policy]).inc();
    }

    /// Connections of clients that were closed.
    pub fn clients(&self) -> &ClientMetrics {
        &self.clients
    }

    /// Cookies of a service that bring clients back to their nodes.
    pub fn sticky(&self, service: &str) -> StickyMetrics {
        StickyMetrics::of(&self.sticky, service)
    }

    /// A connection left the express lane (`reason`: one of a fixed list).
    pub fn handed_over(&self, reason: &str) {
        self.handed_over.with_label_values(&[reason]).inc();
    }

    /// How this process came and goes.
    pub fn process(&self) -> &ProcessMetrics {
        &self.process
    }

    /// Handshakes and certificates.
    pub fn tls(&self) -> &TlsMetrics {
        &self.tls
    }

    /// The operators' API.
    pub fn admin(&self) -> &AdminMetrics {
        &self.admin
    }

    /// Client connections open: add 1 on accept, -1 on close.
    pub fn connections(&self) -> &IntGauge {
        &self.connections
    }

    /// Access log lines dropped.
    pub fn access_log_dropped(&self) -> &IntCounter {
        &self.log_dropped
    }

    /// Everything, in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        // Held to the end: two scrapes at once would reset each other's gauges.
        let scrape = self.scrape.lock();
        self.nodes.reset();
        if let Some(scrape) = scrape.as_ref() {
            scrape(&self.nodes);
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            log::error!("metrics cannot be written: {error}");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Counters of all services; the locks are taken by reload and scrape only.
struct Services {
    by_name: Mutex<BTreeMap<String, Arc<PerService>>>,
    policies: Mutex<BTreeMap<(String, String), Arc<PerPolicy>>>,
    descriptions: [Desc; 10],
}

/// What Prometheus holds on to.
struct SharedServices(Arc<Services>);

impl Services {
    fn new() -> Self {
        let desc = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(ToString::to_string).collect();
            Desc::new(name.into(), help.into(), labels, std::collections::HashMap::new()).expect("a valid family")
        };
        let service = &["service"];
        Self {
            by_name: Mutex::default(),
            policies: Mutex::default(),
            descriptions: [
                desc("pointsman_requests_total", "Requests by the status sent to the client.", &["service", "code"]),
                desc(
                    "pointsman_request_duration_seconds",
                    "From the request's head to the answer's last byte.",
                    service,
                ),
                desc("pointsman_upstream_duration_seconds", "From an attempt's start to its response head.", service),
                desc("pointsman_retries_total", "Attempts that failed and went elsewhere.", &["service", "reason"]),
                desc("pointsman_refusals_total", "Requests answered by the proxy itself.", &["service", "reason"]),
                desc("pointsman_picks_total", "Picks by who decided.", &["service", "policy", "by", "fault"]),
                desc("pointsman_queue_duration_seconds", "Time that requests waited for a permit they got.", service),
                desc("pointsman_pick_duration_seconds", "Time of one pick in 16, a sample.", &["service", "policy"]),
                desc("pointsman_tunnels", "Connections that switched protocols and are open.", service),
                desc("pointsman_tunnel_bytes_total", "Bytes that passed through tunnels.", &["service", "to"]),
            ],
        }
    }
}

impl Collector for SharedServices {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let services: Vec<_> = self.0.by_name.lock().values().cloned().collect();
        let policies: Vec<_> = self.0.policies.lock().values().cloned().collect();
        let [requests, request, upstream, retries, refusals, picks, queued, took, tunnels, bytes] =
            &self.0.descriptions;
        let mut rows: [Vec<proto::Metric>; 10] = Default::default();
        for s in &services {
            let name = s.name.as_str();
            rows[0].extend(s.read_codes().iter().map(|(code, n)| counter(requests, &[name, code], *n)));
            rows[1].push(histogram(request, &[name], &s.request));
            rows[2].push(histogram(upstream, &[name], &s.upstream));
            rows[3].extend(s.retries.read().map(|(reason, n)| counter(retries, &[name, reason], n)));
            rows[6].push(histogram(queued, &[name], &s.queued));
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            rows[8].push(gauge(tunnels, &[name], read(&s.tunnels.open)));
            rows[9].push(counter(bytes, &[name, "node"], read(&s.tunnels.up)));
            rows[9].push(counter(bytes, &[name, "client"], read(&s.tunnels.down)));
            rows[4].extend(s.refusals.read().map(|(reason, n)| counter(refusals, &[name, reason], n)));
        }
        for p in policies.iter().filter(|p| p.service != NO_SERVICE) {
            let (service, policy) = (p.service.as_str(), p.policy.as_str());
            for (by, count) in [("policy", &p.by_policy), ("owner", &p.by_owner), ("primary", &p.by_primary)] {
                rows[5].push(counter(picks, &[service, policy, by, ""], count.load(Ordering::Relaxed)));
            }
            rows[5].extend(
                p.by_fallback.read().map(|(fault, n)| counter(picks, &[service, policy, "fallback", fault], n)),
            );
            rows[7].push(histogram(took, &[service, policy], &p.took));
        }
        self.0.descriptions.iter().zip(rows).map(|(desc, rows)| family(desc, rows)).collect()
    }
}

#[cfg(test)]
mod tests;
