//! `retry`: what is tried again, and how often.

use super::fields::{Fields, Known};
use super::words::{meant, quote};
use crate::plan::{Retry, RetryOn};
use crate::raw::{Node, Value};

const RETRY: Known = Known { fields: &["attempts", "on", "budget"], later: &[] };

/// The rule of a service: two attempts, after a failed connection or a reset, if nothing is said.
pub(crate) fn retry(service: &Fields) -> Retry {
    let default = Retry { attempts: 2, on: vec![RetryOn::Connect, RetryOn::Reset], budget: None };
    let Some(node) = service.get("retry") else { return default };
    if node.as_switch() == Some(false) {
        return Retry { attempts: 1, ..default };
    }
    let fields = Fields::open(service.checks, node, format!("`retry` of {}", service.what), &RETRY);
    Retry {
        attempts: fields.small("attempts", 1..=10).unwrap_or(default.attempts),
        on: classes(&fields, "on").unwrap_or(default.on),
        budget: fields.percent("budget"),
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
