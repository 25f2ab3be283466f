//! One proxy with one node behind it.

use std::time::Duration;

use pointsman_demo::harness::{Proxy, ProxyOptions};

use crate::client::{self, Outcome};
use crate::node::{BARRIER, Node};

/// However slow the machine: nothing in these tests takes longer, or it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const YAML: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services:
  s:
    policy: round-robin
    nodes: [{ id: n1, ordinal: 1, address: "@node@" }]
    retry: { attempts: 1 }
routes: [{ match: {}, service: s }]
"#;

pub(crate) struct Side {
    pub(crate) name: &'static str,
    proxy: Proxy,
    node: Node,
}

impl Side {
    pub(crate) async fn start(name: &'static str, lane: &str) -> Self {
        let node = Node::start().await;
        let yaml = YAML.replace("@lane@", lane).replace("@node@", &node.address.to_string());
        // One worker, so that what one connection leaves behind meets the next.
        let options = ProxyOptions::new(env!("CARGO_BIN_EXE_pointsman"), &yaml).arguments(&["--threads", "1"]);
        Self { name, proxy: Proxy::start_with(options).await.expect("a proxy that serves"), node }
    }

    /// Sends the bytes on a connection of their own; answers what came of them, once everything has come to rest.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Outcome {
        let address = self.proxy.addr();
        // Only the second request of a connection is sure to be read by pingora: the first head is read by the lane to see
        // whether it opens a tunnel.
        let mut outcome = client::send(address, bytes, self.name == "pingora").await;
        // Each way through the proxy keeps connections to the node. A sound request on each must arrive as it was sent,
        // and its answer ends the connection.
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            client::barrier(address, version).await;
        }
        outcome.received = self.node.collect().await;
        let barriers: Vec<_> =
            outcome.received.iter().flat_map(|part| &part.requests).filter(|r| r.target == BARRIER).collect();
        assert!(
            barriers.len() == 2
                && barriers.iter().all(|r| r.method == "GET" && r.host == "barrier" && r.body.is_empty()),
            "{}: a request behind this one arrived otherwise than it was sent: {barriers:?} after {}",
            self.name,
            bytes.escape_ascii()
        );
        outcome
    }
}
