//! What a tunnel keeps of the service whose node it leads to.

use std::sync::Arc;
use std::time::Duration;

use pointsman_core::cluster::membership::Standing;
use pointsman_core::cluster::node::Incarnation;

use crate::metrics::{OpenTunnel, ServiceMetrics};
use crate::world::Service;
use crate::world::control::Feed;

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

/// Until this life of a node may not go on with what it has begun.
pub(super) async fn leaves(feed: Arc<Feed>, life: Incarnation) {
    // Subscribed before looking, so that a change in between is not missed.
    let mut changed = feed.changed.subscribe();
    while stays(&feed, life) {
        if changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One that is down may come back.
fn stays(feed: &Feed, life: Incarnation) -> bool {
    let members = feed.cell.load();
    let member = members.index_of(life).and_then(|index| members.get(index));
    member.is_some_and(|member| member.standing != Standing::Draining)
}
