//! Orders to the control thread, the single writer of memberships: what admin and reload may ask of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pointsman_config::plan::Plan;
use pointsman_core::cluster::cell::MembershipCell;
use pointsman_core::cluster::membership::Membership;
use pointsman_core::cluster::node::NodeSpec;
use pointsman_core::pick::policy::Policy;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::legacy::Legacy;

/// Asks the control thread. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Control {
    orders: mpsc::Sender<Order>,
}

/// One order with the place for its reply. A reply comes only after what it acknowledges is on disk.
#[derive(Debug)]
#[expect(missing_docs, reason = "the text of a variant speaks of its fields")]
pub enum Order {
    /// A node joins, or says again that it is there.
    Join { service: String, spec: NodeSpec, ttl: Duration, reply: oneshot::Sender<Result<Joined, Denied>> },
    /// A node renews its lease.
    Heartbeat { service: String, id: String, load: Option<ReportedLoad>, reply: oneshot::Sender<Result<(), Denied>> },
    /// A node leaves.
    Leave { service: String, id: String, reply: oneshot::Sender<Result<(), Denied>> },
    /// A node takes nothing new (`true`), or again does (`false`).
    Drain { service: String, id: String, drain: bool, reply: oneshot::Sender<Result<(), Denied>> },
    /// Report all services.
    Report { reply: oneshot::Sender<Vec<ServiceReport>> },
    /// Put the plan in force; answers the feed of each of its services.
    Configure { plan: Arc<Plan>, reply: oneshot::Sender<Result<BTreeMap<String, Arc<Feed>>, Vec<Clash>>> },
    /// Lower a service's high-water mark to the greatest ordinal of the nodes that are there.
    LowerMark { service: String, reply: oneshot::Sender<Result<Mark, Denied>> },
    /// Wait until every service has had the first round of checks.
    FirstChecks { reply: oneshot::Sender<()> },
    /// Heartbeats are answered from now on, or never will be: the leases of nodes that the registry kept begin to run.
    RunLeases { reply: oneshot::Sender<()> },
    /// Let go of the registry, so that the process that takes over can open it. Whatever would write waits from now on.
    Release { reply: oneshot::Sender<Legacy> },
    /// That process will not serve: open the registry again.
    TakeBack { reply: oneshot::Sender<Result<(), Denied>> },
    /// It does: refuse whatever would write.
    GiveUp,
}

/// Where requests find the nodes of a service, and may wait for a change. Carried over from plan to plan by the name
/// of the service.
pub struct Feed {
    /// The newest membership.
    pub cell: Arc<MembershipCell>,
    /// Its version, sent after the cell holds it: a parked request subscribes, looks at the cell, and waits.
    pub changed: watch::Sender<u64>,
    /// The policy of the service in force; it gets ready for another list of nodes before that is published.
    policy: ArcSwapOption<Arc<dyn Policy>>,
    /// Whether a request has failed since the control thread last looked: it judges nodes only then.
    pub failed: AtomicBool,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("cell", &self.cell).finish_non_exhaustive()
    }
}

impl Feed {
    /// Tells of this cell.
    pub fn new(cell: Arc<MembershipCell>) -> Self {
        let (changed, _) = watch::channel(cell.load().version());
        Self { cell, changed, policy: ArcSwapOption::empty(), failed: AtomicBool::new(false) }
    }

    /// The policy that is asked from now on.
    pub fn serve_by(&self, policy: &Arc<dyn Policy>) {
        self.policy.store(Some(Arc::new(Arc::clone(policy))));
    }

    /// Shows readers the next membership. The single writer alone calls this.
    pub fn publish(&self, next: Arc<Membership>) {
        if next.roster() != self.cell.load().roster()
            && let Some(policy) = self.policy.load_full()
        {
            policy.prepare(&next);
        }
        let version = next.version();
        self.cell.publish(next);
        self.changed.send_replace(version);
    }

    /// Until the membership is newer than `version`.
    pub async fn newer_than(&self, version: u64) {
        // Subscribed before looking, so that a change in between is not missed.
        let mut changed = self.changed.subscribe();
        while self.cell.load().version() <= version {
            if changed.changed().await.is_err() {
                // Nobody writes any more: only the time can end the wait.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What became of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// It was not there, or it stands at a new address now: a new incarnation. Otherwise its lease is renewed and its
    /// description brought up to date.
    pub created: bool,
    /// An operator drained it, before its lease lapsed perhaps, and nobody has undrained it since.
    pub drained: bool,
}

/// What became of a high-water mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Before.
    pub was: u64,
    /// From now on.
    pub now: u64,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of a variant speaks of its fields")]
pub enum Denied {
    /// 404.
    #[error("there is no service `{0}`")]
    NoService(String),
    /// 404.
    #[error("service `{service}` has no node `{id}`; join again with PUT")]
    NoNode { service: String, id: String },
    /// 409.
    #[error("ordinal {ordinal} of service `{service}` is taken by node `{by}`")]
    OrdinalTaken { service: String, ordinal: u64, by: String },
    /// 409.
    #[error("node `{id}` stands in the YAML; take it out there")]
    Static { id: String },
    /// 400.
    #[error("{0}")]
    Invalid(String),
    /// 503: the change could not be written down, so it did not happen.
    #[error("the registry cannot write: {0}")]
    Storage(String),
    /// 503.
    #[error("the control thread has stopped")]
    Stopped,
    /// 503.
    #[error("this process has handed over to a new one, which answers in its place")]
    HandedOver,
}

/// A static node of a new plan that clashes with one that joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Service.
    pub service: String,
    /// The static node.
    pub node: String,
    /// One sentence.
    pub message: String,
}

/// What a node reports of itself.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, Serialize)]
#[serde(default)]
pub struct ReportedLoad {
    /// 0 to 1.
    pub utilisation: Option<f64>,
    /// Requests that wait at the node.
    pub queue: Option<u64>,
}

/// A service as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceReport {
    /// Name.
    pub name: String,
    /// Policy in use.
    pub policy: String,
    /// Membership version.
    pub version: u64,
    /// The highest ordinal that ever counted; kept on disk, lowered by nothing but [`Order::LowerMark`].
    pub high_water: u64,
    /// Who is the primary; `None`: the service elects none.
    #[serde(skip)]
    pub primary: Option<PrimaryReport>,
    /// Nodes in member order.
    pub nodes: Vec<NodeReport>,
}

/// The office of a service's primary as operators see it.
#[derive(Debug, Clone)]
pub struct PrimaryReport {
    /// Id and address of the primary.
    pub node: Option<(String, String)>,
    /// Its epoch, or that of the last there was; 0: there never was one.
    pub epoch: u64,
    /// When it was elected, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Why there is none.
    pub vacancy: Option<Vacancy>,
}

/// Why a service has no primary now.
#[derive(Debug, Clone)]
pub struct Vacancy {
    /// For programs: `first` (nobody was up yet), `restart` (of the proxy), `gone`, `drained`, `down`, `reborn`,
    /// `abolished` (what became of the last), `unwritable` (the registry's disk).
    pub why: &'static str,
    /// A sentence.
    pub detail: String,
}

/// A node as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// Id.
    pub id: String,
    /// Ordinal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u64>,
    /// Address.
    pub address: String,
    /// Weight.
    pub weight: u32,
    /// Zone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `static` or `joined`.
    pub source: &'static str,
    /// `up`, `degraded`, `draining`, `down`, or `checking` before the first check.
    pub standing: &'static str,
    /// `ejected`: it was taken out because requests to it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Milliseconds until it is back from that, unless its checks bring it back sooner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected_ms: Option<u64>,
    /// Which life this is.
    pub incarnation: u64,
    /// Requests under way.
    pub in_flight: u32,
    /// Of those, the ones that wait for a permit.
    pub queued: u32,
    /// Warm-up share, 0 to 1.
    pub share: f64,
    /// Why the last check failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// When it last failed, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_at_ms: Option<u64>,
    /// Milliseconds until the lease lapses, for joined nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// What it reported of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<ReportedLoad>,
}

impl Control {
    /// A handle, and the end that the control thread reads.
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        // 1,024 orders: admin waits beyond that, so a flood of joins is slowed, not lost.
        let (orders, inbox) = mpsc::channel(1024);
        (Self { orders }, inbox)
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Denied> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(make(reply)).await.map_err(|_| Denied::Stopped)?;
        answer.await.map_err(|_| Denied::Stopped)
    }

    /// See [`Order::Join`].
    pub async fn join(&self, service: &str, spec: NodeSpec, ttl: Duration) -> Result<Joined, Denied> {
        self.ask(|reply| Order::Join { service: service.into(), spec, ttl, reply }).await?
    }

    /// See [`Order::Heartbeat`].
    pub async fn heartbeat(&self, service: &str, id: &str, load: Option<ReportedLoad>) -> Result<(), Denied> {
        self.ask(|reply| Order::Heartbeat { service: service.into(), id: id.into(), load, reply }).await?
    }

    /// See [`Order::Leave`].
    pub async fn leave(&self, service: &str, id: &str) -> Result<(), Denied> {
        self.ask(|reply| Order::Leave { service: service.into(), id: id.into(), reply }).await?
    }

    /// See [`Order::Drain`].
    pub async fn drain(&self, service: &str, id: &str, drain: bool) -> Result<(), Denied> {
        self.ask(|reply| Order::Drain { service: service.into(), id: id.into(), drain, reply }).await?
    }

    /// See [`Order::Report`].
    pub async fn report(&self) -> Result<Vec<ServiceReport>, Denied> {
        self.ask(|reply| Order::Report { reply }).await
    }

    /// See [`Order::Configure`].
    pub async fn configure(&self, plan: Arc<Plan>) -> Result<Result<BTreeMap<String, Arc<Feed>>, Vec<Clash>>, Denied> {
        self.ask(|reply| Order::Configure { plan, reply }).await
    }

    /// See [`Order::LowerMark`].
    pub async fn lower_mark(&self, service: &str) -> Result<Mark, Denied> {
        self.ask(|reply| Order::LowerMark { service: service.into(), reply }).await?
    }

    /// See [`Order::FirstChecks`].
    pub async fn first_checks(&self) -> Result<(), Denied> {
        self.ask(|reply| Order::FirstChecks { reply }).await
    }

    /// See [`Order::Release`].
    pub async fn release(&self) -> Result<Legacy, Denied> {
        self.ask(|reply| Order::Release { reply }).await
    }

    /// See [`Order::TakeBack`].
    pub async fn take_back(&self) -> Result<(), Denied> {
        self.ask(|reply| Order::TakeBack { reply }).await?
    }

    /// See [`Order::GiveUp`].
    pub async fn give_up(&self) {
        // An error means that it has ended.
        let _ = self.orders.send(Order::GiveUp).await;
    }

    /// See [`Order::RunLeases`].
    pub async fn run_leases(&self) -> Result<(), Denied> {
        self.ask(|reply| Order::RunLeases { reply }).await
    }
}
