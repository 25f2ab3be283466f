//! The whole way of a request on real sockets: clients and nodes are plain sockets of the test, policies plain Rust.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use pointsman_config::plan::{self, Plan};
use pointsman_core::cluster::cell::MembershipCell;
use pointsman_core::cluster::membership::{Member, Membership, Standing};
use pointsman_core::cluster::node::{Incarnation, Node, NodeSpec, Source};
use pointsman_core::pick::picker::Picker;
use pointsman_core::pick::policy::{About, Ask, Fault, Needs, Policy, Verdict};
use pointsman_core::retry::RetryBudget;
use pointsman_core::route::Router;

use super::*;
use crate::world::control::Feed;
use crate::world::{Route, Service, ServiceState, World};

mod client;
mod doors;
mod failures;
mod node;
mod requests;
mod tunnels;

use client::Client;
use node::RawNode;

/// What a test says a policy answers.
type Answer = dyn Fn(&Membership, &Ask<'_>) -> Result<Verdict, Fault> + Send + Sync;

struct Native {
    pins: bool,
    needs: Needs,
    answer: Box<Answer>,
}

impl Policy for Native {
    fn about(&self) -> About {
        About { name: "native".into(), version: "1.0.0".into(), pins: self.pins }
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn pick(&self, _: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> Result<Verdict, Fault> {
        (self.answer)(membership, ask)
    }

    fn explain(&self, _: &Arc<Membership>, _: &Ask<'_>) -> Result<String, Fault> {
        Ok("native".into())
    }

    fn blame(&self, _: Fault) {}
}

fn policy(
    pins: bool,
    answer: impl Fn(&Membership, &Ask<'_>) -> Result<Verdict, Fault> + Send + Sync + 'static,
) -> Arc<dyn Policy> {
    Arc::new(Native { pins, needs: Needs::default(), answer: Box::new(answer) })
}

/// Eligible nodes in turn, tried ones left out.
fn in_turn() -> Arc<dyn Policy> {
    policy(false, |members, ask| {
        let free: Vec<u32> = members.eligible().iter().copied().filter(|i| !ask.tried.contains(i)).collect();
        Ok(Verdict::Node(free[ask.turn as usize % free.len()]))
    })
}

/// The first eligible node that was not tried.
fn first() -> Arc<dyn Policy> {
    policy(false, |members, ask| {
        let free = members.eligible().iter().copied().find(|i| !ask.tried.contains(i));
        Ok(free.map_or(Verdict::Ranked(<_>::default()), Verdict::Node))
    })
}

/// A proxy on a free port with one service `s` behind the prefix `/`, except that `/nowhere` has no route.
struct House {
    workers: Workers,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    world: WorldCell,
    state: Arc<ServiceState>,
    plan: plan::Service,
    folder: tempfile::TempDir,
    log: Arc<AccessLog>,
    lane: bool,
}

fn member(number: u64, address: SocketAddr, standing: Standing) -> Member {
    let spec = NodeSpec {
        id: format!("n{number}"),
        ordinal: Some(number),
        address: address.into(),
        weight: 1,
        zone: String::new(),
        labels: BTreeMap::new(),
    };
    let node = Node { spec, incarnation: Incarnation(number), source: Source::Static, load: Arc::default() };
    Member { node: Arc::new(node), standing, share: 1000 }
}

fn service_plan() -> plan::Service {
    let seconds = Duration::from_secs;
    plan::Service {
        name: "s".into(),
        policy: plan::PolicyUse {
            name: "native".into(),
            settings: "{}".into(),
            on_fault: None,
            mark: plan::Mark::default(),
            places: Vec::new(),
        },
        key: None,
        places: Vec::new(),
        owners: None,
        primary: None,
        sticky_cookie: None,
        nodes: Vec::new(),
        tls: None,
        protocol: plan::Protocol::Http1,
        health: None,
        retry: plan::Retry {
            attempts: 2,
            on: vec![plan::RetryOn::Connect, plan::RetryOn::Reset],
            budget: None,
            timeout: None,
        },
        eject: None,
        rate: None,
        limits: plan::Limits { connections_per_node: None, queue: 0, queue_timeout: seconds(1) },
        timeouts: plan::Timeouts { connect: seconds(5), response: seconds(20), idle: seconds(20) },
        drain: plan::Drain { spread: Duration::from_millis(50), deadline: seconds(20) },
        all_down: plan::AllDown::Fail,
        slow_start: None,
        mark: plan::Mark::default(),
    }
}

impl House {
    fn new(policy: Arc<dyn Policy>, nodes: &[SocketAddr]) -> Self {
        Self::with(policy, nodes, |_| {})
    }

    /// These tests are about the way over pingora, the lane has its own; but some things are the lane's either way.
    fn with(policy: Arc<dyn Policy>, nodes: &[SocketAddr], adjust: impl FnOnce(&mut plan::Service)) -> Self {
        Self::on(false, policy, nodes, adjust)
    }

    /// Two workers; `adjust` turns the knobs of the service.
    fn on(lane: bool, policy: Arc<dyn Policy>, nodes: &[SocketAddr], adjust: impl FnOnce(&mut plan::Service)) -> Self {
        let mut plan = service_plan();
        adjust(&mut plan);
        let members = (1..).zip(nodes).map(|(number, address)| member(number, *address, Standing::Up)).collect();
        let cell = Arc::new(MembershipCell::new(Membership::new(1, 1, members, None)));
        let state = Arc::new(ServiceState {
            barrier: Arc::default(),
            name: "s".into(),
            feed: Arc::new(Feed::new(cell)),
            turn: Arc::new(AtomicU64::new(0)),
            budget: Arc::new(RetryBudget::new()),
            owners: None,
        });
        let metrics = Arc::new(Metrics::new());
        let world = Arc::new(ArcSwap::from_pointee(world(1, lane, &plan, &state, &metrics, policy)));
        let folder = tempfile::tempdir().expect("a folder");
        let to = plan::AccessLog::File { path: folder.path().join("access.log"), max_bytes: 1 << 30, keep: 1 };
        let log = AccessLog::start(&to, &metrics).expect("a log");
        let workers = Workers::start(2, &world, &metrics, &log).expect("threads");
        let address = workers.listen(&[listener(local(), lane)]).expect("a port")[0].ip().expect("on the network");
        Self { workers, address, metrics, world, state, plan, folder, log, lane }
    }

    /// Listens there, as a configuration that is live says.
    fn listen(&self, addresses: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
        let listeners: Vec<_> = addresses.iter().map(|&address| listener(address, self.lane)).collect();
        let addresses_in_use = self.workers.listen(&listeners)?;
        let old = self.world.load_full();
        let plan = Plan { listeners, ..Plan::clone(&old.plan) };
        self.world.store(Arc::new(World {
            generation: old.generation + 1,
            router: Router::new(&plan.routes),
            plan: Arc::new(plan),
            by_route: old
                .plan
                .routes
                .iter()
                .map(|route| Route::new(route, old.services.values().cloned().collect(), None))
                .collect(),
            services: old.services.clone(),
        }));
        self.workers.renew();
        Ok(addresses_in_use.iter().filter_map(Address::ip).collect())
    }

    fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// Another world with this policy, as after a reload.
    fn swap(&self, policy: Arc<dyn Policy>) {
        let generation = self.world.load().generation + 1;
        self.world.store(Arc::new(world(generation, self.lane, &self.plan, &self.state, &self.metrics, policy)));
    }

    /// Another membership, as the control thread publishes it.
    fn publish(&self, members: Vec<Member>) {
        let version = self.state.members().load().version() + 1;
        self.state.members().publish(Arc::new(Membership::new(version, version, members, None)));
        self.state.feed.changed.send_replace(version);
    }

    fn in_flight(&self) -> u32 {
        self.state.members().load().members().iter().map(|member| member.node.load.in_flight()).sum()
    }

    fn has_metric(&self, line: &str) -> bool {
        self.metrics.render().lines().any(|written| written == line)
    }

    /// Stops everything; answers the lines of the access log.
    fn end(self) -> Vec<serde_json::Value> {
        self.workers.shutdown(Duration::from_secs(20));
        drop(self.workers);
        drop(Arc::into_inner(self.log).expect("nobody else writes"));
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).expect("was written");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn world(
    generation: u64,
    lane: bool,
    plan: &plan::Service,
    state: &Arc<ServiceState>,
    metrics: &Metrics,
    policy: Arc<dyn Policy>,
) -> World {
    let service = Arc::new(Service {
        counted: false,
        rate: None,
        sticky: None,
        plan: plan.clone(),
        state: Arc::clone(state),
        picker: Picker::new(policy, None),
        metrics: metrics.service("s", "native"),
    });
    let route = |path: &str| plan::Route {
        matches: plan::Match { path: Some(plan::PathMatch::Prefix(path.into())), ..plan::Match::default() },
        services: vec![plan::Share { service: "s".into(), weight: 1 }],
        ..plan::Route::default()
    };
    let routes = vec![route("/a"), route("/b")];
    let whole = Plan {
        shed_at_memory: None,
        run_as: None,
        file: "test.yaml".into(),
        listeners: vec![listener(local(), lane)],
        admin: None,
        trusted_proxies: Vec::new(),
        forwarded_headers: pointsman_config::plan::ForwardedHeaders::default(),
        trusted_header: plan::TrustedHeader::default(),
        access_log: plan::AccessLog::Off,
        registry: plan::Registry::Embedded { path: "none".into() },
        policies: BTreeMap::new(),
        services: [("s".into(), plan.clone())].into(),
        routes,
    };
    World {
        generation,
        router: Router::new(&whole.routes),
        by_route: whole.routes.iter().map(|route| Route::new(route, vec![Arc::clone(&service)], None)).collect(),
        plan: Arc::new(whole),
        services: [("s".into(), service)].into(),
    }
}

fn listener(address: SocketAddr, lane: bool) -> plan::Listener {
    plan::Listener {
        address: address.into(),
        mode: None,
        tls: None,
        http2: false,
        lane,
        proxy_protocol: false,
        limits: plan::ClientLimits::default(),
        mark: plan::Mark::default(),
    }
}

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An address that nobody listens on.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind(local()).expect("a port");
    listener.local_addr().expect("an address")
}

/// Waits for what another thread brings about. Bounded so that a test that fails ends.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..4000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never came about that {what}");
}
