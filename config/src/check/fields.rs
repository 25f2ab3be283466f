//! Reads the fields of one mapping: unknown ones are reported when it is opened, wrong ones when they are read.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::Checks;
use super::words::{hint_for, is_token, list, quote};
use crate::plan::Mark;
use crate::raw::{Entry, Node, Text, Value};
use crate::units;

/// The fields that a mapping may have.
pub(crate) struct Known {
    pub(crate) fields: &'static [&'static str],
    /// Documented fields that this version does not carry, and what to do until it does.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

/// A mapping that is being read.
pub(crate) struct Fields<'a> {
    pub(crate) checks: &'a Checks<'a>,
    /// What the mapping is, for messages: "service `oms`".
    pub(crate) what: String,
    /// Where a problem with the mapping as a whole is shown.
    pub(crate) mark: Mark,
    /// Whether it is a mapping at all: in what is none, no field is missed.
    pub(crate) is_mapping: bool,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// Opens a mapping. What is not one is reported and read as empty; so is each field that is not known.
    pub(crate) fn open(checks: &'a Checks<'a>, node: &'a Node, what: impl Into<String>, known: &Known) -> Self {
        let what = what.into();
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => {
                checks.report(node.mark, format!("{what} is empty"), format!("it may have {}", list(known.fields)));
                &[]
            }
            _ => {
                let message = format!("{what} wants a mapping, found {}", node.kind());
                checks.report(node.mark, message, format!("its fields are {}", list(known.fields)));
                &[]
            }
        };
        for entry in entries.iter().filter(|entry| !known.fields.contains(&entry.key.as_str())) {
            let name = quote(&entry.key);
            match known.later.iter().find(|(field, _)| *field == entry.key) {
                Some((_, cure)) => {
                    checks.report(
                        entry.key_mark,
                        format!("{name} in {what} is not carried yet by this version"),
                        *cure,
                    );
                }
                None => {
                    let hint = hint_for(&entry.key, known.fields, "known fields");
                    checks.report(entry.key_mark, format!("unknown field {name} in {what}"), hint);
                }
            }
        }
        Self { checks, what, mark: node.mark, is_mapping: matches!(node.value, Value::Map(_)), entries }
    }

    /// A field of what may be a mapping, before it is known which fields it may have.
    pub(crate) fn peek(node: &'a Node, name: &str) -> Option<&'a Node> {
        match &node.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value),
            _ => None,
        }
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    /// A field's value, whatever it is; `None` if it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    /// Whether the field is written, even if empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Where the field's name stands; the mapping's place if it is absent.
    pub(crate) fn key_mark(&self, name: &str) -> Mark {
        self.entry(name).map_or(self.mark, |entry| entry.key_mark)
    }

    /// "`field` of service `oms`".
    pub(crate) fn label(&self, name: &str) -> String {
        if self.what == super::WHOLE { format!("`{name}`") } else { format!("`{name}` of {}", self.what) }
    }

    /// Reports that a value is not what the field wants.
    pub(crate) fn wrong(&self, name: &str, node: &Node, wants: impl Display, hint: impl Into<String>) {
        let found = match &node.value {
            Value::Text(text) => quote(&text.text),
            Value::Int(number) => format!("`{number}`"),
            Value::Float(number) => format!("`{number}`"),
            Value::Bool(on) => format!("`{on}`"),
            _ => node.kind().to_owned(),
        };
        self.checks.report(node.mark, format!("{} wants {wants}, found {found}", self.label(name)), hint);
    }

    /// Reports an absent field, if it is absent.
    pub(crate) fn require(&self, name: &str) -> Option<&'a Node> {
        let node = self.get(name);
        if node.is_none() {
            let (mark, message) = match self.entry(name) {
                Some(entry) => (entry.key_mark, format!("{} has no value", self.label(name))),
                None if !self.is_mapping => return None,
                None => (self.mark, format!("{} has no `{name}`", self.what)),
            };
            self.checks.report(mark, message, "it cannot be left out");
        }
        node
    }

    /// Reports a field that is written without a value, where leaving it out means something else.
    pub(crate) fn require_if_written(&self, name: &str) {
        if self.has(name) {
            self.require(name);
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        let node = self.get(name)?;
        match node.as_text() {
            Some("") => {
                self.checks.report(node.mark, format!("{} is empty", self.label(name)), "");
                None
            }
            Some(text) => Some(text),
            None => {
                let hint = if matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_)) {
                    "put it in quotes to make it text"
                } else {
                    ""
                };
                self.wrong(name, node, "text", hint);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let node = self.get(name)?;
        let number = node.as_int().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let hint = match &node.value {
                Value::Text(Text { text, .. }) if text.parse::<u64>().is_ok() => "write it without quotes",
                _ => "",
            };
            let wants = match *bounds.end() {
                u64::MAX => format!("a whole number from {}", bounds.start()),
                end => format!("a whole number from {} to {end}", bounds.start()),
            };
            self.wrong(name, node, wants, hint);
        }
        number
    }

    /// [`Fields::integer`] where 32 bits are enough.
    pub(crate) fn small(&self, name: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*bounds.start())..=u64::from(*bounds.end());
        self.integer(name, wide).and_then(|number| u32::try_from(number).ok())
    }

    /// `on` or `off`.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        let node = self.get(name)?;
        let on = node.as_switch();
        if on.is_none() {
            self.wrong(name, node, "`on` or `off`", "");
        }
        on
    }

    /// A duration within bounds.
    pub(crate) fn duration(&self, name: &str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let time = self.measured(name, "a duration", units::duration)?;
        self.within(name, "a duration", time, &bounds, units::show_duration)
    }

    /// A size in bytes within bounds.
    pub(crate) fn size(&self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let size = self.measured(name, "a size", units::size)?;
        self.within(name, "a size", size, &bounds, units::show_size)
    }

    /// A share, written as a percentage.
    pub(crate) fn percent(&self, name: &str) -> Option<f64> {
        self.measured(name, "a percentage from 0% to 100%", units::percent)
    }

    fn measured<T>(&self, name: &str, wants: &str, read: fn(&str) -> Result<T, units::Cure>) -> Option<T> {
        let node = self.get(name)?;
        let text = match &node.value {
            Value::Text(text) => text.text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => String::new(),
        };
        read(&text).map_err(|cure| self.wrong(name, node, wants, cure)).ok()
    }

    fn within<T: PartialOrd + Copy>(
        &self,
        name: &str,
        noun: &str,
        value: T,
        bounds: &RangeInclusive<T>,
        show: fn(T) -> String,
    ) -> Option<T> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let (least, most) = (show(*bounds.start()), show(*bounds.end()));
        let node = self.get(name)?;
        self.wrong(name, node, format!("{noun} from {least} to {most}"), "");
        None
    }

    /// One word of a few.
    pub(crate) fn choice<T: Copy>(&self, name: &str, words: &[(&'static str, T)]) -> Option<T> {
        let node = self.get(name)?;
        let chosen = node.as_text().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if chosen.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = super::words::meant(node.as_text().unwrap_or_default(), known.iter().copied());
            let hint = hint.map(|word| format!("did you mean `{word}`?")).unwrap_or_default();
            let one_of = if known.len() > 1 { "one of " } else { "" };
            self.wrong(name, node, format!("{one_of}{}", list(&known)), hint);
        }
        chosen.map(|(_, value)| *value)
    }

    /// A path, joined to the folder of the file.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.text(name)?;
        if text.contains('\0') {
            self.wrong(name, self.get(name)?, "a path", "");
            return None;
        }
        Some(self.checks.path(text))
    }

    /// A token (RFC 9110): the name of a header, cookie or method.
    pub(crate) fn token(&self, name: &str, noun: &str) -> Option<&'a str> {
        let text = self.text(name)?;
        if is_token(text) {
            return Some(text);
        }
        self.wrong(name, self.get(name)?, noun, "letters, digits and !#$%&'*+-.^_`|~, no spaces or colons");
        None
    }

    /// The entries of a field that is a mapping from free names; anything else is reported.
    pub(crate) fn map(&self, name: &str) -> &'a [Entry] {
        match self.get(name).map(|node| (node, &node.value)) {
            Some((_, Value::Map(entries))) => entries,
            Some((node, _)) => {
                self.wrong(name, node, "a mapping", "");
                &[]
            }
            None => &[],
        }
    }

    /// The items of a field that is a list; anything else is reported.
    pub(crate) fn list(&self, name: &str) -> &'a [Node] {
        match self.get(name).map(|node| (node, &node.value)) {
            Some((_, Value::List(items))) => items,
            Some((node, _)) => {
                self.wrong(name, node, "a list", "start each item with `- `, or write [a, b]");
                &[]
            }
            None => &[],
        }
    }

    /// The items of a field that may be one item or a list.
    pub(crate) fn one_or_list(&self, name: &str) -> Option<&'a [Node]> {
        let node = self.get(name)?;
        Some(match &node.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(node),
        })
    }
}
