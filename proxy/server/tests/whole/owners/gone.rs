//! Owners that are drained, killed, or come back.

use super::*;

async fn drain(proxy: &Proxy, id: &str, word: &str, standing: &str) {
    let answer = proxy.admin.post(&format!("/v1/services/oms/nodes/{id}/{word}"), &json!({})).await.expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.text());
    proxy.admin.node_is("oms", id, standing).await.expect("as told");
}

#[tokio::test]
async fn whose_owner_is_drained_is_refused_where_nothing_else_is_said() {
    let (proxy, _nodes) = stage("ttl: 1h", 2).await;
    let home = node(&ask(&proxy, &[("x-order", "a")]).await);
    drain(&proxy, &home, "drain", "draining").await;
    refused(&ask(&proxy, &[("x-order", "a")]).await, "owner-gone");
    assert_ne!(node(&ask(&proxy, &[("x-order", "b")]).await), home);
    drain(&proxy, &home, "undrain", "up").await;
    assert_eq!(node(&ask(&proxy, &[("x-order", "a")]).await), home);
}

#[tokio::test]
async fn whose_owner_is_drained_goes_to_who_is_picked_anew_and_stays_there() {
    let (proxy, _nodes) = stage("on_gone: policy", 2).await;
    let home = node(&ask(&proxy, &[("x-order", "a")]).await);
    drain(&proxy, &home, "drain", "draining").await;
    let answer = ask(&proxy, &[("x-order", "a")]).await;
    let next = node(&answer);
    assert_ne!(next, home);
    assert_eq!(sent(&answer, "pointsman-owner-epoch"), json!(["1"]));
    drain(&proxy, &home, "undrain", "up").await;
    for _ in 0..4 {
        assert_eq!(node(&ask(&proxy, &[("x-order", "a")]).await), next);
    }
}

#[tokio::test]
async fn whose_owner_is_drained_waits_for_it_and_is_refused_when_it_takes_too_long() {
    let (proxy, _nodes) = stage("on_gone: park, park: 60s", 2).await;
    let home = node(&ask(&proxy, &[("x-order", "a")]).await);
    drain(&proxy, &home, "drain", "draining").await;
    let request = Request::new("POST", "/echo").header("x-order", "a");
    let (to, parked) = (proxy.addr(), request.clone());
    let parked = tokio::spawn(async move { parked.send(to).await.expect("answered") });
    // Whoever brings another key is served meanwhile, and the one that waits is not.
    assert_ne!(node(&ask(&proxy, &[("x-order", "b")]).await), home);
    assert!(!parked.is_finished());
    drain(&proxy, &home, "undrain", "up").await;
    assert_eq!(node(&parked.await.expect("runs")), home);
    drain(&proxy, &home, "drain", "draining").await;
    now(&proxy, &yaml("on_gone: park, park: 20ms")).await;
    refused(&request.send(proxy.addr()).await.expect("answered"), "parked");
}

#[tokio::test]
async fn a_key_of_a_node_that_dies_moves_once_and_no_request_goes_astray() {
    let (proxy, mut nodes) = stage("on_gone: policy, park: 30s", 3).await;
    let orders: Vec<String> = (0..12).map(|order| format!("o{order}")).collect();
    let mut homes = Vec::new();
    for order in &orders {
        homes.push(node(&ask(&proxy, &[("x-order", order)]).await));
    }
    let dead = nodes.remove(0);
    let id = dead.id.clone();
    dead.kill();
    // The first ones find the dead node listed still, and wait until it is not.
    for (order, home) in orders.iter().zip(&mut homes) {
        let went = node(&ask(&proxy, &[("x-order", order)]).await);
        if *home == id {
            assert_ne!(went, id);
            *home = went;
        } else {
            assert_eq!(went, *home, "{order} had a node that lives");
        }
    }
    for (order, home) in orders.iter().zip(&homes) {
        assert_eq!(node(&ask(&proxy, &[("x-order", order)]).await), *home, "{order} moved twice");
    }
}

#[tokio::test]
async fn a_node_that_comes_back_owns_what_it_owned_or_not_as_the_settings_say() {
    for (bound_to, keeps) in [("node", true), ("life", false)] {
        let (proxy, mut nodes) = stage(&format!("bound_to: {bound_to}"), 2).await;
        let home = node(&ask(&proxy, &[("x-order", "a")]).await);
        let at = nodes.iter().position(|node| node.id == home).expect("one of them");
        nodes.remove(at).stop().await;
        until(|| async { proxy.admin.node("oms", &home).await.ok()?.is_none().then_some(()) }).await.expect("it left");
        refused(&ask(&proxy, &[("x-order", "a")]).await, "owner-gone");
        let _again = joined(&proxy, if home == "oms-1" { 1 } else { 2 }, &["oms"]).await;
        let answer = ask(&proxy, &[("x-order", "a")]).await;
        if keeps {
            assert_eq!(node(&answer), home);
        } else {
            refused(&answer, "owner-gone");
        }
    }
}

#[tokio::test]
async fn the_primary_takes_what_nobody_owns_and_stands_in_for_who_is_gone() {
    let with_primary = |owners: &str| {
        yaml(owners).replace("policy: round-robin", "policy: round-robin\n    primary: { takeover_after: 0s }")
    };
    let proxy = proxy_with(&with_primary("on_unknown: hash, on_gone: primary, park: 30s")).await;
    let _nodes = nodes(&proxy, 2, &["oms"]).await;
    let primary =
        || async { Some(proxy.admin.get("/v1/services/oms/primary").await.ok()?.json().ok()?["id"] == "oms-1") };
    until(|| async { primary().await.filter(|elected| *elected) }).await.expect("the first is elected");
    let mut order = "a".to_owned();
    while node(&ask(&proxy, &[("x-order", &order)]).await) != "oms-2" {
        order.push('a');
    }
    drain(&proxy, "oms-2", "drain", "draining").await;
    let answer = ask(&proxy, &[("x-order", &order)]).await;
    assert_eq!((node(&answer).as_str(), sent(&answer, "pointsman-owner-epoch")), ("oms-1", Value::Null));
    assert_ne!(sent(&answer, "pointsman-epoch"), Value::Null, "{}", answer.text());
    drain(&proxy, "oms-2", "undrain", "up").await;
    assert_eq!(node(&ask(&proxy, &[("x-order", &order)]).await), "oms-2", "a stand-in owns nothing");
    now(&proxy, &with_primary("on_unknown: primary, on_gone: primary")).await;
    for order in ["new-1", "new-2", "new-3"] {
        assert_eq!(node(&ask(&proxy, &[("x-order", order)]).await), "oms-1");
        assert_eq!(owner(&proxy, order).await["node"], "oms-1");
    }
}
