//! What is written down of changes, and what is not.

use serde_json::Value;

use super::security::{TOKENS, with_tokens};
use super::{Api, YAML};

fn lines(api: &Api) -> Vec<Value> {
    let text = std::fs::read_to_string(api.folder.path().join("audit.log")).expect("there");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn told(line: &Value) -> [&str; 5] {
    ["who", "what", "node", "outcome", "reason"].map(|member| line[member].as_str().unwrap_or("-"))
}

#[tokio::test]
async fn each_change_and_each_refusal_is_a_line_and_nothing_else_is() {
    let api = Api::start_with(&with_tokens(&TOKENS)).await;
    for (name, method, path) in [
        ("own", "PUT", "/v1/services/oms/nodes/n1"),
        ("own", "POST", "/v1/services/oms/nodes/n1/heartbeat"),
        ("watch", "GET", "/v1/services"),
        ("own", "DELETE", "/v1/services/oms/nodes/fixed"),
        ("own", "PUT", "/v1/services/api/nodes/n1"),
        ("watch", "POST", "/v1/config/reload"),
        ("guess", "PUT", "/v1/services/oms/nodes/n2"),
        ("root", "PUT", "/v1/policies/round-robin"),
        ("root", "POST", "/v1/services/oms/high-water/lower"),
    ] {
        api.call_as(name, method, path).await;
    }
    let lines = lines(&api);
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        [
            ["own", "join", "n1", "unchanged", "-"], // this API's world has no services to look at
            ["own", "leave", "fixed", "refused", "static-node"],
            ["own", "join", "n1", "refused", "other-service"],
            ["watch", "reload", "-", "refused", "role"],
            ["nobody", "join", "n2", "refused", "no-token"],
            ["root", "upload-policy", "-", "refused", "not-wasm"],
            ["root", "lower-mark", "-", "unchanged", "-"],
        ],
        "{lines:#?}"
    );
    assert!(lines[0]["from"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")), "{}", lines[0]);
    assert_eq!((&lines[2]["service"], &lines[5]["policy"]), (&"api".into(), &"round-robin".into()));
    let text = std::fs::read_to_string(api.folder.path().join("audit.log")).expect("there");
    assert!(!text.contains("guessguess") && !text.contains("ownown"), "no token is written down: {text}");
}

#[tokio::test]
async fn who_needs_no_token_is_called_so() {
    let api = Api::start_with(YAML).await;
    api.send("POST", "/v1/config/reload", "").await;
    api.send("POST", "/v1/config/reload", "").await.problem(422, "refused");
    let found = lines(&api);
    assert_eq!(told(&found[1]), ["loopback", "reload", "-", "refused", "refused"]);
    assert_eq!(found[0]["before"]["generation"], 3);
}

#[tokio::test]
async fn those_who_try_too_often_do_not_fill_it() {
    let api = Api::start_with(&with_tokens(&TOKENS).replace("tokens:", "failed_attempts: 2, tokens:")).await;
    for _ in 0..20 {
        api.call_as("guess", "POST", "/v1/config/reload").await;
    }
    assert_eq!(lines(&api).len(), 2);
}

#[tokio::test]
async fn once_another_process_has_it_changes_are_sent_there() {
    let api = Api::start_with(YAML).await;
    api.audit.close(std::time::Duration::ZERO).await.expect("closed");
    api.audit.leave();
    let answer = api.send("POST", "/v1/config/reload", "").await;
    assert!(answer.head.to_lowercase().contains("connection: close"), "{}", answer.head);
    answer.problem(503, "handed-over");
    assert!(lines(&api).is_empty());
}
