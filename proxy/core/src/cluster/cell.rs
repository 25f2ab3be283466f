//! Where readers find the newest membership, and may wait for a newer one.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::membership::Membership;

/// One atomic pointer to the newest membership of a service.
#[derive(Debug)]
pub struct MembershipCell {
    current: ArcSwap<Membership>,
}

impl Default for MembershipCell {
    fn default() -> Self {
        Self::new(Membership::new(0, 0, Vec::new(), None))
    }
}

impl MembershipCell {
    /// A cell that holds `first`.
    pub fn new(first: Membership) -> Self {
        Self { current: ArcSwap::from_pointee(first) }
    }

    /// The newest membership, without counting a reference where possible.
    pub fn load(&self) -> arc_swap::Guard<Arc<Membership>> {
        self.current.load()
    }

    /// The newest membership, to keep.
    pub fn load_full(&self) -> Arc<Membership> {
        self.current.load_full()
    }

    /// Replaces it. Only the single writer calls this.
    pub fn publish(&self, next: Arc<Membership>) {
        self.current.store(next);
    }
}
