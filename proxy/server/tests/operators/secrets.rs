//! What is secret shows nowhere: not in dumps, problems, events, metrics, logs or the audit.

use std::process::Command;

use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, ProxyOptions};
use serde_json::json;

use crate::stage::{Authority, BINARY, SITE};

const HASH: &str = "5d5b09f6dcb2d53a5fffc60c4ac0d55fabdf556069d6631545f42aa6e3500f2e";
/// What cookies are signed with.
const SIGNS: &str = "4b3a29180f1e2d3c4b5a69788796a5b4";
const VERIFIES: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f90";
/// Whose SHA-256 that is not; nobody needs to be let in by it.
const OFFERED: &str = "pointsman_0123456789abcdef";

const YAML: &str = r#"
listeners: [{ address: "@listen@", tls: { @tls@ } }]
admin:
  address: "@admin@"
  tokens:
    - { name: ops, role: all, hash: "sha256:HASH" }
    - { name: reader, role: all, hash_file: reader.hash }
access_log: { path: access.log }
registry: { store: embedded, path: registry }
services:
  oms:
    health: { http: /health, headers: { authorization: "Bearer hunter2", x-probe: "yes" } }
    nodes: []
  shop:
    policy: sticky
    sticky_cookie: { name: node, secret_file: shop.secret }
    nodes: []
  web:
    policy: sticky
    sticky_cookie: { secret: "${POINTSMAN_TEST_SECRET:-DEFAULT}" }
    nodes: []
routes: [{ match: {}, service: oms }]
"#;

#[tokio::test]
async fn secrets_show_nowhere() {
    let authority = Authority::new();
    let pair = authority.issue(&["site.example"]);
    let made = Command::new(BINARY).args(["admin", "token"]).output().expect("made");
    let token = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let hash = String::from_utf8(made.stderr).expect("text");
    let hash = hash.split('"').nth(1).expect("a hash").to_owned();
    let yaml = YAML.replace("@tls@", SITE).replace("HASH", HASH).replace("DEFAULT", VERIFIES);
    let options = ProxyOptions::new(BINARY, &yaml)
        .file("site.pem", pair.cert)
        .file("site.key", pair.key.clone())
        .file("reader.hash", hash.clone())
        .file("shop.secret", format!("{SIGNS}\n{VERIFIES}\n"));
    let proxy = Proxy::start_with(options).await.expect("it serves");
    let admin = proxy.admin.clone().with_token(&token);
    let mut seen = vec![];
    for path in ["/v1/config", "/v1/services", "/v1/policies", "/metrics", "/v1", "/"] {
        seen.push(admin.get(path).await.expect("an answer").text());
    }
    let stranger = proxy.admin.clone().with_token(OFFERED);
    seen.push(stranger.put("/v1/services/oms/nodes/a", &json!({})).await.expect("an answer").text());
    // A mistake on the very lines that hold them.
    let wrong =
        yaml.replace("role: all, hash: \"sha256:", "role: al, hash: \"").replace("x-probe: \"yes\"", "x-probe: [1]");
    let wrong = wrong.replace("{ name: node, secret_file: shop.secret }", &format!("{{ name: 1, secret: {SIGNS} }}"));
    proxy.write_config(&wrong).expect("written");
    let refused = admin.send(Request::new("POST", "/v1/config/reload")).await.expect("an answer");
    assert_eq!(refused.status, 422);
    seen.push(refused.text());
    let checked = Command::new(BINARY).args(["check", "-c"]).arg(proxy.config()).output().expect("run");
    seen.push(String::from_utf8(checked.stderr).expect("text"));
    proxy.has_said("reload refused").await.expect("told");
    seen.push(proxy.said());
    for file in ["access.log", "registry/audit.log"] {
        seen.push(std::fs::read_to_string(proxy.folder().join(file)).unwrap_or_default());
    }
    let key = pair.key.lines().nth(1).expect("a line of the key").to_owned();
    let digits = hash.strip_prefix("sha256:").expect("a prefix").to_owned();
    for secret in [HASH, &digits, &token, OFFERED, "hunter2", &key, SIGNS, VERIFIES] {
        for text in &seen {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    assert!(seen[0].contains("site.key") && seen.iter().any(|text| text.contains("nobody")), "they say something");
}
