//! The control thread's loop, and what time and health checks bring.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pointsman_core::cluster::health::Transition;
use pointsman_core::cluster::lease::TICK;
use pointsman_core::cluster::roster::Incarnations;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::checks::{Checker, Finding};
use super::finishing::Finishing;
use super::handing::Away;
use super::judgement::tell;
use super::service::Service;
use super::storage::Storage;
use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::clock;
use crate::world::control::{Order, ServiceReport};
use crate::world::legacy::Legacy;

/// Orders or findings that are taken at once: enough to share one sync of the disk, few enough that the next tick is
/// not late.
const BATCH: usize = 256;

/// Everything the control thread knows.
pub(super) struct Desk {
    pub(super) services: BTreeMap<String, Service>,
    pub(super) storage: Storage,
    pub(super) checker: Checker,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bus: Bus,
    pub(super) incarnations: Incarnations,
    /// Whether a configuration was ever put in force.
    pub(super) configured: bool,
    /// Nodes of the newest configuration that have not been checked.
    pub(super) unchecked: BTreeSet<(String, String)>,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    /// What the process before this one knew; until the first configuration is put in force.
    pub(super) legacy: Legacy,
    /// Set once the registry was let go of.
    pub(super) away: Option<Away>,
    pub(super) finishing: Finishing,
}

impl Desk {
    pub(super) fn new(
        storage: Storage,
        checker: Checker,
        metrics: Arc<Metrics>,
        bus: Bus,
        legacy: Legacy,
        now: Duration,
    ) -> Self {
        let incarnations = Incarnations::default();
        let kept = storage.kept().into_iter();
        let services =
            kept.map(|(name, kept)| (name.clone(), Service::new(&name, &kept, &incarnations, now))).collect();
        Self {
            services,
            storage,
            checker,
            metrics,
            bus,
            incarnations,
            configured: false,
            unchecked: BTreeSet::new(),
            waiting: Vec::new(),
            legacy,
            away: None,
            finishing: Finishing::default(),
        }
    }

    /// Until the last handle is dropped.
    pub(super) async fn serve(
        mut self,
        mut inbox: mpsc::Receiver<Order>,
        mut findings: mpsc::UnboundedReceiver<Finding>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut orders, mut found) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut checks_run = true;
        loop {
            tokio::select! {
                // Time first: a flood of orders must not keep leases from lapsing.
                biased;
                _ = ticks.tick() => self.tick(clock::now()),
                count = findings.recv_many(&mut found, BATCH), if checks_run => {
                    checks_run = count > 0;
                    self.found(found.drain(..), clock::now());
                }
                count = inbox.recv_many(&mut orders, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.carry_out(orders.drain(..), clock::now());
                }
            }
            self.tell_who_waits();
        }
    }

    /// Leases lapse, warm-ups go on, nodes that fail their requests go, and what a failing disk is owed is tried again.
    pub(super) fn tick(&mut self, now: Duration) {
        let mut changes = Vec::new();
        let mut said = Vec::new();
        let mut away = None;
        for service in self.services.values_mut() {
            let tick = service.leases.tick(now);
            away = away.max(tick.away);
            for id in tick.lapsed {
                changes.extend(service.drop_node(&id));
                service.sync_check(&id, &self.checker);
                self.metrics.lease_lost(&service.name);
                self.metrics.forget_node(&service.name, &id);
                self.bus.tell("lease-lost", &service.name, &id, format!("node `{id}` did not renew its lease in time"));
            }
            service.roster.tick(now);
            let judgements = service.judge(now);
            if !judgements.is_empty() {
                said.push((Arc::clone(&service.name), judgements));
            }
        }
        self.show(now);
        for (name, judgements) in said {
            if let Some(service) = self.services.get(&*name) {
                judgements.iter().for_each(|judgement| tell(&self.bus, &self.metrics, service, judgement));
            }
        }
        if let Some(gap) = away {
            let ms = gap.as_millis();
            let message = format!("the proxy itself was away for {ms} ms: every lease lasts its full time from now on");
            self.bus.tell("leases-extended", "", "", message);
        }
        self.tell_who_finished();
        self.storage.owe(changes, now);
        self.storage.tick(now);
    }

    /// What health checks brought.
    fn found(&mut self, findings: impl Iterator<Item = Finding>, now: Duration) {
        let mut turned = false;
        let mut changes = Vec::new();
        for Finding { service: name, node, incarnation, news } in findings {
            let Some(service) = self.services.get_mut(&*name) else { continue };
            let why = news.failure.as_ref().map(|f| Arc::clone(&f.reason));
            if let Some(failure) = news.failure {
                service.roster.failed(&node, incarnation, failure);
            }
            let Some(to) = news.transition else { continue };
            let mark = service.roster.high_water();
            if !service.roster.turned(&node, incarnation, to, now) {
                continue;
            }
            changes.extend(service.mark_since(mark));
            turned = true;
            match to {
                Transition::Up => {
                    self.metrics.health_transition(&name, &node, "up");
                    self.bus.tell("node-up", &name, &node, format!("node `{node}` passed its check and may serve"));
                }
                Transition::Down => {
                    self.metrics.health_transition(&name, &node, "down");
                    let why = why.unwrap_or_else(|| "unknown".into());
                    self.bus.tell("node-down", &name, &node, format!("node `{node}` takes no requests: {why}"));
                }
            }
        }
        // Written down before anybody routes by it.
        self.storage.owe(changes, now);
        if turned {
            self.show(now);
        }
    }

    /// Services as operators see them: those that the configuration names.
    pub(super) fn report(&self, now: Duration) -> Vec<ServiceReport> {
        let writable = self.storage.is_writable(now);
        self.services.values().filter_map(|service| service.report(now, writable)).collect()
    }

    fn tell_who_waits(&mut self) {
        if self.waiting.is_empty() || !self.configured {
            return;
        }
        let services = &self.services;
        self.unchecked.retain(|(service, id)| services.get(service).is_some_and(|s| s.awaits_check(id)));
        if self.unchecked.is_empty() {
            for reply in self.waiting.drain(..) {
                // An error means that nobody waits any more.
                let _ = reply.send(());
            }
        }
    }
}
