//! `nodes`: those that stand in the file.

use std::collections::{BTreeMap, HashMap};

use super::fields::{Fields, Known};
use super::words::{NAME_RULE, is_name, quote};
use crate::plan::{Mark, StaticNode};
use crate::raw::{Node, Value};

const NODE: Known = Known { fields: &["id", "ordinal", "address", "weight", "zone", "labels"], later: &[] };

/// The nodes of a service; ids and ordinals are unique.
pub(crate) fn nodes(service: &Fields) -> Vec<StaticNode> {
    let mut ids: HashMap<&str, Mark> = HashMap::new();
    let mut ordinals: HashMap<u64, Mark> = HashMap::new();
    let mut nodes = Vec::new();
    for (index, item) in service.list("nodes").iter().enumerate() {
        let fields = open(service, item, index);
        fields.require("id");
        fields.require("address");
        let id = fields.text("id");
        if let Some((id, place)) = id.zip(fields.get("id")) {
            if !is_name(id) {
                fields.checks.report(place.mark, format!("{} is no id for a node", quote(id)), NAME_RULE);
            }
            if let Some(first) = ids.insert(id, place.mark) {
                let message = format!("{} has two nodes with the id {}", service.what, quote(id));
                fields.checks.report(place.mark, message, format!("the other one stands on line {}", first.line));
            }
        }
        let ordinal = fields.integer("ordinal", 1..=u64::MAX);
        if let Some((ordinal, place)) = ordinal.zip(fields.get("ordinal"))
            && let Some(first) = ordinals.insert(ordinal, place.mark)
        {
            let message = format!("{} has two nodes with the ordinal {ordinal}", service.what);
            fields.checks.report(place.mark, message, format!("the other one stands on line {}", first.line));
        }
        let (weight, labels) = (weight(&fields), labels(&fields));
        let zone = fields.text("zone").unwrap_or_default().to_owned();
        if let Some((id, address)) = id.zip(fields.address("address", true)) {
            nodes.push(StaticNode { id: id.to_owned(), ordinal, address, weight, zone, labels });
        }
    }
    nodes
}

/// Names the node by its id where it has one: "node 3" is hard to find in a long list.
fn open<'a>(service: &Fields<'a>, item: &'a Node, index: usize) -> Fields<'a> {
    let id = Fields::peek(item, "id").and_then(Node::as_text);
    let name = id.map_or_else(|| (index + 1).to_string(), quote);
    Fields::open(service.checks, item, format!("node {name} of {}", service.what), &NODE)
}

fn weight(fields: &Fields) -> u32 {
    if let Some(node) = fields.get("weight").filter(|node| node.as_int() == Some(0)) {
        let hint = "to take a node out of traffic, drain it through the admin API";
        fields.wrong("weight", node, "a whole number from 1 to 65535", hint);
        return 1;
    }
    fields.small("weight", 1..=65_535).unwrap_or(1)
}

fn labels(fields: &Fields) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for entry in fields.map("labels") {
        let value = match &entry.value.value {
            Value::Text(text) => text.text.clone(),
            Value::Null => String::new(),
            _ => {
                let message =
                    format!("label {} of {} wants text, found {}", quote(&entry.key), fields.what, entry.value.kind());
                fields.checks.report(entry.value.mark, message, "put it in quotes to make it text");
                continue;
            }
        };
        labels.insert(entry.key.clone(), value);
    }
    labels
}
