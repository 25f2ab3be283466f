//! What every test sets up: a proxy and nodes that join it.

use std::sync::LazyLock;
use std::time::Duration;

use pointsman_demo::harness::{Proxy, ProxyOptions};
use pointsman_demo::node::{self, NodeHandle, NodeOptions};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");

/// Longer than any pause of a busy machine, so that only health decides.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A service `api` by round robin and a service `oms` by customer, as in the demo. The same tests run with the express
/// lane and without it.
pub(crate) static YAML: LazyLock<String> = LazyLock::new(|| TEMPLATE.replace("@lane@", crate::LANE));

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  oms:
    policy: { use: customer-modulo, with: { slots: 3, on_missing: refuse, failover: next } }
    key: { header: x-customer-id }
    health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 2 }
  api:
    policy: round-robin
    health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 2 }
routes:
  - { match: { path: /orders }, service: oms }
  - { match: {}, service: api }
"#;

/// A proxy with [`YAML`].
pub(crate) async fn proxy() -> Proxy {
    proxy_with(&YAML).await
}

/// A proxy with that configuration and two workers.
pub(crate) async fn proxy_with(yaml: &str) -> Proxy {
    Proxy::start_with(ProxyOptions::new(BINARY, yaml).arguments(&["--threads", "2"]))
        .await
        .expect("a proxy that serves")
}

/// Starts node `number`, which joins the services, and waits until it takes traffic.
pub(crate) async fn joined(proxy: &Proxy, number: u64, services: &[&str]) -> NodeHandle {
    let id = format!("oms-{number}");
    let mut options = NodeOptions::new(&id).ordinal(number).join(proxy.admin.address(), services[0], LONG);
    if let Some(join) = &mut options.join {
        join.services = services.iter().map(|s| (*s).to_owned()).collect();
    }
    let mut node = node::start(options).expect("a node");
    node.joined().await;
    for service in services {
        proxy.admin.node_is(service, &id, "up").await.expect("up after its first check");
    }
    node
}

/// Nodes 1 to `count`, all up.
pub(crate) async fn nodes(proxy: &Proxy, count: u64, services: &[&str]) -> Vec<NodeHandle> {
    let mut nodes = Vec::new();
    for number in 1..=count {
        nodes.push(joined(proxy, number, services).await);
    }
    nodes
}
