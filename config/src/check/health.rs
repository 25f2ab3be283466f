//! `health`: the active check of a service.

use std::time::Duration;

use super::fields::{Fields, Known};
use super::headers::headers;
use super::words::quote;
use crate::plan::{HealthCheck, NodeTls, Probe, Protocol};
use crate::raw::{Node, Value};

const HEALTH: Known = Known {
    fields: &["http", "tcp", "grpc", "interval", "timeout", "fall", "rise", "jitter", "expect", "host", "headers"],
    later: &[],
};

/// The check of a service, if it has one. Defaults: every 1 s, 500 ms to answer (or the interval, if that is shorter),
/// two failures or successes in a row, spread over a tenth of the interval.
pub(crate) fn health(service: &Fields, tls: Option<&NodeTls>, protocol: Protocol) -> Option<HealthCheck> {
    let node = service.get("health")?;
    let fields = Fields::open(service.checks, node, format!("`health` of {}", service.what), &HEALTH);
    let probe = probe(&fields, node);
    if protocol == Protocol::Http2 && fields.has("http") {
        let message =
            format!("{} asks in HTTP/1.1, which nodes with `protocol: h2` do not speak", fields.label("http"));
        fields.checks.report(fields.key_mark("http"), message, "check with `grpc: SERVICE` or `tcp: true`");
    }
    let hour = Duration::from_secs(3600);
    let interval = fields.duration("interval", Duration::from_millis(100)..=hour);
    let timeout = fields.duration("timeout", Duration::from_millis(1)..=hour);
    let every = interval.unwrap_or(Duration::from_secs(1));
    // An interval that was refused says nothing about the timeout.
    if let Some(timeout) = timeout.filter(|timeout| *timeout > every && interval.is_some() == fields.has("interval")) {
        let (timeout, every) = (crate::units::show_duration(timeout), crate::units::show_duration(every));
        let message = format!("{} is {timeout}, longer than the interval of {every}", fields.label("timeout"));
        fields.checks.report(fields.get("timeout")?.mark, message, "a check must end before the next one starts");
    }
    Some(HealthCheck {
        interval: every,
        timeout: timeout.unwrap_or(Duration::from_millis(500).min(every)),
        fall: fields.small("fall", 1..=100).unwrap_or(2),
        rise: fields.small("rise", 1..=100).unwrap_or(2),
        jitter: fields.percent("jitter").unwrap_or(0.1),
        probe: probe?,
        tls: tls.cloned(),
    })
}

fn probe(fields: &Fields, node: &Node) -> Option<Probe> {
    let given: Vec<&str> = ["http", "tcp", "grpc"].into_iter().filter(|name| fields.has(name)).collect();
    match given.as_slice() {
        ["http"] => http(fields),
        ["tcp"] => tcp(fields),
        [_] => grpc(fields),
        [] => {
            if matches!(node.value, Value::Map(_)) {
                let hint = "add `http: /health`, `tcp: true` or `grpc: SERVICE`";
                fields.checks.report(fields.mark, format!("{} does not say what to ask", fields.what), hint);
            }
            None
        }
        [first, second, ..] => {
            let message =
                format!("{} takes one of `http`, `tcp` and `grpc`, found `{first}` and `{second}`", fields.what);
            fields.checks.report(fields.key_mark(second), message, "each of them connects anyway; keep one");
            None
        }
    }
}

/// Reports what only an HTTP check makes use of.
fn only_of_http(fields: &Fields, kind: &str) {
    for name in ["expect", "host", "headers"].into_iter().filter(|name| fields.has(name)) {
        let message = format!("{} has no effect on a {kind} check", fields.label(name));
        fields.checks.report(fields.key_mark(name), message, "it belongs to `http: PATH`");
    }
}

fn grpc(fields: &Fields) -> Option<Probe> {
    only_of_http(fields, "gRPC");
    let node = fields.require("grpc")?;
    let service = node.as_text().filter(|name| name.len() <= 256 && name.bytes().all(|b| b.is_ascii_graphic()));
    if service.is_none() {
        fields.wrong(
            "grpc",
            node,
            "the name of a gRPC service",
            "for example shop.Orders, or \"\" for the node as a whole",
        );
    }
    Some(Probe::Grpc { service: service?.into() })
}

fn tcp(fields: &Fields) -> Option<Probe> {
    only_of_http(fields, "TCP");
    match fields.require("tcp").and_then(|_| fields.switch("tcp")) {
        Some(true) => Some(Probe::Tcp),
        Some(false) => {
            fields.checks.report(
                fields.key_mark("tcp"),
                "`tcp` can only be switched on",
                "leave `health` out for no check",
            );
            None
        }
        None => None,
    }
}

fn http(fields: &Fields) -> Option<Probe> {
    let expect = expect(fields);
    let host = fields.text("host").filter(|host| {
        let fits = !host.contains(|c: char| !c.is_ascii_graphic() || c == '/');
        if let Some(node) = fields.get("host").filter(|_| !fits) {
            fields.wrong("host", node, "the value of a Host header", "for example api.example.com");
        }
        fits
    });
    let headers = headers(fields, "headers");
    if headers.iter().any(|(name, _)| name == "host") {
        fields.checks.report(fields.key_mark("headers"), "the Host header has a field of its own", "use `host:`");
    }
    fields.require("http");
    let path = fields.text("http")?;
    if !path.starts_with('/') || path.contains(|c: char| !c.is_ascii_graphic() || c == '#') {
        let hint = if path.starts_with('/') {
            "percent-encode spaces and what is not ASCII; no `#`"
        } else {
            "start it with `/`, for example /health"
        };
        fields.wrong("http", fields.get("http")?, "a path", hint);
        return None;
    }
    Some(Probe::Http { path: path.into(), expect, host: host.map(Into::into), headers })
}

/// Statuses that pass, as inclusive ranges; 200 to 299 if nothing is said.
fn expect(fields: &Fields) -> Vec<(u16, u16)> {
    let Some(items) = fields.one_or_list("expect") else { return vec![(200, 299)] };
    if items.is_empty() {
        let message = format!("{} is an empty list: no check could pass", fields.label("expect"));
        fields.checks.report(fields.key_mark("expect"), message, "leave it out for 200-299");
    }
    let mut ranges = Vec::new();
    for item in items {
        let range = match &item.value {
            Value::Int(status) => Some((*status, *status)),
            Value::Text(text) => {
                let (low, high) = text.text.split_once('-').unwrap_or((&text.text, &text.text));
                low.trim().parse().ok().zip(high.trim().parse().ok())
            }
            _ => None,
        };
        match range {
            Some((low, high)) if 100 <= low && low <= high && high <= 599 => ranges.push((low as u16, high as u16)),
            Some((low, high)) if low > high => {
                let message = format!("the range {} runs backwards", quote(&format!("{low}-{high}")));
                fields.checks.report(item.mark, message, format!("write \"{high}-{low}\""));
            }
            _ => fields.wrong(
                "expect",
                item,
                "a status or range within 100 to 599",
                "200, \"200-299\", or a list of these",
            ),
        }
    }
    ranges
}
