//! Orders whose ids stand in what is sent: an order system's messages, as FIX and as JSON.

use super::*;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  oms:
    policy: round-robin
    owners:
      find: [{ @old@ }, { @id@ }]
      learn: { request: { @id@ } }
    health: { http: /health, interval: 100ms, timeout: 80ms, fall: 2, rise: 2 }
routes: [{ service: oms }]
"#;

/// An order is created, replaced twice and executed, each time by another client: `message` writes the old id and the new.
async fn stays(old: &str, id: &str, message: impl Fn(&str, &str) -> String) {
    let yaml = TEMPLATE.replace("@lane@", crate::LANE).replace("@old@", old).replace("@id@", id);
    let proxy = proxy_with(&yaml).await;
    let _nodes = nodes(&proxy, 3, &["oms"]).await;
    for order in ["a", "b", "c", "d"] {
        let [second, third] = [2, 3].map(|number| format!("{order}-{number}"));
        let mut homes = Vec::new();
        for (old, id) in [("", order), (order, &second), (&second, &third), ("", &third), ("", order)] {
            let sent = message(old, id);
            let answer = Request::new("POST", "/echo").body(sent.clone()).send(proxy.addr()).await.expect("answered");
            assert_eq!(answer.json().expect("JSON")["body"], sent, "unchanged");
            homes.push(node(&answer));
        }
        assert!(homes.iter().all(|home| *home == homes[0]), "{order}: {homes:?}");
    }
    assert_eq!(owner(&proxy, "d-3").await["epoch"], 0);
}

#[tokio::test]
async fn a_chain_of_fix_messages_stays_at_one_node() {
    let field = |tag: u32, value: &str| if value.is_empty() { String::new() } else { format!("{tag}={value}\x01") };
    let message = |old: &str, id: &str| format!("8=FIX.4.4\x0135=G\x01{}{}10=000\x01", field(41, old), field(11, id));
    stays("fix: 41", "fix: 11", message).await;
}

#[tokio::test]
async fn a_chain_of_json_messages_stays_at_one_node() {
    let message = |old: &str, id: &str| json!({ "order": { "id": id, "replaces": old }, "qty": 5 }).to_string();
    stays("json: /order/replaces", "json: /order/id", message).await;
}
