//! `steps`: what is made of a value.

use super::super::fields::{Fields, Known};
use super::super::words::{hint_for, quote};
use crate::plan::KeyStep;
use crate::raw::{Node, Value};

const NAMES: &[&str] = &["lower", "upper", "trim", "integer", "strip_prefix", "strip_suffix", "slice", "part"];
const STEP: Known = Known { fields: &["strip_prefix", "strip_suffix", "slice", "part"], later: &[] };
const SLICE: Known = Known { fields: &["from", "length"], later: &[] };
const PART: Known = Known { fields: &["of", "at"], later: &[] };
const MOST_STEPS: usize = 8;

/// The steps, none where none are written; `None`: one of them is wrong.
pub(super) fn steps(fields: &Fields) -> Option<Vec<KeyStep>> {
    let items = fields.one_or_list("steps").unwrap_or_default();
    if items.len() > MOST_STEPS {
        let message = format!("{} has {} steps, at most {MOST_STEPS}", fields.label("steps"), items.len());
        fields.checks.report(fields.key_mark("steps"), message, "");
        return None;
    }
    let read: Vec<Option<KeyStep>> =
        items.iter().enumerate().map(|(index, item)| step(fields, index + 1, item)).collect();
    read.into_iter().collect()
}

fn step(fields: &Fields, number: usize, item: &Node) -> Option<KeyStep> {
    let what = format!("step {number} of {}", fields.what);
    if let Some(word) = item.as_text() {
        return match word {
            "lower" => Some(KeyStep::Lower),
            "upper" => Some(KeyStep::Upper),
            "trim" => Some(KeyStep::Trim),
            "integer" => Some(KeyStep::Integer),
            _ if STEP.fields.contains(&word) => {
                let hint = format!("for example {{ {} }}", example(word));
                fields.checks.report(item.mark, format!("{what} does not say with what"), hint);
                None
            }
            _ => {
                let message = format!("there is no step {} for {}", quote(word), fields.what);
                fields.checks.report(item.mark, message, hint_for(word, NAMES, "steps"));
                None
            }
        };
    }
    if !matches!(item.value, Value::Map(_)) {
        let hint = "for example `lower`, or { strip_prefix: acct- }";
        fields.checks.report(item.mark, format!("{what} wants a step, found {}", item.kind()), hint);
        return None;
    }
    let step = Fields::open(fields.checks, item, what, &STEP);
    let given: Vec<&str> = STEP.fields.iter().copied().filter(|name| step.has(name)).collect();
    match given.as_slice() {
        [name] => {
            step.require(name)?;
            with_argument(&step, name)
        }
        [] => None,
        [_, second, ..] => {
            let hint = "start each step with `- `, or write [{ … }, { … }]: their order counts";
            step.checks.report(step.key_mark(second), format!("{} holds more than one", step.what), hint);
            None
        }
    }
}

fn example(name: &str) -> &'static str {
    match name {
        "strip_prefix" => "strip_prefix: acct-",
        "strip_suffix" => "strip_suffix: .example.com",
        "slice" => "slice: { from: 0, length: 4 }",
        _ => "part: { of: \"-\", at: 1 }",
    }
}

fn with_argument(step: &Fields, name: &str) -> Option<KeyStep> {
    match name {
        "strip_prefix" => step.text(name).map(|text| KeyStep::StripPrefix(text.into())),
        "strip_suffix" => step.text(name).map(|text| KeyStep::StripSuffix(text.into())),
        "slice" => {
            let slice = Fields::open(step.checks, step.get(name)?, format!("`slice` of {}", step.what), &SLICE);
            slice.require("from");
            let length = slice.get("length").map(|_| slice.small("length", 1..=65_536));
            let from = slice.small("from", 0..=65_535)? as usize;
            match length {
                None => Some(KeyStep::Slice { from, length: None }),
                Some(length) => Some(KeyStep::Slice { from, length: Some(length? as usize) }),
            }
        }
        _ => {
            let part = Fields::open(step.checks, step.get(name)?, format!("`part` of {}", step.what), &PART);
            part.require("of");
            part.require("at");
            let (of, at) = (part.text("of"), part.small("at", 0..=1_023));
            Some(KeyStep::Part { of: of?.into(), at: at? as usize })
        }
    }
}
