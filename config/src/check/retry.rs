//! `retry`: what is tried again, and how often.

use std::time::Duration;

use super::fields::{Fields, Known};
use super::words::{meant, quote};
use crate::plan::{Retry, RetryOn};
use crate::raw::{Node, Value};

const RETRY: Known = Known { fields: &["attempts", "on", "budget", "timeout"], later: &[] };

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The rule of a service: two attempts, after a failed connection or a reset, bounded by a fifth of the requests, if
/// nothing is said. Whoever says how long an attempt may take wants another after it.
pub(crate) fn retry(service: &Fields) -> Retry {
    let default = Retry { attempts: 2, on: vec![RetryOn::Connect, RetryOn::Reset], budget: Some(0.2), timeout: None };
    let Some(node) = service.get("retry") else { return default };
    if node.as_switch() == Some(false) {
        return Retry { attempts: 1, ..default };
    }
    let fields = Fields::open(service.checks, node, format!("`retry` of {}", service.what), &RETRY);
    Retry {
        attempts: fields.small("attempts", 1..=10).unwrap_or(default.attempts),
        on: classes(&fields, "on").unwrap_or_else(|| {
            let timeout = fields.has("timeout").then_some(RetryOn::Timeout);
            default.on.into_iter().chain(timeout).collect()
        }),
        budget: budget(&fields, default.budget),
        timeout: fields.duration("timeout", MILLISECOND..=DAY),
    }
}

fn budget(fields: &Fields, default: Option<f64>) -> Option<f64> {
    match fields.get("budget") {
        None => default,
        Some(node) if node.as_switch() == Some(false) => None,
        Some(_) => fields.percent("budget"),
    }
}

/// Failure classes, each once.
pub(super) fn classes(fields: &Fields, name: &str) -> Option<Vec<RetryOn>> {
    let mut classes = Vec::new();
    for item in fields.one_or_list(name)? {
        match class(item) {
            Some(class) if classes.contains(&class) => {
                let written = item.as_text().map_or_else(|| format!("`{}`", item.as_int().unwrap_or_default()), quote);
                let message = format!("{written} stands twice in {}", fields.label(name));
                fields.checks.report(item.mark, message, "keep one");
            }
            Some(class) => classes.push(class),
            None => {
                let guess = meant(item.as_text().unwrap_or_default(), ["connect", "reset", "timeout"]);
                let hint = guess.map(|word| format!("did you mean `{word}`?")).unwrap_or_default();
                fields.wrong(name, item, "`connect`, `reset`, `timeout` or a status from 400 to 599", hint);
            }
        }
    }
    Some(classes)
}

fn class(item: &Node) -> Option<RetryOn> {
    let status = match &item.value {
        Value::Int(status) => u16::try_from(*status).ok()?,
        Value::Text(text) => match text.text.as_str() {
            "connect" => return Some(RetryOn::Connect),
            "reset" => return Some(RetryOn::Reset),
            "timeout" => return Some(RetryOn::Timeout),
            status => status.parse().ok()?,
        },
        _ => return None,
    };
    (400..=599).contains(&status).then_some(RetryOn::Status(status))
}
