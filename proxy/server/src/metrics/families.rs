//! How a family comes to be registered.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

pub(super) fn count_alone(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let family = IntCounter::new(name, help).expect("a valid family");
    register(registry, family.clone());
    family
}

pub(super) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let family = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid family");
    register(registry, family.clone());
    family
}

pub(super) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let family = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid family");
    register(registry, family.clone());
    family
}

pub(super) fn register(registry: &Registry, family: impl Collector + 'static) {
    registry.register(Box::new(family)).expect("each family is registered once, in this module");
}
