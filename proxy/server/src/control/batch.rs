//! Orders that are written down together: applied in their order, committed with one sync of the disk, shown to
//! readers, and only then acknowledged. What cannot be written is taken back whole.

use std::time::Duration;

use pointsman_core::cluster::membership::Standing;
use pointsman_core::cluster::node::NodeSpec;
use pointsman_core::cluster::roster::Join;
use pointsman_registry::Change;
use tokio::sync::oneshot;

use super::desk::Desk;
use super::service::{Before, Service};
use crate::world::control::{Denied, Joined, Mark, Order};

type Reply<T> = oneshot::Sender<Result<T, Denied>>;

/// What was done to a node and not yet acknowledged.
struct Done {
    service: String,
    id: String,
    before: Before,
    what: What,
    reply: Answer,
}

/// What operators are told of it.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Joined,
    Moved,
    Left,
    Drained,
    Undrained,
    /// Nothing worth a notice.
    Quiet,
}

enum Answer {
    Join(Reply<Joined>, Joined),
    Plain(Reply<()>),
}

impl Answer {
    /// An error of `send` means that nobody waits for the answer any more.
    fn send(self, outcome: Result<(), Denied>) {
        match self {
            Self::Join(reply, joined) => drop(reply.send(outcome.map(|()| joined))),
            Self::Plain(reply) => drop(reply.send(outcome)),
        }
    }
}

/// Changes since the last commit.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    done: Vec<Done>,
}

impl Desk {
    /// Carries out orders in the order in which they came.
    pub(super) fn carry_out(&mut self, orders: impl Iterator<Item = Order>, now: Duration) {
        let mut batch = Batch::default();
        for order in orders {
            let Some(order) = self.unless_away(order) else { continue };
            match order {
                Order::Join { service, spec, ttl, reply } => self.join(&mut batch, service, spec, ttl, reply, now),
                Order::Heartbeat { service, id, load, reply } => {
                    let outcome = self.configured_service(&service).and_then(|s| s.heartbeat(&id, load, now));
                    drop(reply.send(outcome));
                }
                Order::Leave { service, id, reply } => self.leave(&mut batch, service, id, reply),
                Order::Drain { service, id, drain, reply } => self.drain(&mut batch, service, id, drain, reply),
                whole => {
                    self.commit(std::mem::take(&mut batch), now);
                    self.carry_out_whole(whole, now);
                }
            }
        }
        self.commit(batch, now);
    }

    /// Orders that concern every service, and find every earlier one committed.
    fn carry_out_whole(&mut self, order: Order, now: Duration) {
        match order {
            Order::Report { reply } => drop(reply.send(self.report(now))),
            Order::Configure { plan, reply } => drop(reply.send(self.configure(&plan, now))),
            Order::FirstChecks { reply } => self.waiting.push(reply),
            Order::RunLeases { reply } => {
                self.services.values_mut().for_each(|service| service.leases.run(now));
                // An error means that nobody waits any more.
                let _ = reply.send(());
            }
            Order::Release { reply } => drop(reply.send(self.release(now))),
            Order::TakeBack { reply } => drop(reply.send(self.take_back(now))),
            Order::GiveUp => self.give_up(),
            Order::LowerMark { service, reply } => drop(reply.send(self.lower_mark(&service, now))),
            Order::Join { .. } | Order::Heartbeat { .. } | Order::Leave { .. } | Order::Drain { .. } => {}
        }
    }

    fn join(
        &mut self,
        batch: &mut Batch,
        name: String,
        spec: NodeSpec,
        ttl: Duration,
        reply: Reply<Joined>,
        now: Duration,
    ) {
        let id = spec.id.clone();
        let attempt = self.configured_service(&name).and_then(|service| {
            let before = service.before(&id);
            Ok((before, service.join(spec, ttl, now)?))
        });
        match attempt {
            Err(denied) => drop(reply.send(Err(denied))),
            Ok((before, (join, change))) => {
                batch.changes.extend(change);
                let drained = self.services.get(&name).is_some_and(|service| service.roster.drained(&id));
                let (what, created) = match join {
                    Join::Created => (What::Joined, true),
                    Join::Moved => (What::Moved, true),
                    Join::Described | Join::Same => (What::Quiet, false),
                };
                let joined = Joined { created, drained };
                batch.done.push(Done { service: name, id, before, what, reply: Answer::Join(reply, joined) });
            }
        }
    }

    fn leave(&mut self, batch: &mut Batch, name: String, id: String, reply: Reply<()>) {
        let attempt = self.configured_service(&name).and_then(|service| {
            let before = service.before(&id);
            Ok((before, service.leave(&id)?))
        });
        match attempt {
            Err(denied) => drop(reply.send(Err(denied))),
            Ok((before, changes)) => {
                batch.changes.extend(changes);
                batch.done.push(Done { service: name, id, before, what: What::Left, reply: Answer::Plain(reply) });
            }
        }
    }

    fn drain(&mut self, batch: &mut Batch, name: String, id: String, on: bool, reply: Reply<()>) {
        let attempt = self.configured_service(&name).and_then(|service| {
            let before = service.before(&id);
            Ok((before, service.drain(&id, on)?))
        });
        match attempt {
            Err(denied) => drop(reply.send(Err(denied))),
            Ok((before, change)) => {
                let what = match (&change, on) {
                    (None, _) => What::Quiet,
                    (Some(_), true) => What::Drained,
                    (Some(_), false) => What::Undrained,
                };
                batch.changes.extend(change);
                batch.done.push(Done { service: name, id, before, what, reply: Answer::Plain(reply) });
            }
        }
    }

    fn commit(&mut self, batch: Batch, now: Duration) {
        let Batch { changes, done } = batch;
        match self.storage.commit(changes, now) {
            Ok(()) => self.acknowledge(done, now),
            Err(cause) => {
                // Last first, so that a node touched twice ends as it was before the first.
                for Done { service, id: _, before, what: _, reply } in done.into_iter().rev() {
                    if let Some(service) = self.services.get_mut(&service) {
                        service.undo(before);
                    }
                    reply.send(Err(Denied::Storage(cause.clone())));
                }
            }
        }
    }

    fn acknowledge(&mut self, done: Vec<Done>, now: Duration) {
        if !done.is_empty() {
            self.show(now);
        }
        for Done { service, id, before: _, what, reply } in done {
            if let Some(service) = self.services.get_mut(&service) {
                service.sync_check(&id, &self.checker);
            }
            self.tell(&service, &id, what);
            reply.send(Ok(()));
        }
    }

    /// Lowers the high-water mark to the greatest ordinal that is there; written down first.
    fn lower_mark(&mut self, name: &str, now: Duration) -> Result<Mark, Denied> {
        let service = self.configured_service(name)?;
        let (was, ordinal) = (service.roster.high_water(), service.roster.lowest_mark());
        if ordinal < was {
            let change = Change::Lower { service: name.to_owned(), ordinal };
            self.storage.commit(vec![change], now).map_err(Denied::Storage)?;
            let service = self.configured_service(name)?;
            service.roster.lower_mark();
            self.show(now);
            self.bus.tell(
                "mark-lowered",
                name,
                "",
                format!("the high-water mark of ordinals is {ordinal}, it was {was}"),
            );
        }
        Ok(Mark { was, now: ordinal })
    }

    fn tell(&mut self, service: &str, id: &str, what: What) {
        if matches!(what, What::Drained | What::Undrained) {
            self.finishing.turn(service, id, what == What::Drained);
        }
        let (kind, message) = match what {
            What::Quiet => return,
            What::Joined | What::Moved if self.services.get(service).is_some_and(|s| s.roster.drained(id)) => (
                "node-joined",
                format!(
                    "node `{id}` joined, and takes nothing: it was drained before, and stays so until it is undrained"
                ),
            ),
            What::Joined => {
                ("node-joined", format!("node `{id}` joined; it serves once it has passed its first check"))
            }
            What::Moved => ("node-joined", format!("node `{id}` joined at another address; it is checked anew")),
            What::Left => {
                self.metrics.forget_node(service, id);
                ("node-left", format!("node `{id}` left"))
            }
            What::Drained => {
                self.metrics.health_transition(service, id, "draining");
                ("node-draining", format!("node `{id}` finishes what it holds and takes nothing new"))
            }
            What::Undrained => {
                let standing = self.services.get(service).and_then(|s| s.standing(id));
                if let Some(standing) = standing {
                    self.metrics.health_transition(service, id, label(standing));
                }
                ("node-undrained", format!("node `{id}` is no longer drained"))
            }
        };
        self.bus.tell(kind, service, id, message);
    }

    /// A service that the configuration names.
    fn configured_service(&mut self, name: &str) -> Result<&mut Service, Denied> {
        let service = self.services.get_mut(name).filter(|service| service.plan.is_some());
        service.ok_or_else(|| Denied::NoService(name.to_owned()))
    }
}

/// The word for a standing in metrics and reports.
pub(super) fn label(standing: Standing) -> &'static str {
    match standing {
        Standing::Up => "up",
        Standing::Degraded => "degraded",
        Standing::Draining => "draining",
        Standing::Down => "down",
    }
}
