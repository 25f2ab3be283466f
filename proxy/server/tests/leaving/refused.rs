//! Upgrades that do not come about: the process before serves on, and says why.

use pointsman_demo::client::Request;
use pointsman_demo::harness::Proxy;
use pointsman_demo::node::{self, NodeOptions};
use serde_json::json;

use crate::stage::{BINARY, counted, no_lease_lost, nodes, proxy, script, upgrade};

async fn serves(proxy: &Proxy) {
    for &listener in &proxy.listeners[..2] {
        assert_eq!(Request::get("/echo").send(listener).await.expect("answered").status, 200);
    }
    assert_eq!(proxy.admin.get("/readyz").await.expect("answered").status, 200);
    no_lease_lost(proxy).await;
}

#[tokio::test]
async fn a_program_that_does_not_serve_changes_nothing() {
    let mut proxy = proxy(&[]).await;
    let nodes = nodes(&proxy, 1).await;
    let broken = script(&proxy, "broken", "echo too bad >&2; exit 7");
    let silent = script(&proxy, "silent", "exec sleep 600");
    let old = script(&proxy, "other", &format!("unset POINTSMAN_UPGRADE; exec {BINARY} run -c pointsman.yaml"));
    let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let cases = [
        (path(&proxy.folder().join("nothing")), "20", "cannot be started"),
        (path(&broken), "20", "exit status: 7"),
        (path(&silent), "2", "did not serve in time"),
        // One that knows nothing of upgrades finds the registry taken.
        (path(&old), "30", "ended before it served"),
    ];
    for (count, (binary, timeout, why)) in (1..).zip(&cases) {
        let said = upgrade(&mut proxy, &["--binary", binary, "--timeout", timeout]).await.expect_err("refused");
        assert!(said.contains(why) && said.contains("serves on"), "{said}");
        counted(&proxy, &format!("pointsman_upgrades_total{{outcome=\"failed\"}} {count}")).await;
        serves(&proxy).await;
    }
    proxy.has_said("upgrade-failed").await.expect("told");
    assert_eq!(nodes[0].joins(), 1, "no lease was lost");
    // And one that does serve still can.
    upgrade(&mut proxy, &[]).await.expect("upgraded");
    serves(&proxy).await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_named() {
    let proxy = proxy(&[]).await;
    let _nodes = nodes(&proxy, 1).await;
    let text = std::fs::read_to_string(proxy.config()).expect("readable");
    std::fs::write(proxy.config(), text.replace("policy: round-robin", "policy: round-robbing")).expect("written");
    proxy.signal(libc::SIGUSR2).expect("signalled");
    counted(&proxy, "pointsman_upgrades_total{outcome=\"failed\"} 1").await;
    proxy.has_said("upgrade-failed").await.expect("told");
    let said = proxy.said();
    let told = said.split("upgrade-failed").nth(1).expect("it was said");
    assert!(told.contains("round-robbing") && told.contains("pointsman.yaml:"), "{told}");
    serves(&proxy).await;
}

/// A new process that has the registry and answers operators, but never comes to serve: what it was told while it had the
/// registry is known to the one that goes on.
#[tokio::test]
async fn what_the_new_one_wrote_is_not_lost_with_it() {
    let mut proxy = proxy(&[]).await;
    let nodes = nodes(&proxy, 1).await;
    // Whoever connects waits for ever, so the first check of this node takes as long as it may.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let text = std::fs::read_to_string(proxy.config()).expect("readable");
    let more = format!(
        "  slow: {{ nodes: [{{ id: s1, address: {} }}], health: {{ http: /, interval: 50s, timeout: 50s }} }}\nroutes:",
        silent.local_addr().expect("bound")
    );
    std::fs::write(proxy.folder().join("slow.yaml"), text.replace("routes:", &more)).expect("written");
    let program = script(&proxy, "slow", &format!("exec {BINARY} run -c slow.yaml --threads 2"));
    let late = node::start(NodeOptions::new("late")).expect("a node");
    let admin = proxy.admin.clone();
    let meanwhile = async {
        admin.answers("/v1/services", |answer| answer.text().contains("\"slow\"")).await.expect("the new one answers");
        let join = json!({ "address": late.addr.to_string(), "ordinal": 9, "ttl": "60s" });
        assert_eq!(admin.put("/v1/services/api/nodes/late", &join).await.expect("answered").status, 201);
        assert_eq!(admin.post("/v1/services/api/nodes/n1/drain", &json!({})).await.expect("answered").status, 200);
    };
    let program = program.to_str().expect("a path").to_owned();
    let line = ["--binary", &program, "--timeout", "8"];
    let (said, ()) = tokio::join!(upgrade(&mut proxy, &line), meanwhile);
    assert!(said.expect_err("refused").contains("did not serve in time"));
    proxy.admin.node_is("api", "late", "up").await.expect("known, and checked");
    proxy.admin.node_is("api", "n1", "draining").await.expect("known");
    let answer = Request::get("/echo").send(proxy.addr()).await.expect("answered");
    assert_eq!(answer.header("x-node"), Some("late"));
    let slow = proxy.admin.get("/v1/services/slow").await.expect("answered");
    assert_eq!(slow.status, 404, "of the configuration of the new one nothing stays");
    assert_eq!(nodes[0].joins(), 1, "no lease was lost");
}
