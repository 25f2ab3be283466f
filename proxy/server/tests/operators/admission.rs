//! Closed by default: tokens and TLS wherever others reach the API.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use pointsman_demo::client::{Answer, Request};
use pointsman_demo::harness::{Proxy, ProxyOptions, until};

use crate::stage::{Authority, BINARY, Client, Pair};

const YAML: &str = r#"
listeners: [{ address: "@listen@" }]
admin:
  address: "@admin@"
  tls: { certificates: [{ cert: admin.pem, key: admin.key }] }
  tokens:
TOKENS
access_log: off
registry: { store: embedded, path: registry }
services: { oms: { nodes: [] }, api: { nodes: [] } }
routes: [{ match: {}, service: oms }]
"#;

/// A token as `pointsman admin token` makes it, and the line for the YAML.
fn token(arguments: &[&str]) -> (String, String) {
    let made = Command::new(BINARY).args(["admin", "token"]).args(arguments).output().expect("made");
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stderr).expect("text");
    let line = said.lines().last().expect("a line").to_owned();
    (String::from_utf8(made.stdout).expect("text").trim().to_owned(), line)
}

/// A proxy whose API stands on every address, and who may ask it.
pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    authority: Authority,
    yaml: String,
    pub(crate) all: String,
    node: String,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let authority = Authority::new();
        let Pair { cert, key } = authority.issue(&["admin.example", "127.0.0.1"]);
        let (all, first) = token(&["--name", "ops"]);
        let (node, second) = token(&["--name", "oms-nodes", "--role", "nodes", "--service", "oms"]);
        let yaml = YAML.replace("TOKENS", &format!("{first}\n{second}")).replace("@admin@", "0.0.0.0:0");
        let options = ProxyOptions::new(BINARY, &yaml)
            .arguments(&["--threads", "1"])
            .file("admin.pem", cert)
            .file("admin.key", key)
            .file("ca.pem", authority.pem())
            .file("ops.token", format!("{all}\n"));
        let proxy = Proxy::start_unready(options).await.expect("it accepts");
        Self { proxy, authority, yaml, all, node }
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.proxy.admin.address().port()))
    }

    pub(crate) async fn ask(&self, request: Request, token: &str) -> Answer {
        let mut connection = Client::new(&self.authority).connect(self.admin(), "admin.example").await.expect("shaken");
        let request =
            if token.is_empty() { request } else { request.header("authorization", &format!("Bearer {token}")) };
        connection.exchange(&request).await.expect("an answer")
    }

    fn run(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.proxy.folder()).envs(environment.iter().copied());
        command.output().expect("run")
    }
}

fn join() -> Request {
    Request::new("PUT", "/v1/services/oms/nodes/n1").json(&serde_json::json!({ "address": "127.0.0.1:9001" }))
}

#[tokio::test]
async fn an_open_address_wants_tokens_and_speaks_tls_alone() {
    let stage = Stage::new().await;
    assert_eq!(stage.ask(Request::get("/livez"), "").await.status, 200);
    let refused = stage.ask(Request::get("/v1/services"), "").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer realm=\"pointsman\"")));
    assert_eq!(stage.ask(join(), &stage.node).await.status, 201);
    let elsewhere = Request::new("PUT", "/v1/services/api/nodes/n1");
    assert_eq!(stage.ask(elsewhere, &stage.node).await.status, 403);
    assert_eq!(stage.ask(Request::new("POST", "/v1/config/reload"), &stage.node).await.status, 403);
    assert_eq!(stage.ask(Request::new("POST", "/v1/config/reload"), &stage.all).await.status, 200);
    Request::get("/livez").send(stage.admin()).await.expect_err("nothing in clear");
    let metrics = stage.ask(Request::get("/metrics"), &stage.all).await.text();
    for line in ["{reason=\"no-token\"} 1", "{reason=\"other-service\"} 1", "{reason=\"role\"} 1"] {
        assert!(metrics.contains(&format!("pointsman_admin_refused_total{line}")), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn what_would_be_open_is_refused_before_it_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.yaml");
    let (_, line) = token(&[]);
    let check = |admin: &str| {
        let yaml = format!("listeners: [{{ address: 127.0.0.1:0 }}]\nadmin:\n  address: 0.0.0.0:0\n{admin}");
        std::fs::write(&file, yaml).expect("written");
        let run = |command: &str| Command::new(BINARY).args([command, "-c"]).arg(&file).output().expect("run");
        let (checked, started) = (run("check"), run("run"));
        assert_eq!((checked.status.code(), started.status.code()), (Some(3), Some(3)), "{started:?}");
        assert_eq!(checked.stderr, started.stderr);
        String::from_utf8(checked.stderr).expect("text")
    };
    let open = check("");
    assert!(
        open.contains("would be open to anyone") && open.contains("p.yaml:3:12") && open.contains("help: add `tls`")
    );
    assert!(check(&format!("  tokens:\n{line}\n")).contains("tokens would cross the network in clear"));
    let token_file = check("  token_file: token\n");
    assert!(token_file.contains("`token_file` of `admin` would keep a token in clear"), "{token_file}");
}

#[tokio::test]
async fn the_commands_ask_over_tls_with_a_token() {
    let stage = Stage::new().await;
    let place = format!("https://{}", stage.admin());
    let with_file = ["nodes", "--admin", &place, "--ca", "ca.pem", "--token-file", "ops.token"];
    assert_eq!(stage.ask(join(), &stage.all).await.status, 201);
    let said = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let nodes = stage.run(&[], &with_file);
    assert!(nodes.status.success() && said(&nodes).contains("n1"), "{}", said(&nodes));
    let by_environment = stage.run(&[("POINTSMAN_TOKEN", &stage.all)], &with_file[..5]);
    assert!(by_environment.status.success() && said(&by_environment).contains("n1"), "{}", said(&by_environment));
    let drain = ["nodes", "drain", "oms", "n1", "--admin", &place, "--ca", "ca.pem"];
    let drained = stage.run(&[("POINTSMAN_TOKEN", &stage.node)], &drain);
    assert!(drained.status.success(), "{}", said(&drained));
    let denied =
        stage.run(&[("POINTSMAN_TOKEN", &stage.node)], &["policy", "list", "--admin", &place, "--ca", "ca.pem"]);
    assert!(!denied.status.success() && said(&denied).contains("has the role `nodes`"), "{}", said(&denied));
    let without = stage.run(&[], &with_file[..5]);
    assert!(!without.status.success() && said(&without).contains("wants a token"), "{}", said(&without));
    // Another authority's.
    std::fs::write(stage.proxy.folder().join("other.pem"), Authority::new().pem()).expect("written");
    let stranger = stage.run(&[], &["nodes", "--admin", &place, "--ca", "other.pem", "--token-file", "ops.token"]);
    assert!(!stranger.status.success() && said(&stranger).contains("invalid peer certificate"), "{}", said(&stranger));
    // What `-c` says of it: the scheme, and loopback in place of every address.
    let port = format!("0.0.0.0:{}", stage.admin().port());
    std::fs::write(
        stage.proxy.folder().join("asked.yaml"),
        stage.yaml.replace("0.0.0.0:0", &port).replace("@listen@", "127.0.0.1:0"),
    )
    .expect("written");
    let by_config = stage.run(&[("POINTSMAN_TOKEN", &stage.all)], &["nodes", "-c", "asked.yaml", "--ca", "ca.pem"]);
    assert!(by_config.status.success() && said(&by_config).contains("n1"), "{}", said(&by_config));
}

#[tokio::test]
async fn a_certificate_is_renewed_and_a_token_revoked_while_it_runs() {
    let mut stage = Stage::new().await;
    let new = Authority::new();
    let Pair { cert, key } = new.issue(&["admin.example"]);
    let replace = |name: &str, content: &str| {
        let aside = stage.proxy.folder().join(format!("{name}.new"));
        std::fs::write(&aside, content).expect("written");
        std::fs::rename(aside, stage.proxy.folder().join(name)).expect("renamed");
    };
    replace("admin.pem", &cert);
    replace("admin.key", &key);
    let shown = until(|| async { Client::new(&new).shake(stage.admin(), "admin.example").await.ok() });
    shown.await.expect("the new certificate is shown");
    stage.authority = new;
    let (other, line) = token(&["--name", "other"]);
    let listen = stage.proxy.addr().to_string();
    let admin = format!("0.0.0.0:{}", stage.admin().port());
    let yaml = YAML.replace("TOKENS", &line).replace("@admin@", &admin).replace("@listen@", &listen);
    write(&stage.proxy.config(), &yaml);
    let taken = until(|| async { (stage.ask(Request::get("/v1"), &other).await.status == 200).then_some(()) });
    taken.await.expect("the new token is taken");
    assert_eq!(stage.ask(Request::get("/v1"), &stage.all).await.status, 401);
}

#[tokio::test]
async fn a_hash_in_a_file_of_its_own_is_read_and_followed() {
    let (first, line) = token(&[]);
    let (second, other) = token(&[]);
    let hash = |line: &str| line.split('"').nth(1).expect("a hash").to_owned();
    let yaml = r#"
listeners: [{ address: "@listen@" }]
admin: { address: "@admin@", tokens: [{ name: ops, role: all, hash_file: ops.hash }] }
registry: { store: embedded, path: registry }
"#;
    let options = ProxyOptions::new(BINARY, yaml).file("ops.hash", hash(&line));
    let proxy = Proxy::start_with(options).await.expect("it serves");
    assert_eq!(proxy.admin.get("/v1").await.expect("an answer").status, 401, "also on loopback");
    assert_eq!(proxy.admin.clone().with_token(&first).get("/v1").await.expect("an answer").status, 200);
    write(&proxy.folder().join("ops.hash"), &hash(&other));
    proxy.admin.clone().with_token(&second).answers("/v1", |answer| answer.status == 200).await.expect("followed");
    assert_eq!(proxy.admin.clone().with_token(&first).get("/v1").await.expect("an answer").status, 401);
}

fn write(file: &Path, content: &str) {
    let aside = file.with_extension("aside");
    std::fs::write(&aside, content).expect("written");
    std::fs::rename(aside, file).expect("renamed");
}
