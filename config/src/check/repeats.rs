//! What no part of the file may have: keys that repeat, merge keys, values with a tag.

use std::collections::HashMap;

use super::Checks;
use super::words::quote;
use crate::raw::{Node, Value};

/// Walks the whole tree, `with:` included.
pub(crate) fn check(node: &Node, checks: &Checks) {
    match &node.value {
        Value::Map(entries) => {
            let mut first = HashMap::new();
            for entry in entries {
                if entry.key == "<<" {
                    let hint = "YAML 1.2 has no merge keys; write the fields out";
                    checks.report(entry.key_mark, "`<<` does not merge mappings here", hint);
                    checks.silence(entry.key_mark);
                } else if let Some(line) = first.insert(entry.key.as_str(), entry.key_mark.line) {
                    let hint = format!("it stands on line {line} already; keep one");
                    checks.report(entry.key_mark, format!("the key {} is written twice", quote(&entry.key)), hint);
                }
                check(&entry.value, checks);
            }
        }
        Value::List(items) => items.iter().for_each(|item| check(item, checks)),
        Value::Tagged(tag) => {
            checks.report(node.mark, format!("the tag {} means nothing here", quote(tag)), "remove it");
        }
        _ => {}
    }
}
