//! As whom the proxy runs. What takes root says so where it is not.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Admin, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{Authority, BINARY, Client};
use crate::upgraded::served_by;

/// Everybody's user without privileges (`nobody` in Debian).
const NOBODY: u32 = 65_534;

/// Whether the tests run as root; says why they are skipped where not.
fn root() -> bool {
    // `/proc/self` belongs to whom the process runs as.
    let root = std::fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    if !root {
        eprintln!("skipped: becoming another user takes root");
    }
    root
}

/// A folder that belongs to `nobody`, with a configuration in it.
struct Folder(TempDir);

impl Folder {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("pointsman-").tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("opened");
        std::fs::write(folder.path().join("p.yaml"), yaml).expect("written");
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("given away");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["run", "--threads", "2", "-c"])
            .arg(self.path("p.yaml"))
            .arg("--ports-file")
            .arg(self.path("ports.json"));
        command.current_dir(self.0.path());
        command
    }

    fn ends(&self) -> Output {
        self.command().output().expect("run")
    }

    async fn start(&self, mut command: Command) -> Running {
        let said = std::fs::File::create(self.path("said")).expect("created");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().expect("started");
        let ports = self.path("ports.json");
        let mut running = Running { child, ports: Value::Null, said: self.path("said") };
        let found = until(|| async { serde_json::from_slice(&std::fs::read(&ports).ok()?).ok() }).await;
        running.ports = found.unwrap_or_else(|| panic!("it did not come up: {}", running.said()));
        running.admin().ready().await.unwrap_or_else(|error| panic!("{error}: {}", running.said()));
        running
    }
}

struct Running {
    child: Child,
    ports: Value,
    said: PathBuf,
}

impl Running {
    fn admin(&self) -> Admin {
        Admin::new(self.ports["admin"].as_str().and_then(|text| text.parse().ok()).expect("an address"))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// The lines of each thread's status that begin so.
    fn threads(&self, field: &str) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let line = |status: String| {
            status.lines().find_map(|line| line.strip_prefix(field).map(|rest| rest.trim().to_owned()))
        };
        tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
            .filter_map(line)
            .collect()
    }
}

impl Running {
    /// The scheduling policy of each thread: field 41 of `proc_pid_stat`(5).
    fn scheduled(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let texts = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
        let policy = |text: String| text.rsplit_once(')')?.1.split_whitespace().nth(38).map(str::to_owned);
        texts.filter_map(policy).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn yaml(listeners: &str, more: &str) -> String {
    format!(
        "listeners: [{listeners}]\nadmin: {{ address: 127.0.0.1:0 }}\nregistry: {{ path: data }}\naccess_log: off\n{more}\n\
         services: {{ oms: {{ nodes: [] }} }}\nroutes: [{{ match: {{}}, service: oms }}]\n"
    )
}

#[tokio::test]
async fn started_as_root_it_becomes_whom_the_configuration_names_and_keeps_low_ports() {
    if !root() {
        return;
    }
    let low = "{ address: \"127.0.0.88:81\" }";
    let folder = Folder::new(&yaml(low, "user: nobody"));
    let running = folder.start(folder.command()).await;
    assert!(running.threads("Uid:").len() > 4, "several threads");
    for (field, expected) in [
        ("Uid:", "65534\t65534\t65534\t65534"),
        ("Gid:", "65534\t65534\t65534\t65534"),
        ("Groups:", "65534"),
        // CAP_NET_BIND_SERVICE and nothing else.
        ("CapEff:", "0000000000000400"),
        ("CapPrm:", "0000000000000400"),
        ("NoNewPrivs:", "1"),
    ] {
        assert!(running.threads(field).iter().all(|found| found == expected), "{field} {:?}", running.threads(field));
    }
    let answer = Request::get("/").send("127.0.0.88:81".parse().expect("an address")).await.expect("answered");
    assert_eq!(answer.status, 503, "no node");
    let owner = std::fs::metadata(folder.path("data/audit.log")).expect("made by it");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), NOBODY);
    // A reload opens another one.
    std::fs::write(folder.path("p.yaml"), yaml(&format!("{low}, {{ address: \"127.0.0.88:82\" }}"), "user: nobody"))
        .expect("written");
    let second = until(|| async { Request::get("/").send("127.0.0.88:82".parse().ok()?).await.ok() });
    second.await.unwrap_or_else(|| panic!("{}", running.said()));
}

/// Ends with the test; nobody's child here.
struct Heir(u32);

impl Drop for Heir {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-KILL").arg(self.0.to_string()).status();
    }
}

#[tokio::test]
async fn one_that_takes_over_runs_as_the_same_user_and_keeps_low_ports() {
    if !root() {
        return;
    }
    let low = "{ address: \"127.0.0.89:81\" }";
    let folder = Folder::new(&yaml(low, "user: nobody"));
    let mut running = folder.start(folder.command()).await;
    let mut heirs = Vec::new();
    // Asked by root, then by the user as whom it runs.
    for user in [0, NOBODY] {
        let mut command = Command::new(BINARY);
        command.args(["upgrade", "-c"]).arg(folder.path("p.yaml")).current_dir(folder.0.path());
        let said = command.uid(user).gid(user).output().expect("run");
        assert!(said.status.success(), "{said:?}: {}", running.said());
        heirs.push(Heir(served_by(&said)));
    }
    running.child.wait().expect("ended");
    let status = std::fs::read_to_string(format!("/proc/{}/status", heirs[1].0)).expect("it runs");
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65534\t65534\t65534\t65534",
        "CapPrm:\t0000000000000400",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.lines().any(|found| found == line), "{line}: {status}");
    }
    let inherited = Request::get("/").send("127.0.0.89:81".parse().expect("an address")).await.expect("answered");
    assert_eq!(inherited.status, 503, "no node");
    std::fs::write(folder.path("p.yaml"), yaml(&format!("{low}, {{ address: \"127.0.0.89:82\" }}"), "user: nobody"))
        .expect("written");
    let second = until(|| async { Request::get("/").send("127.0.0.89:82".parse().ok()?).await.ok() });
    second.await.unwrap_or_else(|| panic!("{}", running.said()));
    let lines = std::fs::read_to_string(folder.path("data/audit.log")).expect("written");
    assert!(lines.contains("\"who\":\"user 0\"") && lines.contains("\"who\":\"user 65534\""), "{lines}");
}

#[tokio::test]
async fn root_is_never_kept_silently() {
    if !root() {
        return;
    }
    let folder = Folder::new(&yaml("{ address: 127.0.0.1:0 }", ""));
    let running = folder.start(folder.command()).await;
    assert!(running.said().contains("running as root"), "{}", running.said());
    assert!(running.threads("NoNewPrivs:").iter().all(|found| found == "1"));
}

#[tokio::test]
async fn a_plain_user_needs_nothing_and_cannot_become_another() {
    if !root() {
        return;
    }
    let plain = yaml("{ address: 127.0.0.1:0 }", "");
    let folder = Folder::new(&plain);
    let as_nobody = |folder: &Folder| {
        let mut command = folder.command();
        command.uid(NOBODY).gid(NOBODY);
        command
    };
    let running = folder.start(as_nobody(&folder)).await;
    assert!(!running.said().contains("running as root"), "{}", running.said());
    // It cannot raise a thread's priority again, so none may be left behind by a reload.
    std::fs::write(folder.path("p.yaml"), plain.replace("match: {}", "match: { path: /a }")).expect("written");
    let reloaded = running.admin();
    let swapped = reloaded.answers("/metrics", |answer| answer.text().contains("pointsman_config_generation 2"));
    swapped.await.expect("reloaded");
    assert!(running.scheduled().iter().all(|policy| policy == "0"), "SCHED_OTHER: {:?}", running.scheduled());
    drop(running);
    std::fs::remove_file(folder.path("ports.json")).expect("removed");
    std::fs::write(folder.path("p.yaml"), yaml("{ address: 127.0.0.1:0 }", "user: nobody")).expect("written");
    drop(folder.start(as_nobody(&folder)).await);
    let folder = Folder::new(&yaml("{ address: 127.0.0.1:0 }", "user: daemon"));
    let refused = as_nobody(&folder).output().expect("run");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(3) && said.contains("cannot become user `daemon`: this is not root"),
        "{said}"
    );
}

#[tokio::test]
async fn what_the_user_cannot_read_is_told_at_the_start() {
    if !root() {
        return;
    }
    let folder = Folder::new(&yaml("{ address: 127.0.0.1:0 }", "user: no-such-user"));
    let said = String::from_utf8_lossy(&folder.ends().stderr).into_owned();
    assert!(said.contains("there is no user `no-such-user`") && said.contains("p.yaml:5:7"), "{said}");
    let pair = Authority::new().issue(&["site.example"]);
    let tls = "{ address: 127.0.0.1:0, tls: { certificates: [{ cert: site.pem, key: site.key }] } }";
    let folder = Folder::new(&yaml(tls, "user: nobody"));
    std::fs::write(folder.path("site.pem"), pair.cert).expect("written");
    write_private(&folder.path("site.key"), &pair.key);
    let refused = folder.ends();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("site.key: Permission denied") && said.contains("let the user that the proxy runs as read it"),
        "{said}"
    );
}

#[tokio::test]
async fn a_key_that_only_root_can_read_leaves_the_old_one_in_force() {
    if !root() {
        return;
    }
    let authority = Authority::new();
    let pair = authority.issue(&["site.example"]);
    let tls = "{ address: 127.0.0.1:0, tls: { certificates: [{ cert: site.pem, key: site.key }] } }";
    let folder = Folder::new(&yaml(tls, "user: nobody"));
    std::fs::write(folder.path("site.pem"), pair.cert).expect("written");
    write_private(&folder.path("site.key"), &pair.key);
    chown(folder.path("site.key"), Some(NOBODY), None).expect("given away");
    let running = folder.start(folder.command()).await;
    let next = authority.issue(&["site.example"]);
    std::fs::write(folder.path("site.pem"), next.cert).expect("written");
    std::fs::remove_file(folder.path("site.key")).expect("removed");
    write_private(&folder.path("site.key"), &next.key);
    let admin = running.admin();
    let told = admin.answers("/metrics", |answer| {
        answer.text().contains("pointsman_certificate_reloads_total{outcome=\"refused\"}")
    });
    told.await.expect("told");
    assert!(running.said().contains("site.key: Permission denied"), "{}", running.said());
    let address = running.ports["listeners"][0].as_str().and_then(|text| text.parse().ok()).expect("an address");
    Client::new(&authority).shake(address, "site.example").await.expect("the one from before");
}

fn write_private(file: &Path, content: &str) {
    std::fs::write(file, content).expect("written");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).expect("closed");
}

/// Everything read-only but one folder, in a mount namespace of its own.
const READ_ONLY: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$DATA" "$DATA"
awk '{ print $2 }' /proc/mounts | while read -r at; do
    [ "$at" = "$DATA" ] || mount -o remount,bind,ro "$at" 2>/dev/null || true
done
if touch "$DATA.proof" 2>/dev/null; then echo "the root file system can still be written" >&2; exit 99; fi
exec "$@"
"#;

#[tokio::test]
async fn it_writes_below_its_data_folder_and_nowhere_else() {
    if !root() {
        return;
    }
    let text = yaml("{ address: 127.0.0.1:0 }", "user: nobody")
        .replace("access_log: off", "access_log: { path: data/access.log }");
    let folder = Folder::new(&text);
    let plain = folder.command();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", READ_ONLY, "sh"]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(folder.0.path()).env("DATA", folder.0.path());
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: there are no mount namespaces here");
        return;
    }
    let running = folder.start(command).await;
    let admin = running.admin();
    let joined =
        admin.put("/v1/services/oms/nodes/n1", &json!({ "address": "127.0.0.1:9001" })).await.expect("answered");
    assert_eq!(joined.status, 201, "{}", joined.text());
    let wasm = include_bytes!("../../../../policies/dist/round-robin.wasm").to_vec();
    let uploaded = admin.put_bytes("/v1/policies/round-robin", wasm).await.expect("answered");
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let lines = std::fs::read_to_string(folder.path("data/audit.log")).expect("written");
    assert!(lines.contains("\"join\"") && lines.contains("\"upload-policy\""), "{lines}");
}
