//! A node that fails the requests it gets is taken out, and comes back.

use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use serde_json::Value;

use crate::puppet::Puppet;
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  api:
    policy: round-robin
    retry: { attempts: 2, on: [connect, reset, "503"] }
    eject: { time: 10m, max_time: 10m }
    @health@
    nodes: [@nodes@]
routes: [{ service: api }]
"#;

/// The node's checks pass, whatever its requests get.
const CHECKED: &str = "health: { http: /health, interval: 200ms, timeout: 200ms, fall: 2, rise: 1 }";

fn yaml(health: &str, nodes: &[&Puppet]) -> String {
    let node = |(i, puppet): (usize, &&Puppet)| format!("{{ id: n{}, address: \"{}\" }}", i + 1, puppet.address);
    let nodes: Vec<_> = nodes.iter().enumerate().map(node).collect();
    TEMPLATE.replace("@lane@", crate::LANE).replace("@health@", health).replace("@nodes@", &nodes.join(", "))
}

/// Asks until a node of the service looks as wanted; every request is answered 200. Answers the node.
async fn asked_until(proxy: &Proxy, node: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    pointsman_demo::harness::until(|| async {
        let answer = Request::get("/x").send(proxy.addr()).await.expect("answered");
        assert_eq!(answer.status, 200, "{}", answer.text());
        proxy.admin.node("api", node).await.expect("answered").filter(|node| wanted(node))
    })
    .await
    .expect("it looked so in time")
}

fn ejected(node: &Value) -> bool {
    node["reason"] == "ejected"
}

async fn events(proxy: &Proxy) -> String {
    proxy.admin.get("/metrics").await.expect("answered").text()
}

#[tokio::test]
async fn a_node_that_answers_badly_is_taken_out_though_nothing_checks_it() {
    let (bad, good) = (Puppet::start().await, Puppet::start().await);
    let proxy = proxy_with(&yaml("", &[&bad, &good])).await;
    let (_bad, _good) = (bad.answer_all(503), good.answer_all(200));
    let node = asked_until(&proxy, "n1", ejected).await;
    assert_eq!(node["standing"], "down", "{node}");
    assert!(node["ejected_ms"].as_u64().is_some_and(|ms| ms > 500_000 && ms <= 600_000), "{node}");
    let text = events(&proxy).await;
    assert!(text.contains("pointsman_ejections_total{cause=\"row\",node=\"n1\",service=\"api\"} 1"), "{text}");
    assert!(text.contains("pointsman_node_standing{node=\"n1\",service=\"api\"} 3"), "{text}");
    let before = node["requests"].as_u64();
    for _ in 0..20 {
        assert_eq!(Request::get("/x").send(proxy.addr()).await.expect("answered").status, 200);
    }
    let node = proxy.admin.node("api", "n1").await.expect("answered").expect("there");
    assert_eq!(node["requests"].as_u64(), before, "it gets nothing while it is out");
}

#[tokio::test]
async fn the_last_node_stays_however_badly_it_answers() {
    let bad = Puppet::start().await;
    let proxy = proxy_with(&yaml("", &[&bad])).await;
    let _bad = bad.answer_all(503);
    for _ in 0..10 {
        assert_eq!(Request::get("/x").send(proxy.addr()).await.expect("answered").status, 503);
    }
    let spared = |answer: &pointsman_demo::client::Answer| {
        answer.text().contains("pointsman_ejections_spared_total{node=\"n1\",service=\"api\"}")
    };
    proxy.admin.answers("/metrics", spared).await.expect("judged");
    let answer = Request::get("/x").send(proxy.addr()).await.expect("answered");
    assert!(answer.header("retry-after").is_none(), "the answer is the node's own: {}", answer.text());
    assert_eq!(proxy.admin.node("api", "n1").await.expect("answered").expect("there")["standing"], "up");
}

#[tokio::test]
async fn a_node_that_is_back_is_back_as_soon_as_its_checks_pass() {
    let (mortal, good) = (Puppet::start().await, Puppet::start().await);
    let address = mortal.address;
    let proxy = proxy_with(&yaml(CHECKED, &[&mortal, &good])).await;
    let _good = good.answer_all(200);
    drop(mortal);
    let out = |node: &Value| ejected(node) || node["standing"] == "down";
    asked_until(&proxy, "n1", out).await;
    let _back = Puppet::at(address).await.answer_all(200);
    // Its time out is ten minutes.
    proxy.admin.node_is("api", "n1", "up").await.expect("its checks brought it back");
}

#[tokio::test]
async fn checks_that_pass_while_requests_fail_are_believed_once() {
    let (mut bad, good) = (Puppet::start().await, Puppet::start().await);
    let proxy = proxy_with(&yaml(CHECKED, &[&bad, &good])).await;
    let _good = good.answer_all(200);
    let reset = tokio::spawn(async move {
        loop {
            bad.next().await.reset();
        }
    });
    let twice = |text: String| text.contains("pointsman_ejections_total{cause=\"row\",node=\"n1\",service=\"api\"} 2");
    asked_until(&proxy, "n1", ejected).await;
    pointsman_demo::harness::until(|| async {
        assert_eq!(Request::get("/x").send(proxy.addr()).await.expect("answered").status, 200);
        twice(events(&proxy).await).then_some(())
    })
    .await
    .expect("out, back by its checks, and out again");
    let node = proxy.admin.node("api", "n1").await.expect("answered").expect("there");
    assert!(ejected(&node), "{node}");
    reset.abort();
}
