//! What a tunnel keeps of the service whose node it leads to.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::{OpenTunnel, ServiceMetrics};
use crate::world::Service;

/// Names and counters of a service whose policy must not live as long as a tunnel does.
pub(super) struct Books {
    pub(super) service: Arc<str>,
    pub(super) policy: String,
    pub(super) metrics: Arc<ServiceMetrics>,
    pub(super) idle: Duration,
    pub(super) open: OpenTunnel,
}

impl Books {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            service: Arc::clone(&service.state.name),
            policy: service.plan.policy.name.clone(),
            metrics: Arc::clone(&service.metrics),
            idle: service.plan.timeouts.idle,
            open: service.metrics.tunnel(),
        }
    }
}
