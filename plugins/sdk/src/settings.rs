//! Settings: from the service's `with:` as JSON to the author's type, with messages an operator can act on.
//!
//! Every struct is closed, whether or not its author wrote `deny_unknown_fields`: a misspelt key that is silently
//! ignored is the worst thing a configuration can do. Errors name the key they are about.
//!
//! The reader is our own ([`json`]) because a general one, with its maps, positions and printing of floats, was two
//! thirds of a component.

mod json;
mod wait;

use std::fmt::Display;

use serde::Deserialize;
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use self::json::Value;
pub use self::wait::Wait;

/// For a policy without settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct NoSettings {}

/// Parses a `with:`; empty text and `null` stand for an absent one.
pub(crate) fn parse<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    match json::read(text).map_err(|cause| format!("`with` is not JSON: {cause}"))? {
        Value::Null => Ok(T::default()),
        value => T::deserialize(value).map_err(|error| error.0),
    }
}

/// What is wrong, as the operator reads it.
#[derive(Debug)]
struct Problem(String);

impl Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {}, not {}", plain(&expected.to_string()), name(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("unknown value `{variant}`: {}", instead(variant, expected)))
    }
}

/// What was expected, for somebody who writes YAML and not Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        other => other,
    }
}

/// A value in words. A fraction is not repeated: the code that prints floats is larger than most policies.
fn name(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(_) => "a number with a fraction".to_owned(),
        Unexpected::Str(text) => format!("the text \"{text}\""),
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        _ => "that".to_owned(),
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(text) => visitor.visit_string(text),
            Self::List(list) => visitor.visit_seq(SeqDeserializer::new(list.into_iter())),
            Self::Map(entries) => visitor.visit_map(Fields { rest: entries.into_iter(), current: None }),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if let Self::Map(entries) = &self
            && let Some((key, _)) = entries.iter().find(|(key, _)| !fields.contains(&key.as_str()))
        {
            return Err(Problem(unknown(key, fields)));
        }
        match self {
            Self::Map(_) => self.deserialize_any(visitor),
            _ => Err(Problem("expected a mapping of settings".to_owned())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    /// A name, or a mapping of one name to what belongs to it.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self {
            Self::Text(name) => visitor.visit_enum(Choice { name, content: None }),
            Self::Map(mut entries) if entries.len() == 1 => {
                let (name, content) = entries.remove(0);
                visitor.visit_enum(Choice { name, content: Some(content) })
            }
            _ => Err(Problem(format!("expected one of `{}`", variants.join("`, `")))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Problem> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The entries of a mapping; an error in a value is prefixed with its key.
struct Fields {
    rest: std::vec::IntoIter<(String, Value)>,
    current: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.current = self.rest.next();
        let Some((key, _)) = &self.current else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let Some((key, value)) = self.current.take() else {
            return Err(Problem::custom("a value was asked for before its key"));
        };
        seed.deserialize(value).map_err(|problem| Problem(format!("`{key}`: {problem}")))
    }
}

/// A variant of an enum, with what belongs to it.
struct Choice {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Choice {
    type Error = Problem;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Problem> {
        Ok((seed.deserialize(StrDeserializer::<Problem>::new(&self.name))?, Content(self.content)))
    }
}

/// What belongs to a variant of an enum.
struct Content(Option<Value>);

impl<'de> VariantAccess<'de> for Content {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Problem::custom("nothing belongs after this name")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self.0.unwrap_or(Value::Null))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Problem> {
        self.0.unwrap_or(Value::Null).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Problem> {
        self.0.unwrap_or(Value::Null).deserialize_struct("", fields, visitor)
    }
}

/// The message for a key that a struct does not have.
fn unknown(key: &str, fields: &[&str]) -> String {
    if fields.is_empty() {
        return format!("unknown setting `{key}`: this policy takes none");
    }
    format!("unknown setting `{key}`: {}", instead(key, fields))
}

/// The known name that was probably meant, or all of them.
fn instead(written: &str, known: &[&str]) -> String {
    match known.iter().map(|name| (distance(written, name), name)).min_by_key(|&(steps, _)| steps) {
        Some((steps, name)) if steps <= 1 + name.len() / 4 => format!("did you mean `{name}`?"),
        _ => format!("there are `{}`", known.join("`, `")),
    }
}

/// Levenshtein distance in bytes: insertions, deletions and replacements from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
