//! What was written: a tree that mirrors the file and can be wrong, each value with its place.

use crate::plan::Mark;

/// A value and where it stands. A mapping or list stands where its first entry does.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

/// A value as YAML 1.2 reads it.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A value with an application tag (`!name`), which nothing here understands.
    Tagged(String),
}

/// Text, and whether any of it came from the environment: such text may stand for a number or a switch, because a
/// YAML reader has seen only the reference.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) from_env: bool,
}

/// One entry of a mapping. Keys may repeat here; the checks refuse that.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_mark: Mark,
    pub(crate) value: Node,
}

impl Node {
    /// Text as written, if it is text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// A whole number; also text from the environment that is one.
    pub(crate) fn as_int(&self) -> Option<i128> {
        match &self.value {
            Value::Int(number) => Some(*number),
            Value::Text(Text { text, from_env: true }) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A switch: `on`, `off`, `true`, `false`.
    pub(crate) fn as_switch(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(on) => Some(*on),
            Value::Text(text) => match text.text.as_str() {
                "on" | "true" => Some(true),
                "off" | "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What stands here, for "found ...".
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "a number",
            Value::Float(_) => "a number with a fraction",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Tagged(_) => "a tagged value",
        }
    }
}
