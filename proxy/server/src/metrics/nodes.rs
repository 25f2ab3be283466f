//! Gauges of nodes.

use prometheus::{IntGaugeVec, Registry};

use super::{OwnerMetrics, gauges};

/// Gauges that are set when somebody looks.
pub struct NodeGauges {
    in_flight: IntGaugeVec,
    queued: IntGaugeVec,
    standing: IntGaugeVec,
    nodes: IntGaugeVec,
    primary: IntGaugeVec,
    epoch: IntGaugeVec,
    owners: OwnerMetrics,
}

impl NodeGauges {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauges = |name: &str, help: &str, labels: &[&str]| gauges(registry, name, help, labels);
        let node = &["service", "node"];
        Self {
            in_flight: gauges(
                "pointsman_node_in_flight",
                "Requests under way at a node, counted from the verdict to the last byte.",
                node,
            ),
            queued: gauges(
                "pointsman_node_queued",
                "Requests that wait for a permit of a node; they count as under way, too.",
                node,
            ),
            standing: gauges(
                "pointsman_node_standing",
                "How a node stands: 0 up, 1 degraded, 2 draining, 3 down.",
                node,
            ),
            nodes: gauges("pointsman_registry_nodes", "Nodes of a service, whatever their standing.", &["service"]),
            primary: gauges("pointsman_primary", "1 for the node that is the primary of its service.", node),
            epoch: gauges(
                "pointsman_primary_epoch",
                "Epoch of a service's primary, or of the last there was.",
                &["service"],
            ),
            owners: OwnerMetrics::new(registry),
        }
    }

    /// One node of a service now: requests under way, how many of them wait for a permit, and how it stands (0 up,
    /// 1 degraded, 2 draining, 3 down).
    pub fn node(&self, service: &str, node: &str, in_flight: u32, queued: u32, standing: u8) {
        self.queued.with_label_values(&[service, node]).set(queued.into());
        self.in_flight.with_label_values(&[service, node]).set(in_flight.into());
        self.standing.with_label_values(&[service, node]).set(standing.into());
    }

    /// How many nodes a service has now, whatever their standing.
    pub fn registry(&self, service: &str, nodes: usize) {
        self.nodes.with_label_values(&[service]).set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }

    /// Whether a node is the primary of a service that has one.
    pub fn primary(&self, service: &str, node: &str, is: bool) {
        self.primary.with_label_values(&[service, node]).set(is.into());
    }

    /// The epoch of a service's primary.
    pub fn epoch(&self, service: &str, epoch: u64) {
        self.epoch.with_label_values(&[service]).set(i64::try_from(epoch).unwrap_or(i64::MAX));
    }

    /// What services know of owners.
    pub fn owners(&self) -> &OwnerMetrics {
        &self.owners
    }

    pub(super) fn reset(&self) {
        self.primary.reset();
        self.epoch.reset();
        self.in_flight.reset();
        self.queued.reset();
        self.standing.reset();
        self.nodes.reset();
        self.owners.reset();
    }
}
