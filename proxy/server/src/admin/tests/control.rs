//! A control loop for tests: one service `oms` with a static node, and orders that are denied by name.

use std::collections::BTreeMap;

use tokio::sync::mpsc::Receiver;

use crate::world::control::{
    Denied, Joined, Mark, NodeReport, Order, PrimaryReport, ReportedLoad, ServiceReport, Vacancy,
};

/// Answers until nobody asks any more. Ids decide what happens: `taken`, `storage` and `invalid` are denied so.
pub(super) async fn answer(mut orders: Receiver<Order>) {
    let mut nodes = BTreeMap::from([("fixed".to_owned(), node("fixed", "static"))]);
    while let Some(order) = orders.recv().await {
        // A reply that nobody waits for any more is a client that went away.
        match order {
            Order::Join { service, spec, ttl, reply } => {
                let denied = deny(&service, &spec.id);
                let _ = reply.send(denied.map_or_else(
                    || {
                        let mut report = node(&spec.id, "joined");
                        report.ordinal = spec.ordinal;
                        report.address = spec.address.to_string();
                        report.weight = spec.weight;
                        report.zone.clone_from(&spec.zone);
                        report.labels.clone_from(&spec.labels);
                        report.lease_ms = Some(ttl.as_millis() as u64);
                        let old = nodes.insert(spec.id.clone(), report);
                        let drained = old.as_ref().is_some_and(|old| old.standing == "draining");
                        Ok(Joined { created: old.is_none(), drained })
                    },
                    Err,
                ));
            }
            Order::Heartbeat { service, id, load, reply } => {
                let _ = reply.send(with(&mut nodes, &service, &id, |node| node.load = load));
            }
            Order::Leave { service, id, reply } => {
                let left = with(&mut nodes, &service, &id, |_| ());
                let left = if id == "fixed" { Err(Denied::Static { id: id.clone() }) } else { left };
                if left.is_ok() {
                    nodes.remove(&id);
                }
                let _ = reply.send(left);
            }
            Order::Drain { service, id, drain, reply } => {
                let standing = if drain { "draining" } else { "up" };
                let _ = reply.send(with(&mut nodes, &service, &id, |node| node.standing = standing));
            }
            Order::LowerMark { service, reply } => {
                let mark = Mark { was: 40, now: 1 };
                let _ = reply.send(if service == "oms" { Ok(mark) } else { Err(Denied::NoService(service)) });
            }
            Order::Report { reply } => {
                let primary = primary(nodes.get("fixed").is_some_and(|node| node.standing == "up"));
                let nodes = nodes.values().cloned().collect();
                let _ = reply.send(vec![ServiceReport {
                    name: "oms".into(),
                    policy: "round-robin".into(),
                    version: 7,
                    high_water: 1,
                    primary: Some(primary),
                    nodes,
                }]);
            }
            other => panic!("the admin API has no business with {other:?}"),
        }
    }
}

fn primary(up: bool) -> PrimaryReport {
    PrimaryReport {
        node: up.then(|| ("fixed".to_owned(), "127.0.0.1:9001".to_owned())),
        epoch: 41,
        since_ms: up.then_some(1_700_000_000_000),
        vacancy: (!up).then(|| Vacancy { why: "drained", detail: "node `fixed` was it".into() }),
    }
}

fn deny(service: &str, id: &str) -> Option<Denied> {
    match (service, id) {
        ("oms", "taken") => Some(Denied::OrdinalTaken { service: service.into(), ordinal: 1, by: "fixed".into() }),
        ("oms", "storage") => Some(Denied::Storage("no space left on device".into())),
        ("oms", "invalid") => Some(Denied::Invalid("too many nodes".into())),
        ("oms", "stopped") => Some(Denied::Stopped),
        ("oms", "fixed") => Some(Denied::Static { id: id.into() }),
        ("oms", _) => None,
        _ => Some(Denied::NoService(service.into())),
    }
}

fn with(
    nodes: &mut BTreeMap<String, NodeReport>,
    service: &str,
    id: &str,
    change: impl FnOnce(&mut NodeReport),
) -> Result<(), Denied> {
    if service != "oms" {
        return Err(Denied::NoService(service.into()));
    }
    let missing = || Denied::NoNode { service: service.into(), id: id.into() };
    nodes.get_mut(id).map(change).ok_or_else(missing)
}

fn node(id: &str, source: &'static str) -> NodeReport {
    NodeReport {
        id: id.into(),
        ordinal: None,
        address: "127.0.0.1:9001".into(),
        weight: 1,
        zone: String::new(),
        labels: BTreeMap::new(),
        source,
        standing: "up",
        reason: None,
        ejected_ms: None,
        incarnation: 1,
        in_flight: 0,
        queued: 0,
        share: 1.0,
        last_failure: None,
        last_failure_at_ms: None,
        lease_ms: None,
        load: None::<ReportedLoad>,
    }
}
