//! Nobody is up, or somebody has just come up.

use pointsman_demo::client::Request;
use serde_json::json;

use crate::puppet::Puppet;
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  api:
    policy: least-connections
    @more@
    nodes: [@nodes@]
routes: [{ service: api }]
"#;

fn yaml(more: &str, nodes: &[&Puppet]) -> String {
    let node = |(i, puppet): (usize, &&Puppet)| format!("{{ id: n{}, address: \"{}\" }}", i + 1, puppet.address);
    let nodes: Vec<_> = nodes.iter().enumerate().map(node).collect();
    TEMPLATE.replace("@lane@", crate::LANE).replace("@more@", more).replace("@nodes@", &nodes.join(", "))
}

/// Its checks fail, and it would answer nevertheless.
const SICK: &str = "health: { http: /health, expect: [299], interval: 100ms, timeout: 100ms }\n    all_down: ";

#[tokio::test]
async fn where_nobody_is_up_the_service_says_who_may_try() {
    for (all_down, read, write) in [("fail", 503, 503), ("try-any", 200, 503), ("try-any-writes", 200, 200)] {
        let node = Puppet::start().await;
        let text = yaml(&format!("{SICK}{all_down}"), &[&node]);
        let proxy = proxy_with(&text).await;
        let _node = node.answer_all(200);
        let standing = if all_down == "fail" { "down" } else { "degraded" };
        proxy.admin.node_is("api", "n1", standing).await.expect("checked");
        let answer = Request::get("/x").send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.status, read, "{all_down}: {}", answer.text());
        let answer = Request::post("/x", &json!({})).send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.status, write, "{all_down}: {}", answer.text());
        if write == 503 {
            assert_eq!(answer.json().expect("JSON")["reason"], "no-node");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
}

#[tokio::test]
async fn a_new_node_is_not_run_over_for_being_idle() {
    let (mut old, mut new) = (Puppet::start().await, Puppet::start().await);
    let slow = "slow_start: { window: 1h, floor: 10% }";
    let proxy = proxy_with(&yaml(slow, &[&old])).await;
    proxy.write_config(&yaml(slow, &[&old, &new])).expect("written");
    proxy.admin.reload().await.expect("answered");
    proxy.admin.node_is("api", "n2", "up").await.expect("there");
    let node = proxy.admin.node("api", "n2").await.expect("answered").expect("there");
    assert_eq!(node["share"], 0.1, "{node}");
    // A tenth of a share: nine go to the old node before the new one gets its first.
    let (mut clients, mut held) = (Vec::new(), Vec::new());
    for number in 0..9 {
        let request = Request::get(&format!("/{number}"));
        let proxy = proxy.addr();
        clients.push(tokio::spawn(async move { request.send(proxy).await.expect("answered").status }));
        held.push(old.next().await);
    }
    assert!(!new.is_asked());
    let proxy = proxy.addr();
    for number in 9..11 {
        let request = Request::get(&format!("/{number}"));
        clients.push(tokio::spawn(async move { request.send(proxy).await.expect("answered").status }));
    }
    held.push(new.next().await);
    held.push(old.next().await);
    held.into_iter().for_each(|asked| asked.answer(200));
    for client in clients {
        assert_eq!(client.await.expect("runs"), 200);
    }
}
