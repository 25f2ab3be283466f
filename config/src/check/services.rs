//! `services`: each with its policy, nodes and bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::{Fields, Known};
use super::words::{NAME_RULE, is_name, quote};
use super::{drain, eject, health, key, nodes, owners, policies, primary, retry, sticky, tls};
use crate::plan::{AllDown, KeyRule, KeySource, Limits, Protocol, Rate, Service, SlowStart, Timeouts};
use crate::raw::{Entry, Value};

const SERVICE: Known = Known {
    fields: &[
        "policy",
        "key",
        "nodes",
        "tls",
        "protocol",
        "health",
        "retry",
        "eject",
        "limits",
        "timeouts",
        "drain",
        "all_down",
        "slow_start",
        "owners",
        "on_unknown",
        "primary",
        "sticky_cookie",
    ],
    later: &[],
};
const LIMITS: Known = Known { fields: &["connections_per_node", "queue", "queue_timeout", "rate"], later: &[] };
const RATE: Known = Known { fields: &["key", "per_second", "burst"], later: &[] };
const SLOW_START: Known = Known { fields: &["window", "floor"], later: &[] };
const TIMEOUTS: Known = Known { fields: &["connect", "response", "idle"], later: &[] };

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The services, and every name that is written, so that a route to a service with a fault is not called dangling.
pub(crate) fn services<'a>(file: &Fields<'a>, policies: &[&str]) -> (BTreeMap<String, Service>, Vec<&'a str>) {
    let entries = file.map("services");
    let names = entries.iter().map(|entry| entry.key.as_str()).collect();
    let services = entries.iter().map(|entry| (entry.key.clone(), service(file, entry, policies))).collect();
    (services, names)
}

fn service(file: &Fields, entry: &Entry, policies: &[&str]) -> Service {
    let what = format!("service {}", quote(&entry.key));
    if !is_name(&entry.key) {
        file.checks.report(entry.key_mark, format!("{what} has a name that cannot be used"), NAME_RULE);
    }
    let mut fields = Fields::open(file.checks, &entry.value, what, &SERVICE);
    fields.mark = entry.key_mark;
    let (limits, rate) = limits(&fields);
    let downs = [("fail", AllDown::Fail), ("try-any", AllDown::TryAny), ("try-any-writes", AllDown::TryAnyWrites)];
    let tls = tls::node(&fields);
    let protocols = [("http1", Protocol::Http1), ("h2", Protocol::Http2)];
    let protocol = fields.choice("protocol", &protocols).unwrap_or(Protocol::Http1);
    let mut places = Vec::new();
    let key = key::key(&fields, &mut places);
    let owners = owners::owners(&fields, key.as_ref(), &mut places);
    Service {
        name: entry.key.clone(),
        policy: policies::used(&fields, policies),
        owners,
        primary: primary::primary(&fields),
        sticky_cookie: sticky::cookie(&fields, &entry.key),
        key,
        places,
        nodes: nodes::nodes(&fields),
        health: health::health(&fields, tls.as_ref(), protocol),
        tls,
        protocol,
        retry: retry::retry(&fields),
        eject: eject::eject(&fields),
        limits,
        rate,
        timeouts: timeouts(&fields),
        drain: drain::drain(&fields),
        all_down: fields.choice("all_down", &downs).unwrap_or(AllDown::Fail),
        slow_start: slow_start(&fields),
        mark: entry.key_mark,
    }
}

fn slow_start(service: &Fields) -> Option<SlowStart> {
    /// A node that gets nothing never warms up.
    const FLOOR: f64 = 0.1;
    let node = service.get("slow_start")?;
    if node.as_switch() == Some(false) {
        return None;
    }
    if !matches!(node.value, Value::Map(_)) {
        return service.duration("slow_start", MILLISECOND..=HOUR).map(|window| SlowStart { window, floor: FLOOR });
    }
    let fields = Fields::open(service.checks, node, format!("`slow_start` of {}", service.what), &SLOW_START);
    fields.require("window");
    let floor = fields.percent("floor").unwrap_or(FLOOR);
    if floor < 0.01 {
        let message = format!("{} below 1% would let a node never warm up", fields.label("floor"));
        fields.checks.report(fields.key_mark("floor"), message, "give at least 1%");
    }
    fields.duration("window", MILLISECOND..=HOUR).map(|window| SlowStart { window, floor })
}

fn limits(service: &Fields) -> (Limits, Option<Rate>) {
    let default = Limits { connections_per_node: None, queue: 1024, queue_timeout: SECOND };
    let Some(node) = service.get("limits") else { return (default, None) };
    let fields = Fields::open(service.checks, node, format!("`limits` of {}", service.what), &LIMITS);
    if !fields.has("connections_per_node") {
        for name in ["queue", "queue_timeout"].into_iter().filter(|name| fields.has(name)) {
            let message = format!("{} has no effect: nothing ever waits", fields.label(name));
            fields.checks.report(fields.key_mark(name), message, "give `connections_per_node` too");
        }
    }
    let limits = Limits {
        connections_per_node: fields.small("connections_per_node", 1..=1_000_000),
        queue: fields.small("queue", 0..=1_000_000).unwrap_or(default.queue),
        queue_timeout: fields.duration("queue_timeout", MILLISECOND..=HOUR).unwrap_or(default.queue_timeout),
    };
    (limits, rate(&fields))
}

fn rate(limits: &Fields) -> Option<Rate> {
    let fields = Fields::open(limits.checks, limits.get("rate")?, format!("`rate` of {}", limits.what), &RATE);
    fields.require("per_second");
    let key = key::of_rate(&fields).unwrap_or_else(|| KeyRule::of(KeySource::ClientAddress { v4: 32, v6: 128 }));
    let burst = fields.small("burst", 1..=1_000_000);
    let per_second = fields.small("per_second", 1..=1_000_000)?;
    Some(Rate { key, per_second, burst: burst.unwrap_or(per_second) })
}

fn timeouts(service: &Fields) -> Timeouts {
    let default = Timeouts { connect: SECOND, response: 30 * SECOND, idle: 60 * SECOND };
    let Some(node) = service.get("timeouts") else { return default };
    let fields = Fields::open(service.checks, node, format!("`timeouts` of {}", service.what), &TIMEOUTS);
    let read = |name, default| fields.duration(name, MILLISECOND..=24 * HOUR).unwrap_or(default);
    Timeouts {
        connect: read("connect", default.connect),
        response: read("response", default.response),
        idle: read("idle", default.idle),
    }
}
