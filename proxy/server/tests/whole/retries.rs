//! What is tried again, and what is not.

use pointsman_demo::client::Request;

use crate::puppet::Puppet;
use crate::stage::proxy_with;

const TEMPLATE: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
registry: { store: embedded, path: registry }
services:
  api:
    policy: round-robin
    retry: { attempts: 2, timeout: 100ms }
    timeouts: { response: 60s }
    nodes: [@nodes@]
routes: [{ service: api }]
"#;

fn yaml(nodes: &[&Puppet]) -> String {
    let node = |(i, puppet): (usize, &&Puppet)| format!("{{ id: n{}, address: \"{}\" }}", i + 1, puppet.address);
    let nodes: Vec<_> = nodes.iter().enumerate().map(node).collect();
    TEMPLATE.replace("@lane@", crate::LANE).replace("@nodes@", &nodes.join(", "))
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_goes_elsewhere_if_that_is_safe() {
    let (mut slow, mut quick) = (Puppet::start().await, Puppet::start().await);
    let proxy = proxy_with(&yaml(&[&slow, &quick])).await;
    let addr = proxy.addr();
    let put = Request::new("PUT", "/a").body(b"again".to_vec());
    let client = tokio::spawn(async move { put.send(addr).await.expect("answered").status });
    let _silent = slow.next().await;
    let again = quick.next().await;
    assert_eq!((again.line.as_str(), again.body.as_slice()), ("PUT /a", &b"again"[..]), "its body is sent again");
    again.answer(201);
    assert_eq!(client.await.expect("runs"), 201);
    // The turn is at the second node. A POST waits for it as long as it takes, and is sent to nobody else.
    let post = Request::post("/b", &serde_json::json!({}));
    let client = tokio::spawn(async move { post.send(addr).await.expect("answered").status });
    let held = quick.next().await;
    let get = tokio::spawn(async move { Request::get("/c").send(addr).await.expect("answered").status });
    let silent = slow.next().await;
    assert_eq!(silent.line, "GET /c");
    // The GET came after the POST and has been given up on: the POST has had more than its 100 ms, too.
    let again = quick.next().await;
    assert_eq!(again.line, "GET /c");
    again.answer(200);
    assert_eq!(get.await.expect("runs"), 200);
    assert!(!slow.is_asked(), "a POST that was sent is not sent again");
    held.answer(202);
    assert_eq!(client.await.expect("runs"), 202);
}

#[tokio::test]
async fn an_answer_that_is_none_is_tried_elsewhere_if_that_is_safe() {
    let (mut odd, mut good) = (Puppet::start().await, Puppet::start().await);
    let proxy = proxy_with(&yaml(&[&odd, &good]).replace("timeout: 100ms", "on: [reset]")).await;
    let addr = proxy.addr();
    let get = tokio::spawn(async move { Request::get("/a").send(addr).await.expect("answered").status });
    odd.next().await.garble();
    good.next().await.answer(200);
    assert_eq!(get.await.expect("runs"), 200);
    // The turn is at the second node, which has its bad moment now. A POST that was sent is sent to nobody else.
    let post = Request::post("/b", &serde_json::json!({}));
    let post = tokio::spawn(async move { post.send(addr).await.expect("answered").status });
    good.next().await.garble();
    assert_eq!(post.await.expect("runs"), 502);
    assert!(!odd.is_asked(), "a POST that was sent is not sent again");
}
