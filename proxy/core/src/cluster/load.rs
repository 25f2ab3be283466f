//! Live load of one node: shared atomics inside the immutable membership.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Counters of one incarnation of a node. Aligned so that two nodes never share a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct NodeLoad {
    in_flight: AtomicU32,
    started: AtomicU64,
}

impl NodeLoad {
    /// Requests picked for the node so far, retries elsewhere included. Differences over time give its rate.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Requests picked for the node and not yet finished (from the verdict on, not from the connection).
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        // The same cache line, so the second addition costs next to nothing.
        self.started.fetch_add(1, Ordering::Relaxed);
        InFlight { load: Arc::clone(self) }
    }
}

/// One request under way at a node. Dropping it is the receipt: it travels with the response body, not its head.
#[derive(Debug)]
pub struct InFlight {
    load: Arc<NodeLoad>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
