//! The audit as whoever runs the proxy finds it.

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, ProxyOptions, until};
use serde_json::{Value, json};

use crate::stage::BINARY;

const YAML: &str = r#"
listeners: [{ address: "@listen@" }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services: { oms: { nodes: [] } }
routes: [{ match: {}, service: oms }]
"#;

async fn proxy() -> Proxy {
    Proxy::start_with(ProxyOptions::new(BINARY, YAML).arguments(&["--threads", "1"])).await.expect("it serves")
}

fn lines(proxy: &Proxy) -> Vec<Value> {
    let text = std::fs::read_to_string(proxy.folder().join("registry/audit.log")).expect("beside the registry");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

async fn last(proxy: &Proxy, what: &str, who: &str) -> Value {
    let wanted = |line: &Value| line["what"] == what && line["who"] == who;
    until(|| async { lines(proxy).into_iter().rfind(wanted) }).await.expect("a line")
}

#[tokio::test]
async fn a_change_is_told_with_what_was_before_and_after() {
    let proxy = proxy().await;
    let node = "/v1/services/oms/nodes/n1";
    proxy.admin.put(node, &json!({ "address": "127.0.0.1:9001", "weight": 2 })).await.expect("joined");
    let joined = last(&proxy, "join", "loopback").await;
    assert!(joined["before"].is_null() && joined["from"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")));
    assert_eq!((&joined["after"]["address"], &joined["outcome"]), (&"127.0.0.1:9001".into(), &"done".into()));
    // The same again, and a heartbeat, change nothing.
    proxy.admin.put(node, &json!({ "address": "127.0.0.1:9001", "weight": 2 })).await.expect("renewed");
    proxy.admin.post(&format!("{node}/heartbeat"), &json!({})).await.expect("renewed");
    proxy.admin.put(node, &json!({ "address": "127.0.0.1:9001", "weight": 3 })).await.expect("changed");
    let changed = last(&proxy, "join", "loopback").await;
    assert_eq!((&changed["before"]["weight"], &changed["after"]["weight"]), (&2.into(), &3.into()));
    proxy.admin.post(&format!("{node}/drain"), &json!({})).await.expect("drained");
    let drained = last(&proxy, "drain", "loopback").await;
    assert_eq!((&drained["before"]["draining"], &drained["after"]["draining"]), (&false.into(), &true.into()));
    proxy.admin.delete(node).await.expect("left");
    let left = last(&proxy, "leave", "loopback").await;
    assert!(left["after"].is_null() && left["before"]["weight"] == 3, "{left}");
    proxy.admin.delete(node).await.expect("answered");
    assert_eq!(last(&proxy, "leave", "loopback").await["reason"], "no-node");
    assert_eq!(lines(&proxy).len(), 5, "{:#?}", lines(&proxy));
}

#[tokio::test]
async fn a_reload_is_told_whoever_caused_it() {
    let proxy = proxy().await;
    proxy.write_config(&YAML.replace("match: {}", "match: { path: /a }")).expect("written");
    let by_file = last(&proxy, "reload", "file").await;
    assert_eq!((&by_file["before"]["generation"], &by_file["after"]["generation"]), (&1.into(), &2.into()));
    std::fs::write(proxy.config(), "nonsense").expect("written");
    proxy.signal(libc::SIGHUP).expect("signalled");
    let refused = until(|| async { lines(&proxy).into_iter().find(|line| line["outcome"] == "refused") });
    assert_eq!(refused.await.expect("a line")["reason"], "refused");
    proxy.admin.reload().await.expect("answered");
    let by_hand = last(&proxy, "reload", "loopback").await;
    assert_eq!((&by_hand["outcome"], &by_hand["after"]["generation"]), (&"refused".into(), &2.into()));
    let wasm = proxy.admin.put_bytes("/v1/policies/round-robin", b"\0asm nonsense".to_vec()).await.expect("answered");
    assert_eq!(wasm.status, 422);
    let upload = last(&proxy, "upload-policy", "loopback").await;
    assert!(upload["policy"] == "round-robin" && upload["before"]["digest"].is_string(), "{upload}");
}

#[tokio::test]
async fn lines_outlive_a_kill() {
    let mut proxy = proxy().await;
    let node = "/v1/services/oms/nodes/n1";
    proxy.admin.put(node, &json!({ "address": "127.0.0.1:9001" })).await.expect("joined");
    proxy.kill().await.expect("killed");
    let file = proxy.folder().join("registry/audit.log");
    let torn = [std::fs::read(&file).expect("there"), b"{\"time\":\"2026".to_vec()].concat();
    std::fs::write(&file, torn).expect("written");
    proxy.restart().await.expect("it serves again");
    let found: Vec<String> =
        lines(&proxy).iter().map(|line| line["what"].as_str().unwrap_or_default().into()).collect();
    assert_eq!(found, ["join", "repair-audit"]);
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_written_down_all_the_same() {
    let proxy = proxy().await;
    let mut waiting = Vec::new();
    for number in 0..50 {
        let path = format!("/v1/services/oms/nodes/n{number}");
        let body = json!({ "address": format!("127.0.0.1:{}", 20_000 + number), "ttl": "1h" });
        let mut stream = std::net::TcpStream::connect(proxy.admin.address()).expect("connected");
        let text = body.to_string();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("sent");
        // Every other one hangs up at once: its change is made and told, or neither.
        waiting.extend(Some(stream).filter(|_| number % 2 == 0));
    }
    let settled = until(|| async {
        let report = proxy.admin.get("/v1/services/oms").await.ok()?.json().ok()?;
        let joined = report["nodes"].as_array().map_or(0, Vec::len);
        // What broke off with its connection is told as refused.
        let written = lines(&proxy).iter().filter(|line| line["outcome"] == "done").count();
        (joined >= waiting.len() && joined == written).then_some(())
    });
    settled.await.expect("a line for each that joined");
    assert_eq!(Request::get("/livez").send(proxy.admin.address()).await.expect("alive").status, 200);
}
