//! `broadcast` of a route: its requests go to every node.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Checks;
use super::fields::{Fields, Known};
use super::words::quote;
use crate::plan::{Broadcast, Gather, Recipients, Route, Sender, Service};

const BROADCAST: Known = Known { fields: &["answer", "to", "from", "barrier", "limit"], later: &[] };
const ANSWERS: [(&str, Gather); 3] = [("all", Gather::All), ("quorum", Gather::Quorum), ("first", Gather::First)];
/// Of the request's body and of each answer, where nothing else is said.
const LIMIT: u64 = 1 << 20;
/// How long a barrier waits where it is only switched on.
const BARRIER: Duration = Duration::from_secs(30);

/// `broadcast: all`, or `{ answer: all, to: all, from: anyone, barrier: 30s, limit: 1MiB }`.
pub(super) fn broadcast(route: &Fields) -> Option<Broadcast> {
    let node = route.get("broadcast")?;
    for other in ["redirect", "services", "mirror"].into_iter().filter(|other| route.has(other)) {
        let message = format!("{} has both `broadcast` and `{other}`", route.what);
        let hint = "a broadcast goes to the nodes of one `service`, and to nobody else";
        route.checks.report(route.key_mark("broadcast"), message, hint);
    }
    if node.as_text().is_some() {
        let answer = route.choice("broadcast", &ANSWERS)?;
        let (to, from) = (Recipients::All, Sender::Anyone);
        return Some(Broadcast { answer, to, from, barrier: None, limit: LIMIT, mark: node.mark });
    }
    let fields = Fields::open(route.checks, node, format!("`broadcast` of {}", route.what), &BROADCAST);
    let answer = fields.choice("answer", &ANSWERS).unwrap_or(Gather::All);
    let to = fields.choice("to", &[("all", Recipients::All), ("backups", Recipients::Backups)]);
    let from = fields.choice("from", &[("anyone", Sender::Anyone), ("primary", Sender::Primary)]);
    let barrier = match fields.get("barrier").and_then(crate::raw::Node::as_switch) {
        Some(on) => on.then_some(BARRIER),
        None => fields.duration("barrier", Duration::from_millis(1)..=Duration::from_hours(1)),
    };
    Some(Broadcast {
        answer,
        to: to.unwrap_or(Recipients::All),
        from: from.unwrap_or(Sender::Anyone),
        barrier,
        limit: fields.size("limit", 0..=1 << 30).unwrap_or(LIMIT),
        mark: node.mark,
    })
}

/// Without a primary there is nobody to leave out, and no epoch to show.
pub(super) fn check_primaries(routes: &[Route], services: &BTreeMap<String, Service>, checks: &Checks) {
    for (broadcast, share) in routes.iter().filter_map(|route| route.broadcast.as_ref().zip(route.services.first())) {
        let wants = match (broadcast.to, broadcast.from) {
            (Recipients::Backups, _) => "to: backups",
            (_, Sender::Primary) => "from: primary",
            (Recipients::All, Sender::Anyone) => continue,
        };
        if services.get(&share.service).is_some_and(|service| service.primary.is_none()) {
            let name = quote(&share.service);
            let message = format!("a broadcast with `{wants}` wants a primary, and service {name} has none");
            checks.report(broadcast.mark, message, "add `primary: on` to the service");
        }
    }
}
