//! `policies`: components that the operator brings; and `policy:` of a service, which names one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::{Fields, Known};
use super::words::{NAME_RULE, hint_for, is_name, quote};
use crate::plan::{Mark, OnFault, PolicySource, PolicyUse, Setting};
use crate::raw::{Node, Text, Value};

const SOURCE: Known = Known { fields: &["wasm", "budget", "memory"], later: &[] };
const USE: Known = Known { fields: &["use", "with", "on_fault"], later: &[] };

/// The policies that the file brings. One with a built-in's name takes its place.
pub(crate) fn brought(file: &Fields) -> BTreeMap<String, PolicySource> {
    let mut policies = BTreeMap::new();
    for entry in file.map("policies") {
        let what = format!("policy {}", quote(&entry.key));
        if !is_name(&entry.key) {
            file.checks.report(entry.key_mark, format!("{what} has a name that cannot be used"), NAME_RULE);
        }
        let fields = Fields::open(file.checks, &entry.value, what, &SOURCE);
        fields.require("wasm");
        let bounds = Duration::from_micros(10)..=Duration::from_secs(1);
        let source = PolicySource {
            wasm: fields.path("wasm").unwrap_or_default(),
            budget: fields.duration("budget", bounds).unwrap_or(Duration::from_millis(1)),
            memory: fields.size("memory", 64 << 10..=1 << 30).unwrap_or(16 << 20),
            mark: entry.key_mark,
        };
        policies.insert(entry.key.clone(), source);
    }
    policies
}

/// The policy of a service: round robin if nothing is said. `names` are all that can be used.
pub(crate) fn used(service: &Fields, names: &[&str]) -> PolicyUse {
    let mark = service.key_mark("policy");
    let unset =
        |name: &str| PolicyUse { name: name.into(), settings: "{}".into(), on_fault: None, mark, places: Vec::new() };
    let Some(node) = service.get("policy") else { return unset("round-robin") };
    if let Some(name) = node.as_text() {
        known(service, name, node.mark, names);
        return unset(name);
    }
    let fields = Fields::open(service.checks, node, format!("`policy` of {}", service.what), &USE);
    let name = if fields.require("use").is_some() { fields.text("use") } else { None };
    if let Some((name, node)) = name.zip(fields.get("use")) {
        known(service, name, node.mark, names);
    }
    let faults = [("refuse", OnFault::Refuse), ("round-robin", OnFault::RoundRobin)];
    PolicyUse {
        name: name.unwrap_or_default().into(),
        settings: settings(&fields),
        on_fault: fields.choice("on_fault", &faults),
        mark: if fields.has("with") { fields.key_mark("with") } else { mark },
        places: fields.get("with").map(|with| places(with, &[])).unwrap_or_default(),
    }
}

fn known(service: &Fields, name: &str, mark: Mark, names: &[&str]) {
    if !names.contains(&name) {
        let message = format!("there is no policy {} for {}", quote(name), service.what);
        let mut hint = hint_for(name, names, "known policies");
        if !hint.starts_with("did") {
            hint.push_str("; a policy of your own needs an entry under `policies:`");
        }
        service.checks.report(mark, message, hint);
    }
}

/// Where each entry of a mapping stands, and of the mappings in it.
fn places(node: &Node, around: &[String]) -> Vec<Setting> {
    let Value::Map(entries) = &node.value else { return Vec::new() };
    let each = entries.iter().flat_map(|entry| {
        let path = [around, std::slice::from_ref(&entry.key)].concat();
        let within = places(&entry.value, &path);
        std::iter::once(Setting { path, key: entry.key_mark, value: entry.value.mark }).chain(within)
    });
    each.collect()
}

/// `with:` as JSON, keys sorted, so that the same settings are the same text.
fn settings(fields: &Fields) -> String {
    let Some(node) = fields.get("with") else { return "{}".into() };
    if !matches!(node.value, Value::Map(_)) {
        fields.wrong("with", node, "a mapping of settings", "");
    }
    json(node, fields).to_string()
}

fn json(node: &Node, fields: &Fields) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null | Value::Tagged(_) => Json::Null,
        Value::Bool(on) => Json::Bool(*on),
        Value::Int(number) => integer(*number).unwrap_or_else(|| {
            let message = format!("`{number}` is too large for a number of 64 bits");
            fields.checks.report(node.mark, message, "put it in quotes, if the policy takes text here");
            Json::Null
        }),
        Value::Float(number) => serde_json::Number::from_f64(*number).map_or_else(
            || {
                fields.checks.report(node.mark, "settings cannot hold an infinite number or one that is none", "");
                Json::Null
            },
            Json::Number,
        ),
        // From the environment comes text only; where it reads as a number or a switch, that is what was meant.
        Value::Text(Text { text, from_env: true }) => match text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ => text.parse().ok().and_then(integer).unwrap_or_else(|| Json::String(text.clone())),
        },
        Value::Text(text) => Json::String(text.text.clone()),
        Value::List(items) => items.iter().map(|item| json(item, fields)).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value, fields))).collect())
        }
    }
}

fn integer(number: i128) -> Option<serde_json::Value> {
    u64::try_from(number).map(Into::into).or_else(|_| i64::try_from(number).map(Into::into)).ok()
}
