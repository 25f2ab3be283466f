//! Reads the fields of a JSON object by hand, so that the sender learns every mistake at once, each with its field.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::problem::Problem;

/// A JSON object whose fields are taken out one by one. Whatever is left in the end was not asked for.
pub(super) struct Fields {
    map: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<(String, String)>,
}

impl Fields {
    /// Parses a body. `empty` says whether no body at all means `{}`.
    pub(super) fn parse(bytes: &[u8], empty: bool, example: &str) -> Result<Self, Problem> {
        let refuse = |detail: String| {
            Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail, format!("send a JSON object, e.g. {example}"))
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return if empty { Ok(Self::of(Map::new())) } else { Err(refuse("the body is empty".into())) };
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self::of(map)),
            Ok(other) => Err(refuse(format!("the body is {}, not an object", kind(&other)))),
            Err(error) => Err(refuse(format!("the body is not JSON: {error}"))),
        }
    }

    fn of(map: Map<String, Value>) -> Self {
        Self { map, known: Vec::new(), problems: Vec::new() }
    }

    /// Notes a problem with a field.
    pub(super) fn wrong(&mut self, field: &str, why: impl Into<String>) {
        self.problems.push((field.into(), why.into()));
    }

    /// How many problems were noted so far.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Takes a field out; `null` counts as absent.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A text of at most `limit` bytes without control characters.
    pub(super) fn text(&mut self, name: &'static str, limit: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.len() > limit => {
                self.wrong(name, format!("is longer than {limit} bytes"));
                None
            }
            Value::String(text) if text.contains(char::is_control) => {
                self.wrong(name, "holds a control character");
                None
            }
            Value::String(text) => Some(text),
            other => {
                self.wrong(name, format!("must be a text, not {}", kind(&other)));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, name: &'static str, low: u64, high: u64) -> Option<u64> {
        let value = self.take(name)?;
        match value.as_u64() {
            Some(number) if (low..=high).contains(&number) => Some(number),
            _ => {
                let bound = if high == u64::MAX { format!("{low} or more") } else { format!("from {low} to {high}") };
                self.wrong(name, format!("must be a whole number, {bound}, not {}", show(&value)));
                None
            }
        }
    }

    /// A duration: `"800ms"`, `"10s"`, or a number of milliseconds.
    pub(super) fn duration(&mut self, name: &'static str, low: Duration, high: Duration) -> Option<Duration> {
        let value = self.take(name)?;
        let read = match &value {
            Value::String(text) => duration(text),
            Value::Number(number) => number.as_u64().map(Duration::from_millis),
            _ => None,
        };
        match read {
            Some(time) if (low..=high).contains(&time) => Some(time),
            Some(_) => {
                self.wrong(name, format!("must be from {low:?} to {high:?}, not {}", show(&value)));
                None
            }
            None => {
                self.wrong(
                    name,
                    format!("must be a duration as \"800ms\" or \"10s\", or a number of ms, not {}", show(&value)),
                );
                None
            }
        }
    }

    /// A mapping of texts to texts, of at most `limit` entries of at most 256 bytes each way.
    pub(super) fn texts(&mut self, name: &'static str, limit: usize) -> BTreeMap<String, String> {
        let entries = match self.take(name) {
            None => return BTreeMap::new(),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                self.wrong(name, format!("must be an object of texts, not {}", kind(&other)));
                return BTreeMap::new();
            }
        };
        if entries.len() > limit {
            self.wrong(name, format!("has more than {limit} entries"));
        }
        let mut texts = BTreeMap::new();
        for (key, value) in entries {
            match value {
                Value::String(text) if key.contains(char::is_control) || text.contains(char::is_control) => {
                    self.wrong(name, format!("{key:?}: {text:?} holds a control character"));
                }
                Value::String(text) if !key.is_empty() && key.len() <= 256 && text.len() <= 256 => {
                    texts.insert(key, text);
                }
                Value::String(_) => self.wrong(&format!("{name}.{key}"), "key and value must be from 1 to 256 bytes"),
                other => self.wrong(&format!("{name}.{key}"), format!("must be a text, not {}", kind(&other))),
            }
        }
        texts
    }

    /// All problems, unknown fields among them, or none.
    pub(super) fn finish(mut self, example: &str) -> Result<(), Problem> {
        let known = self.known.join(", ");
        for name in std::mem::take(&mut self.map).keys() {
            self.wrong(name, format!("there is no such field; there are: {known}"));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        let said: Vec<String> = self.problems.iter().map(|(field, why)| format!("`{field}`: {why}")).collect();
        let listed: Vec<Value> =
            self.problems.iter().map(|(field, why)| json!({ "field": field, "problem": why })).collect();
        Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-field",
            said.join("; "),
            format!("correct what `problems` lists and send it again, e.g. {example}"),
        )
        .with("problems", json!(listed)))
    }
}

/// A duration with a unit. Whole numbers and fractions, `ms`, `s`, `m`, `h`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    // Rounded to milliseconds, or "0.3s" would be a hair below 300 ms.
    let ms = (number * seconds * 1000.0).round();
    (ms.is_finite() && (0.0..=1e15).contains(&ms)).then(|| Duration::from_millis(ms as u64))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as an error message repeats it: short whatever was sent.
fn show(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 40 { kind(value).into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_units() {
        for (text, ms) in
            [("800ms", 800), ("10s", 10_000), ("0.3s", 300), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "ms", "-1s", "s10", "1 parsec", "NaNs", "infs", "1e99s", "1s2"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let mut fields = Fields::parse(br#"{"a": 7, "n": "x", "t": "1y", "l": {"k": 1}, "extra": true}"#, false, "{}")
            .expect("object");
        assert_eq!(fields.text("a", 10), None);
        assert_eq!(fields.integer("n", 1, 9), None);
        assert_eq!(fields.duration("t", Duration::ZERO, Duration::MAX), None);
        assert!(fields.texts("l", 4).is_empty());
        let body = fields.finish("{}").expect_err("problems").body();
        let named: Vec<&str> =
            body["problems"].as_array().expect("list").iter().filter_map(|p| p["field"].as_str()).collect();
        assert_eq!(named, ["a", "n", "t", "l.k", "extra"]);
    }

    #[test]
    fn what_is_not_an_object_is_named() {
        for (body, said) in [("", "empty"), ("[1]", "a list"), ("{\"a\":", "line 1 column"), ("nul", "not JSON")] {
            let problem = Fields::parse(body.as_bytes(), false, "{}").err().expect("refused").body();
            assert!(problem["detail"].as_str().expect("text").contains(said), "{problem}");
        }
        assert!(Fields::parse(b" \n", true, "{}").is_ok(), "no body may mean an empty object");
    }
}
