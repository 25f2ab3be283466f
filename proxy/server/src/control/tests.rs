//! The control thread over real sockets and a real folder. Nothing sleeps: each wait is for a membership or a notice.

mod bench;
mod joining;
mod primaries;
mod reloading;
mod storing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::plan::{self, AllDown, HealthCheck, Plan, Probe};
use pointsman_core::cluster::membership::{Membership, Standing};
use pointsman_core::cluster::node::NodeSpec;
use pointsman_registry::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

use super::*;
use crate::world::bus::Notice;
use crate::world::control::{Control, Feed, NodeReport};

/// Long enough for the slowest machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(30);
/// A lease that outlives its test.
const LONG: Duration = Duration::from_secs(600);

/// A control thread and what it says.
struct Room {
    control: Control,
    thread: JoinHandle<()>,
    notices: broadcast::Receiver<Notice>,
    metrics: Arc<Metrics>,
}

impl Room {
    fn on(store: Store) -> Self {
        Self::on_with(store, Legacy::default())
    }

    fn on_with(store: Store, legacy: Legacy) -> Self {
        let (bus, metrics) = (Bus::default(), Arc::new(Metrics::new()));
        let notices = bus.listen();
        let (control, inbox) = Control::channel();
        let thread = launch(store, inbox, Arc::clone(&metrics), bus, legacy).expect("starts");
        Self { control, thread, notices, metrics }
    }

    fn at(folder: &std::path::Path) -> Self {
        Self::on(Store::open(folder).expect("opens").store)
    }

    /// Puts a plan in force that holds one service.
    async fn configure(&self, service: plan::Service) -> Arc<Feed> {
        let name = service.name.clone();
        let feeds = self.control.configure(plan(vec![service])).await.expect("runs").expect("no clash");
        Arc::clone(&feeds[&name])
    }

    /// Waits for a notice of a kind about a node.
    async fn heard(&mut self, kind: &str, node: &str) -> Notice {
        let wait = async {
            loop {
                let notice = self.notices.recv().await.expect("the bus is open");
                if notice.kind == kind && notice.node == node {
                    return notice;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no {kind} of {node}"))
    }

    async fn node(&self, id: &str) -> NodeReport {
        let services = self.control.report().await.expect("runs");
        services[0].nodes.iter().find(|n| n.id == id).unwrap_or_else(|| panic!("no node {id}")).clone()
    }

    /// Stops the thread and waits until the registry is unlocked.
    fn stop(self) {
        drop(self.control);
        self.thread.join().expect("ends well");
    }
}

/// Waits for a membership.
async fn until(feed: &Feed, what: impl Fn(&Membership) -> bool) -> Arc<Membership> {
    let mut changed = feed.changed.subscribe();
    loop {
        let now = feed.cell.load_full();
        if what(&now) {
            return now;
        }
        let change = tokio::time::timeout(PATIENCE, changed.changed()).await;
        change.unwrap_or_else(|_| panic!("still {now:?}")).expect("the feed is open");
    }
}

fn standing(membership: &Membership, id: &str) -> Option<Standing> {
    membership.members().iter().find(|m| m.node.spec.id == id).map(|m| m.standing)
}

fn ids(membership: &Membership) -> Vec<&str> {
    membership.members().iter().map(|m| m.node.spec.id.as_str()).collect()
}

fn spec(id: &str, ordinal: u64, address: SocketAddr) -> NodeSpec {
    let ordinal = (ordinal > 0).then_some(ordinal);
    NodeSpec {
        id: id.into(),
        ordinal,
        address: address.into(),
        weight: 1,
        zone: String::new(),
        labels: BTreeMap::new(),
    }
}

fn static_node(id: &str, ordinal: u64, address: SocketAddr) -> plan::StaticNode {
    let NodeSpec { id, ordinal, address, weight, zone, labels } = spec(id, ordinal, address);
    plan::StaticNode { id, ordinal, address, weight, zone, labels }
}

/// Checks often, so that tests are short; three failures in a row take a node down.
fn http_check() -> HealthCheck {
    let probe = Probe::Http { path: "/health".into(), expect: vec![(200, 299)], host: None, headers: vec![] };
    HealthCheck { probe, tls: None, interval: Duration::from_millis(10), timeout: LONG, fall: 3, rise: 2, jitter: 0.2 }
}

fn service(name: &str, health: Option<HealthCheck>, nodes: Vec<plan::StaticNode>) -> plan::Service {
    let mark = plan::Mark::default();
    plan::Service {
        name: name.into(),
        policy: plan::PolicyUse {
            name: "round-robin".into(),
            settings: "{}".into(),
            on_fault: None,
            mark,
            places: Vec::new(),
        },
        key: None,
        places: Vec::new(),
        owners: None,
        primary: None,
        sticky_cookie: None,
        nodes,
        tls: None,
        protocol: plan::Protocol::Http1,
        health,
        retry: plan::Retry { attempts: 2, on: vec![], budget: None, timeout: None },
        eject: None,
        rate: None,
        limits: plan::Limits { connections_per_node: None, queue: 0, queue_timeout: LONG },
        timeouts: plan::Timeouts { connect: LONG, response: LONG, idle: LONG },
        drain: plan::Drain::default(),
        all_down: AllDown::Fail,
        slow_start: None,
        mark,
    }
}

fn plan(services: Vec<plan::Service>) -> Arc<Plan> {
    Arc::new(Plan {
        shed_at_memory: None,
        run_as: None,
        file: PathBuf::from("test.yaml"),
        listeners: vec![],
        admin: None,
        trusted_proxies: Vec::new(),
        forwarded_headers: pointsman_config::plan::ForwardedHeaders::default(),
        trusted_header: plan::TrustedHeader::default(),
        access_log: plan::AccessLog::Off,
        registry: plan::Registry::Embedded { path: PathBuf::from("unused") },
        policies: BTreeMap::new(),
        services: services.into_iter().map(|s| (s.name.clone(), s)).collect(),
        routes: vec![],
    })
}

/// A node: answers every request with the status of the moment, or holds it back while that is `None`.
struct Node {
    address: SocketAddr,
    status: watch::Sender<Option<u16>>,
    /// Requests so far.
    served: watch::Receiver<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Node {
    async fn start(status: Option<u16>) -> Self {
        Self::at("127.0.0.1:0".parse().expect("address"), status).await
    }

    async fn at(address: SocketAddr, status: Option<u16>) -> Self {
        let listener = TcpListener::bind(address).await.expect("port");
        let address = listener.local_addr().expect("address");
        let (sender, status) = watch::channel(status);
        let (count, served) = watch::channel(0);
        let count = Arc::new(count);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut status, count) = (status.clone(), Arc::clone(&count));
                connections.spawn(async move {
                    let _ = stream.read(&mut [0; 1024]).await;
                    count.send_modify(|count| *count += 1);
                    let Ok(code) = status.wait_for(Option::is_some).await.map(|code| code.unwrap_or(500)) else {
                        return;
                    };
                    let _ = stream.write_all(format!("HTTP/1.1 {code} x\r\n\r\n").as_bytes()).await;
                });
            }
        });
        Self { address, status: sender, served, task }
    }

    /// Waits until the node was asked so many more times; answers how often it was by then.
    async fn asked(&self, more: u64) -> u64 {
        let mut served = self.served.clone();
        let goal = *served.borrow_and_update() + more;
        let reached = tokio::time::timeout(PATIENCE, served.wait_for(|count| *count >= goal)).await;
        *reached.expect("it is checked").expect("the node runs")
    }

    /// Ends the node; its port is free when this returns.
    async fn kill(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

#[tokio::test]
async fn a_node_that_dies_goes_and_comes_back_by_itself() {
    let folder = tempfile::tempdir().expect("folder");
    let mut room = Room::at(folder.path());
    let node = Node::start(Some(200)).await;
    let nodes = vec![static_node("a", 1, node.address)];
    let feed = room.configure(service("oms", Some(http_check()), nodes)).await;
    let up = until(&feed, |m| standing(m, "a") == Some(Standing::Up)).await;
    let address = node.kill().await;
    let down = until(&feed, |m| standing(m, "a") == Some(Standing::Down)).await;
    assert!(room.heard("node-down", "a").await.message.ends_with("connection refused"));
    let node = Node::at(address, Some(200)).await;
    let back = until(&feed, |m| standing(m, "a") == Some(Standing::Up)).await;
    assert_eq!((down.version(), back.version()), (up.version() + 1, up.version() + 2));
    assert_eq!(back.members()[0].node.incarnation, up.members()[0].node.incarnation);
    node.status.send_replace(Some(503));
    until(&feed, |m| standing(m, "a") == Some(Standing::Down)).await;
    assert!(room.heard("node-down", "a").await.message.ends_with("status 503, expected 200-299"));
    let text = room.metrics.render();
    assert!(text.contains(r#"pointsman_health_transitions_total{node="a",service="oms",to="down"} 2"#), "{text}");
}

#[tokio::test]
async fn the_first_round_of_checks_is_waited_for() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let (well, held) = (Node::start(Some(200)).await, Node::start(None).await);
    let nodes = vec![static_node("a", 1, well.address), static_node("b", 2, held.address)];
    let feed = room.configure(service("oms", Some(http_check()), nodes)).await;
    let mut first = std::pin::pin!(room.control.first_checks());
    tokio::select! {
        biased;
        _ = &mut first => panic!("b has not been checked"),
        _ = until(&feed, |m| standing(m, "a") == Some(Standing::Up)) => {}
    }
    assert_eq!(room.node("b").await.standing, "checking");
    held.status.send_replace(Some(500));
    first.await.expect("runs");
    let b = room.node("b").await;
    assert_eq!((b.standing, b.last_failure.as_deref()), ("down", Some("status 500, expected 200-299")));
    assert!(b.last_failure_at_ms.is_some_and(|at| at > 1_600_000_000_000), "{b:?}");
}

#[tokio::test]
async fn without_checks_there_is_nothing_to_wait_for() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let nodes = vec![static_node("a", 1, "127.0.0.1:9".parse().expect("address"))];
    let feed = room.configure(service("oms", None, nodes)).await;
    room.control.first_checks().await.expect("runs");
    assert_eq!(standing(&feed.cell.load(), "a"), Some(Standing::Up));
}

#[tokio::test]
async fn a_changed_reason_is_seen_though_the_node_stays_down() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let node = Node::start(Some(500)).await;
    let nodes = vec![static_node("a", 1, node.address)];
    room.configure(service("oms", Some(http_check()), nodes)).await;
    room.control.first_checks().await.expect("runs");
    node.status.send_replace(Some(404));
    let seen = async {
        while room.node("a").await.last_failure.as_deref() != Some("status 404, expected 200-299") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("the new reason");
}
