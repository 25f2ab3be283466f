//! Reads and writes go different ways.

use std::collections::BTreeSet;

use pointsman_demo::client::Request;
use pointsman_demo::node::{self, NodeOptions};

use crate::stage::proxy_with;

/// Without an election the order of the nodes is that of succession.
const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  catalog:
    policy: { use: read-write-split, with: { no_primary: next, balance: random } }
    nodes: [{ id: a, address: "@a@", ordinal: 1 }, { id: b, address: "@b@", ordinal: 2 }]
routes: [{ match: {}, service: catalog }]
"#;

#[tokio::test]
async fn reads_meet_every_node_and_writes_one() {
    let nodes = ["a", "b"].map(|id| node::start(NodeOptions::new(id)).expect("a node"));
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@a@", &nodes[0].addr.to_string());
    let proxy = proxy_with(&yaml.replace("@b@", &nodes[1].addr.to_string())).await;
    let met = async |method: &str| {
        let mut met = BTreeSet::new();
        // That one of two is never met by chance happens once in 2^63 runs.
        for _ in 0..64 {
            let answer = Request::new(method, "/echo").send(proxy.addr()).await.expect("answered");
            assert_eq!(answer.status, 200);
            met.insert(answer.header("x-node").expect("who it is").to_owned());
        }
        met
    };
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(met(method).await, BTreeSet::from(["a".to_owned()]), "{method}");
    }
    assert_eq!(met("GET").await.len(), 2);
    assert_eq!(met("OPTIONS").await.len(), 2);
}
