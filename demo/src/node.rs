//! A demo node: one server of a small order-management system, over real sockets. Every answer names its node, in the
//! header `x-node` and in the body; orders live in the node that took them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::join::{self, Description, JoinOptions};
use crate::own_thread::OwnThread;

mod answers;
mod business;
mod door;
mod journal;
mod ledger;
mod message;
mod orders;
mod socket;
mod state;

pub use journal::Stats;

use state::Shared;

/// Connections that are still open this long after a stop are cut: a WebSocket would otherwise hold it up for ever.
const GRACE: Duration = Duration::from_secs(2);

/// What a node is and where it stands.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its id.
    pub id: String,
    /// Its number, where it has one.
    pub ordinal: Option<u64>,
    /// Where it listens; port 0 asks the system for one.
    pub listen: SocketAddr,
    /// Relative capacity that it joins with.
    pub weight: Option<u32>,
    /// Failure domain that it joins with.
    pub zone: Option<String>,
    /// The registry that it joins, if any.
    pub join: Option<JoinOptions>,
    /// File to which every executed order is appended, one `clOrdID<TAB>id` a line, so that the record outlives a kill.
    pub journal: Option<std::path::PathBuf>,
    /// File of what it was told (accounts, orders, payments, sessions), so that it knows them in its next life; nodes that
    /// share one know each other's.
    pub ledger: Option<std::path::PathBuf>,
    /// Requests that it serves a second, one after the other, each for the same time; any number where absent.
    pub capacity: Option<f64>,
    /// Requests that it bears at once; one more is refused with 503.
    pub most_at_once: Option<u64>,
}

impl NodeOptions {
    /// A node on a free loopback port that joins nothing.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            ordinal: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            weight: None,
            zone: None,
            join: None,
            journal: None,
            ledger: None,
            capacity: None,
            most_at_once: None,
        }
    }

    /// Gives it a number.
    #[must_use]
    pub fn ordinal(mut self, ordinal: u64) -> Self {
        self.ordinal = Some(ordinal);
        self
    }

    /// Puts it on a fixed address.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Makes it join one service through the admin API at `admin`.
    #[must_use]
    pub fn join(mut self, admin: SocketAddr, service: &str, ttl: Duration) -> Self {
        self.join = Some(JoinOptions { admin, services: vec![service.into()], ttl, token: None, drain: false });
        self
    }
}

/// A running node. Dropping it kills it: every socket closes at once and nobody is told.
#[derive(Debug)]
pub struct NodeHandle {
    /// Its id.
    pub id: String,
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    joined: watch::Receiver<u64>,
    services: u64,
    server: OwnThread,
}

/// Starts a node on a thread of its own.
///
/// # Errors
/// The address cannot be listened on, or the journal cannot be opened.
pub fn start(options: NodeOptions) -> io::Result<NodeHandle> {
    let listener = std::net::TcpListener::bind(options.listen)
        .map_err(|problem| io::Error::new(problem.kind(), format!("cannot listen on {}: {problem}", options.listen)))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared::new(&options)?);
    let services = options.join.as_ref().map_or(0, |join| join.services.len() as u64);
    let (joins, joined) = watch::channel(0);
    let (id, state) = (options.id.clone(), shared.clone());
    let server = OwnThread::spawn(&options.id.clone(), move |stopped| async move {
        // Only a runtime that is shutting down refuses a listener, and this one has just started.
        if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
            serve(options, addr, listener, state, joins, stopped).await;
        }
    })?;
    Ok(NodeHandle { id, addr, shared, joined, services, server })
}

impl NodeHandle {
    /// Waits until every service was joined at least once.
    pub async fn joined(&mut self) {
        let services = self.services;
        let _ = self.joined.wait_for(|joins| *joins >= services).await;
    }

    /// How many joins were accepted so far; more than the number of services means it had to join again.
    pub fn joins(&self) -> u64 {
        *self.joined.borrow()
    }

    /// What it has served, as `/stats` tells it.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Ids of every request that it executed, in order, repeats included: `x-request-unique` where present, else the
    /// order's `clOrdID`.
    pub fn executed(&self) -> Vec<String> {
        self.shared.journal.executed()
    }

    /// What `/health` answers from now on.
    pub fn set_health(&self, status: u16) {
        self.shared.set_health(status);
    }

    /// How long `/health` takes to answer from now on.
    pub fn set_health_delay(&self, delay: Duration) {
        self.shared.set_health_delay(delay);
    }

    /// Leaves the registry, finishes what is under way (two seconds at most), ends.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// Ends as a killed process does.
    pub fn kill(self) {
        drop(self);
    }
}

/// Ids that were executed more than once, over all `nodes` together.
pub fn duplicates(nodes: &[&NodeHandle]) -> Vec<String> {
    let mut all: Vec<String> = nodes.iter().flat_map(|node| node.executed()).collect();
    all.sort_unstable();
    let mut twice: Vec<String> = all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    twice.dedup();
    twice
}

async fn serve(
    options: NodeOptions,
    addr: SocketAddr,
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
    joins: watch::Sender<u64>,
    stopped: oneshot::Receiver<()>,
) {
    let (end, ended) = oneshot::channel::<()>();
    let server = axum::serve(listener, answers::router(shared)).with_graceful_shutdown(async {
        let _ = ended.await;
    });
    let server = tokio::spawn(server.into_future());
    let description = Description {
        id: options.id,
        address: addr,
        ordinal: options.ordinal,
        weight: options.weight,
        zone: options.zone,
    };
    stay_joined(options.join.as_ref(), &description, &joins, stopped).await;
    let _ = end.send(());
    let _ = tokio::time::timeout(GRACE, server).await;
}

/// Keeps every lease until the node is told to stop, then leaves.
async fn stay_joined(
    join: Option<&JoinOptions>,
    node: &Description,
    joins: &watch::Sender<u64>,
    stopped: oneshot::Receiver<()>,
) {
    let Some(options) = join else {
        let _ = stopped.await;
        return;
    };
    let leases =
        futures::future::join_all(options.services.iter().map(|service| join::keep(options, service, node, joins)));
    tokio::select! {
        _ = leases => {}
        _ = stopped => {}
    }
    join::leave(options, node).await;
}
