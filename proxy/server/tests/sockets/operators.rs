//! The admin API at a Unix socket.

use std::path::Path;
use std::process::Stdio;

use pointsman_demo::client::Request;
use pointsman_demo::harness::until;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::stage::{BINARY, Node, get, mode, number, open, upgrade};

const YAML: &str = r#"
listeners: [{ address: "unix:http.sock" }]
admin: { address: "unix:admin.sock" }
access_log: off
registry: { store: embedded, path: registry }
services: { app: {} }
routes: [{ match: {}, service: app }]
"#;

fn start(folder: &Path) -> Child {
    std::fs::write(folder.join("pointsman.yaml"), YAML).expect("written");
    let mut command = Command::new(BINARY);
    command.args(["run", "-c", "pointsman.yaml"]).current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().expect("started")
}

async fn answers(admin: &Path) {
    let alive = until(|| async { get(admin).await.ok() });
    alive.await.expect("the API answers");
}

fn terminate(pid: u32) {
    let told = std::process::Command::new("sh").args(["-c", &format!("kill {pid}")]).status().expect("sh(1) runs");
    assert!(told.success());
}

#[tokio::test]
async fn whoever_the_file_lets_in_may_do_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = start(folder.path());
    let admin = folder.path().join("admin.sock");
    answers(&admin).await;
    assert_eq!(mode(&admin), 0o600);
    let node = folder.path().join("a.sock");
    let _node = Node::start(&node);
    let join =
        Request::new("PUT", "/v1/services/app/nodes/a").json(&json!({ "address": format!("unix:{}", node.display()) }));
    let answer = open(&admin).await.expect("connected").exchange(&join).await.expect("answered");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let served =
        until(|| async { get(folder.path().join("http.sock")).await.ok().filter(|answer| answer.status == 200) });
    served.await.expect("it serves");

    let where_it_is = format!("unix:{}", admin.display());
    for target in [["-c", "pointsman.yaml"], ["--admin", &where_it_is]] {
        let told = Command::new(BINARY).arg("nodes").args(target).current_dir(folder.path()).output();
        let told = told.await.expect("the command runs");
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.status.success() && text.contains("unix:") && text.contains("a.sock"), "{told:?}");
    }
    let audit = std::fs::read_to_string(folder.path().join("registry/audit.log")).expect("written");
    assert!(audit.contains("\"unix\"") && audit.contains("\"join\""), "{audit}");
    terminate(child.id().expect("it runs"));
    assert!(child.wait().await.expect("it ends").success());
    assert!(!admin.exists() && UnixStream::connect(&admin).await.is_err());
}

#[tokio::test]
async fn an_upgrade_hands_it_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = start(folder.path());
    let admin = folder.path().join("admin.sock");
    answers(&admin).await;
    let before = number(&admin);
    let pid = upgrade(folder.path()).await;
    assert!(child.wait().await.expect("it ends").success());
    assert_eq!(number(&admin), before);
    answers(&admin).await;
    terminate(pid);
    until(|| async { (!admin.exists()).then_some(()) }).await.expect("removed by the one that came last");
}
