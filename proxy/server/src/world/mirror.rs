//! Copies of a route's requests for another service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pointsman_config::plan;
use pointsman_core::route::share::Share;

use super::Service;

/// Where a route's requests are copied to.
pub struct Mirror {
    /// Who gets the copies.
    pub service: Arc<Service>,
    share: Share,
    /// Copies under way at once, over all workers.
    most: u32,
    under_way: AtomicU32,
}

/// A copy under way; dropping it makes room for another.
pub struct Place(Arc<Mirror>);

impl Mirror {
    /// As configured, with the service that it names.
    pub fn new(plan: &plan::Mirror, service: Arc<Service>) -> Self {
        Self {
            share: Share::new(&plan.service, plan.share),
            service,
            most: plan.concurrency,
            under_way: AtomicU32::new(0),
        }
    }

    /// Whether the request with this id is among those that are copied: the same at every proxy that sees the id.
    pub fn chooses(&self, id: &str) -> bool {
        self.share.holds(id)
    }

    /// Takes a place. `None`: as many copies are under way as may be.
    pub fn enter(mirror: &Arc<Self>) -> Option<Place> {
        let free = |now: u32| (now < mirror.most).then_some(now + 1);
        mirror.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Place(Arc::clone(mirror)))
    }
}

impl Place {
    /// Whose copy it is.
    pub fn mirror(&self) -> &Mirror {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
