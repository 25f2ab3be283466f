//! What every request sees: one immutable value per configuration, swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use pointsman_config::plan::{self, Plan};
use pointsman_core::barrier::{Barrier, Pass};
use pointsman_core::cluster::cell::MembershipCell;
use pointsman_core::owners::OwnerTable;
use pointsman_core::pick::picker::Picker;
use pointsman_core::rate::RateLimiter;
use pointsman_core::retry::RetryBudget;
use pointsman_core::route::Router;

use crate::metrics::ServiceMetrics;

pub mod bus;
pub mod clock;
pub mod control;
pub mod doors;
pub mod legacy;
pub mod mirror;
pub mod reload;
pub mod route;
pub mod secure;
pub mod sticky;

pub use mirror::Mirror;
pub use route::{Course, Route};
pub use sticky::Sticky;

/// One configuration in force. A request holds one from its head to its last byte.
pub struct World {
    /// Rises by one with each swap; 1 is the configuration at start.
    pub generation: u64,
    /// What it was built from.
    pub plan: Arc<Plan>,
    /// Finds the route.
    pub router: Router,
    /// What becomes of each route's requests, by route index.
    pub by_route: Vec<Route>,
    /// Services by name.
    pub services: BTreeMap<String, Arc<Service>>,
}

/// A service as requests see it under one configuration.
pub struct Service {
    /// Its configuration.
    pub plan: plan::Service,
    /// What outlives configurations.
    pub state: Arc<ServiceState>,
    /// How many requests a key may make. Kept over reloads that leave the rule as it is.
    pub rate: Option<Arc<RateLimiter>>,
    /// Brings clients back to their nodes by a cookie.
    pub sticky: Option<Arc<Sticky>>,
    /// Asks the policy.
    pub picker: Picker,
    /// Whether its requests are counted by [`ServiceState::barrier`], since a broadcast may wait for them.
    pub counted: bool,
    /// Handles of its metrics.
    pub metrics: Arc<ServiceMetrics>,
}

/// What a service keeps from one configuration to the next, carried over by name.
pub struct ServiceState {
    /// Name of the service.
    pub name: Arc<str>,
    /// Its nodes now.
    pub feed: Arc<control::Feed>,
    /// Advances once a request.
    pub turn: Arc<AtomicU64>,
    /// Bounds retries.
    pub budget: Arc<RetryBudget>,
    /// Which node keys belong to, where it keeps owners.
    pub owners: Option<Arc<OwnerTable>>,
    /// Tells a broadcast when the requests before it have ended.
    pub barrier: Arc<Barrier>,
}

impl Service {
    /// Counts a request of it until that is dropped, where somebody may wait for its end.
    pub fn enter(&self) -> Option<Pass> {
        self.counted.then(|| self.state.barrier.enter())
    }
}

impl ServiceState {
    /// Its nodes now.
    pub fn members(&self) -> &MembershipCell {
        &self.feed.cell
    }
}

/// Where requests find the world.
pub type WorldCell = Arc<ArcSwap<World>>;
