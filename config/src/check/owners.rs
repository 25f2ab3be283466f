//! `owners`: keys that belong to the node at which they were seen first.

use std::time::Duration;

use super::fields::{Fields, Known};
use super::{key, primary};
use crate::plan::{BoundTo, ClaimMode, KeyPart, KeyRule, KeySource, Learn, OnGone, OnUnknown, Owners, Place};
use crate::raw::Node;

#[cfg(test)]
mod tests;

const OWNERS: Known = Known {
    fields: &["claim", "find", "learn", "release", "on_unknown", "on_gone", "bound_to", "park", "ttl", "capacity"],
    later: &[],
};
const LEARN: Known = Known { fields: &["request", "response"], later: &[] };

const MOST_RULES: usize = 4;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// The owners of a service, if it keeps any. `key`: that of the service, which is looked up if nothing else is named.
/// `asked`: places in the bodies of its requests.
pub(crate) fn owners(service: &Fields, key: Option<&KeyRule>, asked: &mut Vec<Place>) -> Option<Owners> {
    if service.has("on_unknown") {
        let message = format!("{} stands in the wrong place", service.label("on_unknown"));
        service.checks.report(service.key_mark("on_unknown"), message, "write `owners: { on_unknown: … }`");
    }
    service.require_if_written("owners");
    let node = service.get("owners")?;
    let fields = Fields::open(service.checks, node, format!("`owners` of {}", service.what), &OWNERS);
    let mut answered = Vec::new();
    let find = find(&fields, key, service.has("key"), asked);
    let learn = learn(&fields, &find, asked, &mut answered);
    let release = key::read(&fields, "release", &mut answered);
    let release = release.inspect(|rule| of_response(&fields, "release", rule));
    let unknown = [
        ("hash", OnUnknown::Hash),
        ("primary", OnUnknown::Primary),
        ("park", OnUnknown::Park),
        ("refuse", OnUnknown::Refuse),
    ];
    let gone =
        [("primary", OnGone::Primary), ("policy", OnGone::Policy), ("park", OnGone::Park), ("refuse", OnGone::Refuse)];
    let wants_primary = |name| fields.get(name).is_some_and(|node| node.as_text() == Some("primary"));
    for name in ["on_unknown", "on_gone"].into_iter().filter(|name| wants_primary(name) && !primary::wanted(service)) {
        let message = format!("{} is `primary`, and {} has none", fields.label(name), service.what);
        service.checks.report(fields.key_mark(name), message, "add `primary: on` to the service");
    }
    Some(Owners {
        claim: fields
            .choice("claim", &[("behind", ClaimMode::Behind), ("sync", ClaimMode::Sync)])
            .unwrap_or(ClaimMode::Behind),
        release,
        places: answered,
        on_unknown: fields.choice("on_unknown", &unknown).unwrap_or(OnUnknown::Hash),
        on_gone: fields.choice("on_gone", &gone).unwrap_or(OnGone::Refuse),
        bound_to: fields
            .choice("bound_to", &[("node", BoundTo::Node), ("life", BoundTo::Life)])
            .unwrap_or(BoundTo::Node),
        park: fields.duration("park", Duration::from_millis(1)..=60 * SECOND).unwrap_or(2 * SECOND),
        ttl: fields.duration("ttl", SECOND..=365 * DAY).unwrap_or(DAY),
        capacity: fields.small("capacity", 1..=100_000_000).unwrap_or(2_000_000),
        find,
        learn,
        mark: fields.mark,
    })
}

/// What is looked up: one rule or a list, the service's own key if nothing is said.
fn find(fields: &Fields, key: Option<&KeyRule>, key_is_written: bool, asked: &mut Vec<Place>) -> Vec<KeyRule> {
    let Some(items) = fields.one_or_list("find") else {
        if !key_is_written && fields.is_mapping {
            let message = format!("{} says nowhere which key is looked up", fields.what);
            fields.checks.report(fields.mark, message, "give the service a `key`, or write `find`");
        }
        return key.cloned().into_iter().collect();
    };
    few(fields, "find", items);
    items.iter().filter_map(|item| key::one(fields, item, fields.label("find"), asked)).collect()
}

/// What is learnt: that which is looked up first, at the request, if nothing is said.
fn learn(fields: &Fields, find: &[KeyRule], asked: &mut Vec<Place>, answered: &mut Vec<Place>) -> Vec<Learn> {
    let Some(items) = fields.one_or_list("learn") else {
        return find.first().cloned().map(Learn::Request).into_iter().collect();
    };
    few(fields, "learn", items);
    let mut learnt = Vec::new();
    for item in items {
        let each = Fields::open(fields.checks, item, fields.label("learn"), &LEARN);
        if each.is_mapping && each.has("request") == each.has("response") {
            let hint = "for example { response: { header: x-order-id } }";
            fields.checks.report(each.mark, format!("{} takes one of `request` and `response`", each.what), hint);
        }
        each.require_if_written("request");
        each.require_if_written("response");
        learnt.extend(key::read(&each, "request", asked).map(Learn::Request));
        if let Some(rule) = key::read(&each, "response", answered) {
            of_response(&each, "response", &rule);
            learnt.push(Learn::Response(rule));
        }
    }
    learnt
}

fn few(fields: &Fields, name: &str, items: &[Node]) {
    if !(1..=MOST_RULES).contains(&items.len()) {
        let message = format!("{} wants 1 to {MOST_RULES} rules, found {}", fields.label(name), items.len());
        fields.checks.report(fields.key_mark(name), message, "");
    }
}

/// A response has headers and a body, and nothing else to take a key from.
fn of_response(fields: &Fields, name: &str, rule: &KeyRule) {
    if !fits(&rule.part) {
        let message = format!("{} names what only a request has", fields.label(name));
        fields.checks.report(fields.key_mark(name), message, "take it from a `header`, or from the body");
    }
}

fn fits(part: &KeyPart) -> bool {
    match &part.from {
        KeySource::Header(_) | KeySource::Body(_) => true,
        KeySource::FirstOf(parts) | KeySource::Join { parts, .. } => parts.iter().all(fits),
        _ => false,
    }
}
