//! `limits` of a listener: what it grants its clients.

use std::time::Duration;

use super::fields::{Fields, Known};
use crate::plan::{ClientLimits, Http2Limits};

const LIMITS: Known = Known {
    fields: &[
        "head",
        "fields",
        "head_timeout",
        "body",
        "body_timeout",
        "send_timeout",
        "keep_alive",
        "connections",
        "connections_per_client",
        "http2",
    ],
    later: &[],
};
const HTTP2: Known = Known { fields: &["streams", "resets", "errors", "control"], later: &[] };
/// Beyond this many within ten seconds nothing is bounded any more.
const MANY: u32 = 1_000_000;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The bounds of a listener, each at its default unless it is given.
pub(super) fn limits(listener: &Fields) -> ClientLimits {
    let default = ClientLimits::default();
    let Some(node) = listener.get("limits") else { return default };
    let fields = Fields::open(listener.checks, node, format!("`limits` of {}", listener.what), &LIMITS);
    let off = |name: &str| fields.get(name).is_some_and(|node| node.as_switch() == Some(false));
    let time = |name, default| fields.duration(name, SHORTEST..=LONGEST).unwrap_or(default);
    let count = |name, default| if off(name) { None } else { fields.small(name, 1..=10_000_000).or(default) };
    ClientLimits {
        head: fields.size("head", 1 << 10..=1 << 20).unwrap_or(default.head),
        fields: fields.small("fields", 10..=10_000).unwrap_or(default.fields),
        head_timeout: time("head_timeout", default.head_timeout),
        body: if off("body") { None } else { fields.size("body", 0..=1 << 50).or(default.body) },
        body_timeout: time("body_timeout", default.body_timeout),
        send_timeout: time("send_timeout", default.send_timeout),
        keep_alive: time("keep_alive", default.keep_alive),
        connections: count("connections", default.connections),
        connections_per_client: count("connections_per_client", default.connections_per_client),
        http2: http2(&fields),
    }
}

fn http2(limits: &Fields) -> Http2Limits {
    let default = Http2Limits::default();
    let Some(node) = limits.get("http2") else { return default };
    let fields = Fields::open(limits.checks, node, format!("`http2` of {}", limits.what), &HTTP2);
    let count = |name, default| fields.small(name, 10..=MANY).unwrap_or(default);
    Http2Limits {
        streams: fields.small("streams", 1..=1000).unwrap_or(default.streams),
        resets: count("resets", default.resets),
        errors: count("errors", default.errors),
        control: count("control", default.control),
    }
}
