//! The registry passes from one process to the next: the store has one writer at a time, no lease lapses while nobody can
//! renew it, and nothing that was acknowledged is lost, whichever of the two goes on.

use std::time::Duration;

use pointsman_core::cluster::node::Source;
use pointsman_core::cluster::roster::{Condition, Entry};
use pointsman_registry as registry;

use super::desk::Desk;
use super::service::Service;
use crate::world::control::{Denied, Order};
use crate::world::legacy::{Known, Left, Legacy};

/// What becomes of orders that write while the registry is away.
pub(super) enum Away {
    /// It may come back: they wait.
    Waiting(Vec<Order>),
    /// It will not.
    Gone,
}

impl Desk {
    /// Lets go of the store. What waits to be written is written first, if that is possible.
    pub(super) fn release(&mut self, now: Duration) -> Legacy {
        self.storage.release(now);
        self.away = Some(Away::Waiting(Vec::new()));
        self.services.values_mut().for_each(|service| service.leases.hold());
        let named = self.services.iter().filter(|(_, service)| service.plan.is_some());
        Legacy { services: named.map(|(name, service)| (name.clone(), service.left())).collect() }
    }

    /// Opens the store again, with what another process may have written meanwhile, and does what waits.
    pub(super) fn take_back(&mut self, now: Duration) -> Result<(), Denied> {
        let Some(Away::Waiting(orders)) = self.away.take() else { return Ok(()) };
        let opened = self.storage.take_back();
        if opened.is_ok() {
            for (name, kept) in self.storage.kept() {
                let known = self.services.entry(name.clone());
                let none = registry::Service::default();
                let service = known.or_insert_with(|| Service::new(&name, &none, &self.incarnations, now));
                service.agree(&kept, now);
                service.sync_checks(&self.checker);
            }
        }
        for service in self.services.values_mut() {
            service.leases.run(now);
        }
        self.show(now);
        self.carry_out(orders.into_iter(), now);
        opened.map_err(Denied::Storage)
    }

    /// Another process has the registry now.
    pub(super) fn give_up(&mut self) {
        if let Some(Away::Waiting(orders)) = self.away.replace(Away::Gone) {
            orders.into_iter().for_each(deny);
        }
    }

    /// Keeps an order that writes while the registry is away; answers the others.
    pub(super) fn unless_away(&mut self, order: Order) -> Option<Order> {
        let writes = !matches!(
            order,
            Order::Report { .. }
                | Order::FirstChecks { .. }
                | Order::RunLeases { .. }
                | Order::Release { .. }
                | Order::TakeBack { .. }
                | Order::GiveUp
        );
        match &mut self.away {
            Some(Away::Waiting(orders)) if writes => orders.push(order),
            Some(Away::Gone) if writes => deny(order),
            _ => return Some(order),
        }
        None
    }
}

/// Whoever asked may have gone; then nobody hears it.
fn deny(order: Order) {
    match order {
        Order::Join { reply, .. } => drop(reply.send(Err(Denied::HandedOver))),
        Order::Heartbeat { reply, .. } | Order::Leave { reply, .. } | Order::Drain { reply, .. } => {
            drop(reply.send(Err(Denied::HandedOver)));
        }
        Order::LowerMark { reply, .. } => drop(reply.send(Err(Denied::HandedOver))),
        // Answered by nobody, which reads as `Denied::Stopped`.
        _ => {}
    }
}

impl Service {
    /// What the next process is told.
    fn left(&self) -> Left {
        let told = |entry: &Entry| match entry.condition() {
            _ if entry.ejected_until().is_some() => None,
            Condition::Unchecked => None,
            Condition::Up => Some(true),
            Condition::Down => Some(false),
        };
        let known = |entry: &Entry| {
            let spec = &entry.node().spec;
            Some((spec.id.clone(), Known { address: spec.address.clone(), up: told(entry)? }))
        };
        // The turn is not known here; whoever asked knows it.
        Left { turn: 0, nodes: self.roster.entries().filter_map(known).collect() }
    }

    /// Takes over what the process before this one knew of nodes that nobody has checked here.
    pub(super) fn inherit(&mut self, left: &Left) {
        for (id, known) in &left.nodes {
            self.roster.inherit(id, &known.address, known.up);
        }
    }

    /// Brings nodes that joined, drains and the mark in line with what is on disk.
    fn agree(&mut self, kept: &registry::Service, now: Duration) {
        let joined = self.roster.entries().filter(|entry| entry.node().source == Source::Joined);
        let gone: Vec<String> = joined.map(|entry| entry.node().spec.id.clone()).collect();
        for id in gone.iter().filter(|id| !kept.nodes.contains_key(*id)) {
            // It is written already.
            let _ = self.drop_node(id);
        }
        for node in kept.nodes.values() {
            // An error: the configuration has taken its id or ordinal meanwhile, and wins.
            if self.roster.join(node.spec(), now).is_ok()
                && self.leases.get(&node.id).is_none_or(|lease| lease.ttl != node.ttl())
            {
                self.leases.grant(node.id.clone(), node.ttl(), now);
            }
        }
        let ids: Vec<String> = self.roster.entries().map(|entry| entry.node().spec.id.clone()).collect();
        for id in ids.iter().chain(&kept.drains) {
            // An error: neither a node nor a drain of that id is here, and none is to be.
            let _ = self.roster.drain(id, kept.drains.contains(id));
        }
        self.roster.set_mark(kept.high_water);
        self.agree_on_office(&kept.office, now);
    }
}
