//! The one door to the YAML library: text in, marked tree out. Swapping the library touches this file only.
//!
//! `serde_yaml` keeps the place of every event but tells it only in errors: an error that a visitor raises at a scalar
//! is given the scalar's line and column on its way out. So the visitor here puts each scalar aside and fails on
//! purpose, and the seed around it takes the value back together with the place. A scalar is one event and has been
//! consumed by then, so the reading goes on undisturbed; a list or mapping is read to its end and takes the place of
//! its first entry. Tests pin this behaviour.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use crate::plan::Mark;
use crate::problem::{Problem, Source};
use crate::raw::{Entry, Node, Text, Value};

/// Values that a file may hold once aliases are written out: room for some 10,000 nodes; a tree of this size takes
/// about 10 MB.
const MAX_VALUES: usize = 100_000;
/// Bytes of text that a file may hold once aliases are written out: twice the largest file.
const MAX_TEXT: usize = 8 << 20;
/// Characters that can begin a value. The library holds about 100 bytes for each of at most two events that such a
/// character makes, all before the first value is seen: 150,000 of them keep that under 32 MB.
const MAX_BREAKS: usize = 150_000;

/// What the library says of a quote without its end, before where it opened.
const UNCLOSED: &str = "while scanning a quoted scalar";

const TOO_DEEP: &str = "values are nested more than 128 deep";

/// Reads a document. Errors: not YAML, or beyond the bounds; these are told one at a time, for nothing after them can
/// be trusted.
pub(crate) fn read(source: &Source) -> Result<Node, Problem> {
    if let Some(problem) = forbidden_character(source).or_else(|| crowded(source)).or_else(|| deep(source)) {
        return Err(problem);
    }
    let bounds = Bounds { values: Cell::new(MAX_VALUES), text: Cell::new(MAX_TEXT), broken: Cell::new(false) };
    let mut root = ValueSeed(&bounds)
        // The library takes a byte order mark for a document of its own.
        .deserialize(serde_yaml::Deserializer::from_str(source.text().trim_start_matches('\u{feff}')))
        .map_err(|error| refused(source, &error, bounds.broken.get()))?;
    settle(&mut root, Mark { line: 1, column: 1 });
    Ok(root)
}

/// What may still be read.
struct Bounds {
    values: Cell<usize>,
    text: Cell<usize>,
    broken: Cell<bool>,
}

impl Bounds {
    fn take<E: Error>(&self, text: usize) -> Result<(), E> {
        match (self.values.get().checked_sub(1), self.text.get().checked_sub(text)) {
            (Some(values), Some(text)) => {
                self.values.set(values);
                self.text.set(text);
                Ok(())
            }
            _ => {
                self.broken.set(true);
                Err(E::custom("too much"))
            }
        }
    }
}

/// Reads a value with its place.
#[derive(Clone, Copy)]
struct ValueSeed<'a>(&'a Bounds);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let aside = RefCell::new(None);
        match deserializer.deserialize_any(ValueVisitor { bounds: self.0, aside: &aside }) {
            Ok(value) => Ok(Node { mark: first_mark(&value), value }),
            Err(error) => match aside.take() {
                Some(value) => Ok(Node { mark: mark_in(&error.to_string()), value }),
                None => Err(error),
            },
        }
    }
}

/// Reads a key, as the text that was written, with its place.
struct KeySeed<'a>(&'a Bounds);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (String, Mark);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(String, Mark), D::Error> {
        let aside = RefCell::new(None);
        match deserializer.deserialize_str(KeyVisitor { bounds: self.0, aside: &aside }) {
            Ok(never) => match never {},
            Err(error) => match aside.take() {
                Some(key) => Ok((key, mark_in(&error.to_string()))),
                None => Err(error),
            },
        }
    }
}

enum Never {}

struct KeyVisitor<'a> {
    bounds: &'a Bounds,
    aside: &'a RefCell<Option<String>>,
}

impl Visitor<'_> for KeyVisitor<'_> {
    type Value = Never;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name as key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Never, E> {
        self.bounds.take(key.len())?;
        self.aside.replace(Some(key.to_owned()));
        Err(E::custom("placed"))
    }
}

struct ValueVisitor<'a> {
    bounds: &'a Bounds,
    aside: &'a RefCell<Option<Value>>,
}

impl ValueVisitor<'_> {
    fn put_aside<E: Error>(self, value: Value) -> Result<Value, E> {
        self.bounds.take(if let Value::Text(text) = &value { text.text.len() } else { 0 })?;
        self.aside.replace(Some(value));
        Err(E::custom("placed"))
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.put_aside(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.put_aside(Value::Null)
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Value, E> {
        self.put_aside(Value::Bool(on))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.put_aside(Value::Int(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.put_aside(Value::Int(number.into()))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Value, E> {
        self.put_aside(Value::Int(number))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Value, E> {
        self.put_aside(i128::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.put_aside(Value::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.put_aside(Value::Text(Text { text: text.to_owned(), from_env: false }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.bounds.take(0)?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(ValueSeed(self.bounds))? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.bounds.take(0)?;
        let mut entries = Vec::new();
        while let Some((key, key_mark)) = map.next_key_seed(KeySeed(self.bounds))? {
            entries.push(Entry { key, key_mark, value: map.next_value_seed(ValueSeed(self.bounds))? });
        }
        Ok(Value::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, variant) = data.variant::<String>()?;
        variant.newtype_variant_seed(ValueSeed(self.bounds))?;
        Ok(Value::Tagged(tag))
    }
}

/// The place that the library writes at the end of an error: ` at line 3 column 5`. It leaves out 1:1.
fn mark_in(error: &str) -> Mark {
    let place = error.rsplit_once(" at line ").and_then(|(_, tail)| tail.split_once(" column "));
    match place.map(|(line, column)| (line.parse(), column.parse())) {
        Some((Ok(line), Ok(column))) => Mark { line, column },
        _ => Mark { line: 1, column: 1 },
    }
}

fn first_mark(value: &Value) -> Mark {
    match value {
        Value::List(items) => items.first().map(|item| item.mark),
        Value::Map(entries) => entries.first().map(|entry| entry.key_mark),
        _ => None,
    }
    .unwrap_or_default()
}

/// Gives values without a place of their own (an empty list) that of their key, or of what holds them.
fn settle(node: &mut Node, holder: Mark) {
    if node.mark.line == 0 {
        node.mark = holder;
    }
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| settle(item, node.mark)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| settle(&mut entry.value, entry.key_mark)),
        _ => {}
    }
}

/// Characters outside YAML's printable set (YAML 1.2, production 1). The library refuses them without a place.
fn forbidden_character(source: &Source) -> Option<Problem> {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}') || c >= '\u{10000}';
    // Most files are plain ASCII, which a look at the bytes settles.
    if source.text().bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\r')) {
        return None;
    }
    let (at, found) = source.text().char_indices().find(|(_, c)| !allowed(*c))?;
    let problem = source
        .problem(source.mark_of_byte(at), format!("the character U+{:04X} is not allowed in YAML", u32::from(found)));
    Some(problem.help("remove it; inside double quotes, write it as an escape such as \"\\u0007\""))
}

/// Refuses a file that would make the library hold too much, before it is asked.
fn crowded(source: &Source) -> Option<Problem> {
    let mut left = MAX_BREAKS;
    for line in source.text().lines().filter(|line| !line.trim_start().starts_with('#')) {
        let bytes = line.as_bytes();
        left = left.saturating_sub(usize::from(!line.is_empty()));
        for (at, byte) in bytes.iter().enumerate() {
            let begins = match byte {
                b',' | b'[' | b'{' | b':' => true,
                b'-' | b'?' => bytes.get(at + 1).is_none_or(|next| matches!(next, b' ' | b'\t')),
                _ => false,
            };
            left = left.saturating_sub(usize::from(begins));
            if left == 0 {
                return Some(too_much(source, Mark { line: 1, column: 1 }));
            }
        }
    }
    None
}

/// Where lists and mappings within brackets are nested hopelessly deep. The library finds out itself, at 128, but only
/// after a time that grows with the square of the depth. Brackets in text count too: nobody leaves so many open.
fn deep(source: &Source) -> Option<Problem> {
    const HOPELESS: u32 = 512;
    let mut open: u32 = 0;
    for (at, line) in source.text().lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        for (column, byte) in line.bytes().enumerate() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > HOPELESS {
                let mark = Mark { line: at + 1, column: column + 1 };
                return Some(source.problem(mark, TOO_DEEP));
            }
        }
    }
    None
}

fn too_much(source: &Source, mark: Mark) -> Problem {
    source
        .problem(
            mark,
            format!("this file holds more than {MAX_VALUES} values (aliases written out), or more than 8 MiB of text"),
        )
        .help("let nodes join through the registry instead of listing them")
}

/// What a person is told when the text is not YAML.
fn refused(source: &Source, error: &serde_yaml::Error, over_bounds: bool) -> Problem {
    let said = error.to_string();
    let mark = match error.location() {
        // The end of the file says nothing; the quote may stand a hundred lines above it.
        Some(_) if said.contains(UNCLOSED) => mark_in(&said[said.find(UNCLOSED).unwrap_or(0)..]),
        Some(place) => Mark { line: place.line(), column: place.column() },
        // The one error without a place that has one: the line that starts the document too many.
        None if said.contains("more than one document") => {
            let line = source.text().lines().enumerate().filter(|(_, line)| line.starts_with("---")).last();
            Mark { line: line.map_or(1, |(index, _)| index + 1), column: 1 }
        }
        None => Mark { line: 1, column: 1 },
    };
    if over_bounds {
        return too_much(source, mark);
    }
    let place = format!(" at line {} column {}", mark.line, mark.column);
    let said = said.replacen(&place, "", 1);
    let line = source.line(mark.line).unwrap_or_default();
    let (message, help) = if said.contains("more than one document") {
        (
            "this file holds more than one YAML document".into(),
            Some("keep one; documents are separated by a line of `---`"),
        )
    } else if said.contains("recursion limit") {
        (TOO_DEEP.into(), None)
    } else if said.contains("repetition limit") {
        return too_much(source, mark);
    } else if said.contains("unknown anchor") {
        ("this alias names an anchor that does not stand before it".into(), Some("put `&name` before the value meant"))
    } else if said.contains(UNCLOSED) {
        (
            "the quote that opens here is never closed".into(),
            Some("close it; inside double quotes, a quote is written \\\""),
        )
    } else if said.contains("a name as key") {
        ("a key must be a name, not a list or mapping".into(), None)
    } else {
        (format!("not valid YAML: {said}"), syntax_help(line, &said))
    };
    let problem = source.problem(mark, message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn syntax_help(line: &str, said: &str) -> Option<&'static str> {
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        Some("indent with spaces: YAML does not take tabs")
    } else if line.contains("${") && line.contains('{') && said.contains("flow") {
        Some("inside { } or [ ], put a variable in quotes: \"${NAME}\"")
    } else if said.contains("mapping values are not allowed") {
        Some("either the indentation differs from the line above, or a value with `: ` in it needs quotes")
    } else if said.contains("cannot start any token") {
        Some("put the value in quotes")
    } else if said.contains("flow") {
        Some("a `{` or `[` is not closed, or a comma is missing")
    } else {
        None
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
