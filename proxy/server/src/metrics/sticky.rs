//! What is counted of the cookies that bring clients back to their nodes.

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::counters;

pub(super) fn family(registry: &Registry) -> IntCounterVec {
    counters(
        registry,
        "pointsman_sticky_cookies_total",
        "Cookies that bring clients back to their nodes, by what became of them.",
        &["service", "outcome"],
    )
}

/// Handles of one service.
#[derive(Debug, Clone)]
pub struct StickyMetrics {
    /// It named a node that may take requests.
    pub kept: IntCounter,
    /// The request brought none.
    pub none: IntCounter,
    /// It was not signed with one of the secrets for this service.
    pub forged: IntCounter,
    /// It named a node that takes no requests any more.
    pub gone: IntCounter,
    /// One was given to a client.
    pub issued: IntCounter,
}

impl StickyMetrics {
    pub(super) fn of(family: &IntCounterVec, service: &str) -> Self {
        let count = |outcome| family.with_label_values(&[service, outcome]);
        Self {
            kept: count("kept"),
            none: count("none"),
            forged: count("forged"),
            gone: count("gone"),
            issued: count("issued"),
        }
    }
}
