//! Reloads and uploads, with a task that answers by what it is given.

use std::collections::BTreeMap;

use tokio::sync::mpsc::Receiver;

use super::Api;
use crate::world::reload::{Order, Outcome, PolicyReport};

/// Answers until nobody asks any more: the second reload is refused, and so is a component without a fifth byte.
pub(super) async fn answer(mut orders: Receiver<Order>) {
    let mut generation = 3;
    let mut reloads = 0;
    while let Some(order) = orders.recv().await {
        let mut settle = |good: bool, problems: Vec<String>| {
            generation += u64::from(good);
            Outcome { generation, outcome: if good { "swapped" } else { "refused" }, problems }
        };
        match order {
            Order::Now { reply } | Order::Signalled { reply } => {
                reloads += 1;
                let problems = if reloads == 1 { vec![] } else { vec!["one".into(), "two".into()] };
                let _ = reply.send(settle(reloads == 1, problems));
            }
            Order::Upload { wasm, reply, .. } => {
                let good = wasm.len() > 4;
                let _ = reply.send(settle(good, if good { vec![] } else { vec!["it exports nothing".into()] }));
            }
            Order::Hold { .. } => panic!("the API asks for no upgrade"),
            Order::Policies { reply } => {
                let _ = reply.send(vec![PolicyReport {
                    name: "round-robin".into(),
                    describes: "round-robin".into(),
                    version: "1.0.0".into(),
                    digest: "0123456789abcdef".into(),
                    quarantined_digest: None,
                    source: "built-in".into(),
                    services: vec!["oms".into()],
                    faults: BTreeMap::from([("trap".into(), 0)]),
                    quarantined: false,
                }]);
            }
        }
    }
}

#[tokio::test]
async fn a_reload_says_what_became_of_it() {
    let api = Api::start().await;
    let good = api.send("POST", "/v1/config/reload", "").await;
    assert_eq!(good.status, 200);
    assert_eq!(good.json(), serde_json::json!({"generation": 4, "outcome": "swapped", "problems": []}));
    let bad = api.send("POST", "/v1/config/reload", "").await.problem(422, "refused");
    assert_eq!(bad["problems"], serde_json::json!(["one", "two"]));
    assert_eq!((&bad["generation"], &bad["outcome"]), (&4.into(), &"refused".into()));
    assert_eq!(bad["detail"], "2 problems; generation 4 keeps serving");
}

#[tokio::test]
async fn a_policy_is_uploaded_or_refused() {
    let api = Api::start().await;
    let good = api.call("PUT", "/v1/policies/vip", &[], b"\0asm more").await;
    assert_eq!((good.status, &good.json()["generation"]), (200, &4.into()));
    let bad = api.call("PUT", "/v1/policies/vip", &[], b"\0asm").await.problem(422, "refused");
    assert_eq!(bad["problems"][0], "it exports nothing");
    api.send("PUT", "/v1/policies/vip", "(module)").await.problem(400, "not-wasm");
    api.send("PUT", "/v1/policies/a%20b", "").await.problem(400, "bad-id");
}

#[tokio::test]
async fn a_policy_may_be_large_but_not_endless() {
    let api = Api::start().await;
    let mut wasm = b"\0asm".to_vec();
    wasm.resize(32 * 1024 * 1024, 0);
    assert_eq!(api.call("PUT", "/v1/policies/vip", &[], &wasm).await.status, 200);
    wasm.push(0);
    api.call("PUT", "/v1/policies/vip", &[], &wasm).await.problem(413, "too-large");
}
