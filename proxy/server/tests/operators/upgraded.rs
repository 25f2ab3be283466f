//! Who may ask for an upgrade, what is written down of it, and as whom the new process runs.

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, ProxyOptions, until};
use serde_json::{Value, json};

use crate::admission::Stage;
use crate::stage::BINARY;

const YAML: &str = r#"
listeners: [{ address: "@listen@" }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services: { oms: { nodes: [] } }
routes: [{ match: {}, service: oms }]
"#;

/// The process that serves now.
pub(crate) fn served_by(said: &std::process::Output) -> u32 {
    let text = String::from_utf8_lossy(&said.stdout);
    let pid = text.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
    pid.unwrap_or_else(|| panic!("no process is named: {said:?}"))
}

async fn upgrade(proxy: &mut Proxy) {
    let said = proxy.command(&["upgrade", "-c", "pointsman.yaml"]).await.expect("the command runs");
    proxy.upgraded(served_by(&said)).expect("it runs");
}

fn lines(proxy: &Proxy) -> Vec<Value> {
    let text = std::fs::read_to_string(proxy.folder().join("registry/audit.log")).expect("beside the registry");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn the_new_process_asks_for_tls_and_tokens_at_the_inherited_address() {
    let mut stage = Stage::new().await;
    for _ in 0..2 {
        upgrade(&mut stage.proxy).await;
        let asked = Request::get("/v1/services");
        assert_eq!(stage.ask(asked.clone(), &stage.all).await.status, 200);
        assert_eq!(stage.ask(asked.clone(), "").await.status, 401);
        assert!(asked.send(stage.admin()).await.is_err(), "in clear nobody is answered");
    }
}

#[tokio::test]
async fn both_processes_write_one_audit_in_order() {
    let options = ProxyOptions::new(BINARY, YAML).arguments(&["--threads", "1", "--grace", "2"]);
    let mut proxy = Proxy::start_with(options).await.expect("it serves");
    let join = async |proxy: &Proxy, node: &str| {
        let node = format!("/v1/services/oms/nodes/{node}");
        let answer = proxy.admin.put(&node, &json!({ "address": "127.0.0.1:9001", "ttl": "1h" })).await;
        assert_eq!(answer.expect("answered").status, 201);
        proxy.admin.delete(&node).await.expect("answered");
    };
    join(&proxy, "n1").await;
    // One that fails once it has the registry and the file: there is room for nobody's sockets file.
    let ports = proxy.folder().join("nowhere");
    let program = proxy.folder().join("fails");
    let text = format!("#!/bin/sh\nexec {BINARY} run -c pointsman.yaml --ports-file {}/ports.json\n", ports.display());
    std::fs::write(&program, text).expect("written");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("made executable");
    let said = proxy.command(&["upgrade", "-c", "pointsman.yaml", "--binary", "fails"]).await.expect("it runs");
    assert!(!said.status.success(), "{said:?}");
    join(&proxy, "n2").await;
    upgrade(&mut proxy).await;
    join(&proxy, "n3").await;
    proxy.signal(libc::SIGUSR2).expect("signalled");
    let by_signal = |line: &Value| line["what"] == "upgrade" && line["who"] == "signal";
    let found = until(|| async { lines(&proxy).into_iter().find(by_signal) }).await.expect("a line");
    let heir = found["after"]["process"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a process");
    proxy.upgraded(heir).expect("it runs");
    let told: Vec<_> = lines(&proxy)
        .iter()
        .map(|line| format!("{} {}", line["what"].as_str().expect("said"), line["outcome"].as_str().expect("said")))
        .collect();
    let changes = ["join done", "leave done"];
    let wanted =
        [&changes[..], &["upgrade refused"], &changes, &["upgrade done"], &changes, &["upgrade done"]].concat();
    assert_eq!(told, wanted);
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(proxy.folder()).expect("there"));
    let asked: Vec<Value> =
        lines(&proxy).into_iter().filter(|line| line["what"] == "upgrade").map(|line| line["who"].clone()).collect();
    assert_eq!(asked, [json!(format!("user {own}")), json!(format!("user {own}")), json!("signal")]);
}
