//! Owners of keys through an upgrade, those included that the process before learns while it finishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::until;

use crate::stage::{YAML, nodes, proxy_with, upgrade};

/// Between two orders of a client: some hundred while either process listens, and few enough to look each of them up.
const PACE: Duration = Duration::from_millis(10);

#[tokio::test]
async fn what_either_process_has_learnt_the_new_one_knows() {
    let yaml = YAML.replace("policy: round-robin", "policy: round-robin\n    owners: { find: [{ header: x-order }] }");
    let mut proxy = proxy_with(&yaml, &["--grace", "3"]).await;
    let _nodes = nodes(&proxy, 3).await;
    let stop = Arc::new(AtomicBool::new(false));
    // Clients that keep their connections, each request a new order.
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (stop, to) = (Arc::clone(&stop), proxy.addr());
            tokio::spawn(async move {
                let (mut homes, mut connection) = (Vec::new(), None);
                let mut pace = tokio::time::interval(PACE);
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    pace.tick().await;
                    let order = format!("order-{client}-{number}");
                    let mut open = match connection.take() {
                        Some(open) => open,
                        None => Connection::open(to).await.expect("connected"),
                    };
                    // An error: it was idle when the process before left. That order was never seen.
                    let Ok(answer) = open.exchange(&Request::get("/echo").header("x-order", &order)).await else {
                        continue;
                    };
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    homes.push((order, answer.header("x-node").expect("named").to_owned()));
                    connection = (answer.header("connection") != Some("close")).then_some(open);
                }
                homes
            })
        })
        .collect();
    for _ in 0..2 {
        upgrade(&mut proxy, &[]).await.expect("upgraded");
    }
    stop.store(true, Ordering::Relaxed);
    let mut learnt = 0;
    for client in clients {
        for (order, home) in client.await.expect("no panic") {
            learnt += 1;
            let path = format!("/v1/services/api/owners/{order}");
            let known = || async {
                let answer = proxy.admin.get(&path).await.ok()?;
                (answer.status == 200).then(|| answer.json().expect("JSON")["node"].clone())
            };
            assert_eq!(until(known).await.unwrap_or_default(), home, "{order}");
        }
    }
    assert!(learnt > 50, "{learnt}");
}
