//! Owners of keys outlive the process, however it ends.

use std::path::Path;

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, until};

use crate::stage::{nodes, proxy_with};

const YAML: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services:
  oms:
    policy: round-robin
    owners: { find: [{ header: x-order }] }
    health: { http: /health, interval: 1s, timeout: 1s, fall: 3, rise: 1 }
routes: [{ match: {}, service: oms }]
"#;

/// Asks for an order; answers the node that took it.
async fn ask(proxy: &Proxy, order: &str) -> String {
    let answer = Request::get("/echo").header("x-order", order).send(proxy.addr()).await.expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-node").expect("named").to_owned()
}

/// Waits until a text stands in one of the files that begin so.
async fn on_disk(proxy: &Proxy, prefix: &str, text: &str) {
    let folder = proxy.folder().join("registry/owners/oms");
    let holds = |path: &Path| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    let found = || async {
        let files = std::fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path());
        let mut named =
            files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
        named.any(|path| holds(&path)).then_some(())
    };
    until(found).await.unwrap_or_else(|| panic!("{text} is in no {prefix}"));
}

#[tokio::test]
async fn owners_that_were_synced_survive_a_kill_and_others_an_orderly_end() {
    let mut proxy = proxy_with(&YAML.replace("@lane@", crate::LANE)).await;
    let _nodes = nodes(&proxy, 3, &["oms"]).await;
    let mut homes = Vec::new();
    for order in 0..60 {
        homes.push(ask(&proxy, &format!("order-{order:03}")).await);
    }
    let gone = proxy.admin.delete("/v1/services/oms/owners/order-007").await.expect("answered");
    assert_eq!(gone.status, 200, "{}", gone.text());
    homes.push(ask(&proxy, "order-060").await);
    on_disk(&proxy, "log.", "order-060").await;

    proxy.kill().await.expect("killed");
    proxy.restart().await.expect("serves again");
    for id in ["oms-1", "oms-2", "oms-3"] {
        proxy.admin.node_is("oms", id, "up").await.expect("checked");
    }
    let released = proxy.admin.get("/v1/services/oms/owners/order-007").await.expect("answered");
    assert_eq!(released.status, 404, "{}", released.text());
    for (order, home) in homes.iter().enumerate().filter(|(order, _)| *order != 7) {
        assert_eq!(ask(&proxy, &format!("order-{order:03}")).await, *home, "order {order}");
    }

    // Told to stop, it writes down what it knows, the last request included.
    let last = ask(&proxy, "order-last").await;
    proxy.signal(libc::SIGTERM).expect("told");
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
    on_disk(&proxy, "snapshot.", "order-last").await;
    proxy.restart().await.expect("serves again");
    for id in ["oms-1", "oms-2", "oms-3"] {
        proxy.admin.node_is("oms", id, "up").await.expect("checked");
    }
    assert_eq!(ask(&proxy, "order-last").await, last);
    for (order, home) in homes.iter().enumerate().filter(|(order, _)| *order != 7) {
        assert_eq!(ask(&proxy, &format!("order-{order:03}")).await, *home, "order {order}");
    }
}
