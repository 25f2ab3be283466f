//! Upgrades under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::SinkExt;
use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, until};
use pointsman_demo::load::{self, LoadOptions, Running, Trust};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::stage::{counted, h2, h2_get, next, no_lease_lost, nodes, proxy, proxy_with, script, socket, upgrade};

/// Every kind of client, by name.
fn loads(proxy: &Proxy) -> Vec<(&'static str, Running)> {
    let trust = Trust::read(&proxy.folder().join("site.pem"), "site.example").expect("a certificate");
    let options = |listener: usize, keep_alive| LoadOptions {
        keep_alive,
        ..LoadOptions::new(proxy.listeners[listener]).ask("GET", "/echo").connections(3).rate(25.0)
    };
    let secure = |keep_alive| LoadOptions { tls: Some(trust.clone()), ..options(2, keep_alive) };
    let all = [
        ("kept", options(0, true)),
        ("new", options(0, false)),
        ("kept, lane off", options(1, true)),
        ("new, lane off", options(1, false)),
        ("kept, TLS", secure(true)),
        ("new, TLS", secure(false)),
        ("slow", options(0, true).ask("GET", "/slow?ms=300").rate(5.0)),
    ];
    all.into_iter().map(|(name, options)| (name, load::start(options).expect("load starts"))).collect()
}

/// One request after the other over HTTP/2. A connection that takes no further request is replaced; a request that was
/// sent and is not answered has failed.
async fn h2_load(to: std::net::SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> Vec<String> {
    let (mut failures, mut requests) = (Vec::new(), h2(to).await);
    while !stop.load(Ordering::Relaxed) {
        match h2_get(&requests, "/echo").await {
            Ok(Some(200)) => drop(answered.fetch_add(1, Ordering::Relaxed)),
            Ok(None) => requests = h2(to).await,
            other => failures.push(format!("{other:?}")),
        }
    }
    failures
}

#[tokio::test]
async fn two_upgrades_under_load_lose_no_request() {
    let mut proxy = proxy(&["--grace", "6"]).await;
    let _nodes = nodes(&proxy, 2).await;
    let first = proxy.pid().expect("it runs");
    let loads = loads(&proxy);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let h2_load = tokio::spawn(h2_load(proxy.addr(), Arc::clone(&stop), Arc::clone(&answered)));
    for (_, load) in &loads {
        load.reached(10).await;
    }
    let second = upgrade(&mut proxy, &["--threads", "3"]).await.expect("upgraded");
    for (_, load) in &loads {
        load.further(20).await;
    }
    let third = upgrade(&mut proxy, &["--threads", "1"]).await.expect("upgraded while the first may still finish");
    assert!(first != second && second != third);
    for (_, load) in &loads {
        load.further(20).await;
    }
    let before = answered.load(Ordering::Relaxed);
    let further = || async { (answered.load(Ordering::Relaxed) > before + 20).then_some(()) };
    until(further).await.expect("HTTP/2 goes on");
    // The first process has nothing left, and ends well.
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
    stop.store(true, Ordering::Relaxed);
    assert_eq!(h2_load.await.expect("no panic"), Vec::<String>::new());
    for (name, load) in loads {
        let report = load.stop_and_finish().await;
        // What was never sent is the generator's, on a machine that is busy: it stops in the middle of things.
        let failed = report.failed - report.failures.unsent;
        assert_eq!(failed, 0, "{name}: {:?} {:?}", report.failures, report.samples);
        assert!(report.succeeded >= 50, "{name}: only {}", report.succeeded);
    }
    counted(&proxy, "pointsman_upgrades_total{outcome=\"done\"} 1").await;
    no_lease_lost(&proxy).await;
}

#[tokio::test]
async fn a_websocket_stays_until_it_is_asked_to_come_back() {
    let mut proxy = proxy(&["--grace", "8"]).await;
    let _nodes = nodes(&proxy, 1).await;
    let mut sockets = Vec::new();
    for listener in [0, 1, 0, 1] {
        sockets.push(socket(proxy.listeners[listener]).await);
    }
    upgrade(&mut proxy, &[]).await.expect("upgraded");
    for socket in &mut sockets {
        socket.send(Message::Text("still there?".into())).await.expect("sent");
        // Each is told at a moment of its own: before its message came back, or after.
        let mut message = next(socket).await;
        if message == Some(Message::Text("still there?".into())) {
            message = next(socket).await;
        }
        let Some(Message::Close(Some(close))) = message else { panic!("no word: {message:?}") };
        assert_eq!(close.code, CloseCode::Restart);
        assert!(next(socket).await.is_none());
    }
    assert_eq!(proxy.ended().await.expect("ends, since nothing is left"), Some(0));
    let mut again = socket(proxy.addr()).await;
    again.send(Message::Text("hello".into())).await.expect("sent");
    assert_eq!(next(&mut again).await, Some(Message::Text("hello".into())));
}

#[tokio::test]
async fn an_upgrade_may_change_listeners_and_workers() {
    let yaml = crate::stage::YAML;
    let mut proxy = proxy_with(yaml, &["--grace", "8"]).await;
    let _nodes = nodes(&proxy, 1).await;
    let gone = proxy.listeners[1];
    // Under way where nobody will listen any more.
    let slow = tokio::spawn(async move { Request::get("/slow?ms=2000").send(gone).await });
    counted(&proxy, "pointsman_node_in_flight{node=\"n1\",service=\"api\"} 1").await;
    // The same addresses but for one; the first is no longer the lane's.
    let next = yaml
        .replace("\"@listen@\", http2: on", &format!("\"{}\", lane: off", proxy.listeners[0]))
        .replace("@listen2@", "127.0.0.9:0")
        .replace("@listen3@", &proxy.listeners[2].to_string())
        .replace("@admin@", &proxy.admin.address().to_string());
    std::fs::write(proxy.folder().join("next.yaml"), next).expect("written");
    let program = script(
        &proxy,
        "next",
        &format!("exec {} run -c next.yaml --threads 5 --ports-file ports.json", crate::stage::BINARY),
    );
    let before = proxy.listeners.clone();
    upgrade(&mut proxy, &["--binary", program.to_str().expect("a path")]).await.expect("upgraded");
    assert_eq!((proxy.listeners[0], proxy.listeners[2]), (before[0], before[2]), "kept");
    assert_ne!(proxy.listeners[1], gone);
    assert_eq!(slow.await.expect("no panic").expect("answered").status, 200);
    for listener in [proxy.listeners[0], proxy.listeners[1]] {
        assert_eq!(Request::get("/echo").send(listener).await.expect("answered").status, 200);
    }
    assert_eq!(proxy.ended().await.expect("ends"), Some(0));
    assert!(std::net::TcpStream::connect(gone).is_err(), "nobody listens");
}
