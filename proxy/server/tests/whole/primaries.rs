//! Who is the primary, seen by the nodes that are asked and told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use pointsman_demo::client::Request;
use pointsman_demo::harness::{PATIENCE, Proxy, ProxyOptions, until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::puppet::Puppet;
use crate::stage::BINARY;

/// Every customer belongs to ordinal 1, which nobody has: so every write is the primary's.
const YAML: &str = r#"
listeners: [{ address: "@listen@", lane: @lane@ }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services:
  oms:
    policy: { use: customer-modulo, with: { slots: 1, failover: primary } }
    key: { header: x-customer-id }
    primary: { takeover_after: 300ms }
    health: { http: /health, interval: 1s, timeout: 1s, fall: 2, rise: 1 }
    nodes: [@nodes@]
  plain:
    policy: round-robin
    nodes: [@nodes@]
routes:
  - { match: { path: /orders }, service: oms }
  - { match: {}, service: plain }
"#;

async fn proxy(nodes: &[&Puppet]) -> Proxy {
    let written = (2..).zip(nodes).map(|(n, node)| format!("{{ id: n{n}, ordinal: {n}, address: {} }}", node.address));
    let written = written.collect::<Vec<_>>().join(", ");
    let yaml = YAML.replace("@lane@", crate::LANE).replace("@nodes@", &written);
    let options = ProxyOptions::new(BINARY, &yaml).arguments(&["--threads", "2"]);
    Proxy::start_with(options).await.expect("a proxy that serves")
}

fn write() -> Request {
    let forged = Request::new("POST", "/orders").header("pointsman-epoch", "99").header("Pointsman_Epoch", "98");
    forged.header("x-customer-id", "7")
}

/// Writes that nodes accepted, in the order in which they did: who, and in which epoch.
type Accepted = Arc<Mutex<Vec<(&'static str, u64)>>>;

/// A node that accepts a write unless its epoch is below the highest that it has seen. It dies when this is aborted.
fn fenced(mut puppet: Puppet, name: &'static str, accepted: &Accepted) -> JoinHandle<()> {
    let accepted = Arc::clone(accepted);
    tokio::spawn(async move {
        let mut highest = 0;
        loop {
            let asked = puppet.next().await;
            let told: Vec<u64> = asked.headers.values("pointsman-epoch").iter().flat_map(|text| text.parse()).collect();
            let disguised = asked.headers.values("pointsman_epoch").len();
            assert!(told.len() == 1 && disguised == 0, "told once, by the proxy alone: {told:?} {disguised}");
            let fresh = told[0] >= highest;
            highest = highest.max(told[0]);
            if fresh {
                accepted.lock().unwrap_or_else(PoisonError::into_inner).push((name, told[0]));
            }
            asked.answer(if fresh { 200 } else { 409 });
        }
    })
}

fn all(accepted: &Accepted) -> Vec<(&'static str, u64)> {
    accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Waits until the nodes have accepted so many writes more.
async fn further(accepted: &Accepted, more: usize) {
    let goal = all(accepted).len() + more;
    until(|| async { (all(accepted).len() >= goal).then_some(()) }).await.expect("writes are accepted");
}

/// Writes one after the other until told to stop; answers the statuses that were seen.
fn writer(to: SocketAddr, mut stop: watch::Receiver<bool>) -> JoinHandle<Vec<u16>> {
    tokio::spawn(async move {
        let mut seen = Vec::new();
        while !*stop.borrow_and_update() {
            // An error: the proxy itself is away.
            seen.extend(write().send(to).await.map(|answer| answer.status));
        }
        seen
    })
}

async fn primary_is(proxy: &Proxy, id: &str, epoch: u64) {
    let wanted = |answer: &pointsman_demo::client::Answer| {
        answer.json().is_ok_and(|told| told["id"] == id && told["epoch"] == epoch)
    };
    proxy.admin.answers("/v1/services/oms/primary", wanted).await.expect("the primary");
}

/// The kinds and epochs of the events of primaries, from the oldest that is kept to the election of this epoch.
async fn told_until(proxy: &Proxy, epoch: u64) -> Vec<(String, u64, String)> {
    let mut stream = TcpStream::connect(proxy.admin.address()).await.expect("connected");
    let asked = format!("GET /v1/events?since=0 HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin.address());
    stream.write_all(asked.as_bytes()).await.expect("asked");
    let mut lines = BufReader::new(stream).lines();
    let mut told = Vec::new();
    let read = async {
        while let Some(line) = lines.next_line().await.expect("read") {
            let data =
                line.strip_prefix("data: ").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
            let Some(data) = data.filter(|data| data["kind"].as_str().is_some_and(|kind| kind.starts_with("primary-")))
            else {
                continue;
            };
            let text = |name: &str| data[name].as_str().expect("text").to_owned();
            told.push((text("kind"), data["epoch"].as_u64().expect("a number"), text("node")));
            if told.last().is_some_and(|(kind, of, _)| kind == "primary-elected" && *of == epoch) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("it is told");
    told
}

#[tokio::test]
async fn the_next_takes_over_and_never_do_two_accept_writes() {
    let (first, second) = (Puppet::start().await, Puppet::start().await);
    let mut proxy = proxy(&[&first, &second]).await;
    let (accepted, address) = (Accepted::default(), first.address);
    let doomed = fenced(first, "n2", &accepted);
    let _second = fenced(second, "n3", &accepted);
    primary_is(&proxy, "n2", 1).await;
    let (stop, stopped) = watch::channel(false);
    let writer = writer(proxy.addr(), stopped);
    further(&accepted, 20).await;

    doomed.abort();
    primary_is(&proxy, "n3", 2).await;
    further(&accepted, 20).await;
    let back = fenced(Puppet::at(address).await, "n2", &accepted);
    proxy.admin.node_is("oms", "n2", "up").await.expect("back by itself");
    further(&accepted, 20).await;
    primary_is(&proxy, "n3", 2).await;
    let told: Vec<_> = told_until(&proxy, 2).await;
    let told: Vec<(&str, u64, &str)> = told.iter().map(|(kind, epoch, node)| (&**kind, *epoch, &**node)).collect();
    assert_eq!(told, [("primary-elected", 1, "n2"), ("primary-deposed", 1, "n2"), ("primary-elected", 2, "n3")]);

    // The proxy dies: the primary goes on in its epoch.
    proxy.kill().await.expect("killed");
    proxy.restart().await.expect("serves again");
    primary_is(&proxy, "n3", 2).await;
    further(&accepted, 20).await;

    stop.send_replace(true);
    let statuses = writer.await.expect("no node was told two epochs, nor a forged one");
    assert!(statuses.iter().all(|status| [200, 502, 503].contains(status)), "{statuses:?}");
    let accepted = all(&accepted);
    assert!(accepted.is_sorted_by_key(|(_, epoch)| *epoch), "{accepted:?}");
    let mut reigns = accepted;
    reigns.dedup();
    assert_eq!(reigns, [("n2", 1), ("n3", 2)]);
    assert!(!back.is_finished(), "the node that came back runs");
}

#[tokio::test]
async fn a_service_without_a_primary_tells_no_epoch_and_passes_none_on() {
    let mut node = Puppet::start().await;
    let proxy = proxy(&[&node]).await;
    let to = proxy.addr();
    let asking = tokio::spawn(async move {
        let request = Request::get("/plain").header("pointsman-epoch", "99").header("Pointsman_Epoch", "98");
        request.send(to).await.expect("answered")
    });
    let asked = node.next().await;
    assert_eq!((asked.headers.values("pointsman-epoch").len(), asked.headers.values("pointsman_epoch").len()), (0, 0));
    asked.answer(200);
    assert_eq!(asking.await.expect("no panic").status, 200);
    let none = proxy.admin.get("/v1/services/plain/primary").await.expect("answered");
    assert_eq!((none.status, none.json().expect("JSON")["reason"].clone()), (404, "no-election".into()));
    let shown = proxy.admin.get("/v1/services/plain").await.expect("answered").json().expect("JSON");
    assert!(shown.get("epoch").is_none() && shown.get("primary").is_none(), "{shown}");
}
