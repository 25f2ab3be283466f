//! Settings: from the service's `with:` as JSON to the author's type, with messages an operator can act on.
//!
//! Every struct is closed, whether or not its author wrote `deny_unknown_fields`: a misspelt key that is silently
//! ignored is the worst thing a configuration can do. Errors name the key they are about.

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// For a policy without settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct NoSettings {}

/// Parses a `with:`; empty text and `null` stand for an absent one.
pub(crate) fn parse<T: DeserializeOwned + Default>(json: &str) -> Result<T, String> {
    if matches!(json.trim_ascii(), "" | "null") {
        return Ok(T::default());
    }
    let value: Value = serde_json::from_str(json).map_err(|error| format!("`with` is not JSON: {error}"))?;
    T::deserialize(Closed(value)).map_err(|error| error.to_string())
}

/// A value whose structs take no key they do not have.
struct Closed(Value);

impl<'de> Deserializer<'de> for Closed {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Object(map) = self.0 else {
            return Err(Error::custom("expected a mapping of settings"));
        };
        if let Some(key) = map.keys().find(|key| !fields.contains(&key.as_str())) {
            return Err(Error::custom(unknown(key, fields)));
        }
        visitor.visit_map(Fields { rest: map.into_iter(), current: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            value => visitor.visit_some(Closed(value)),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The fields of a struct; an error in a value is prefixed with its key.
struct Fields {
    rest: serde_json::map::IntoIter,
    current: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        let Some((key, _)) = &self.current else { return Ok(None) };
        seed.deserialize(Value::String(key.clone())).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, value)) = self.current.take() else {
            return Err(Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Closed(value)).map_err(|error| Error::custom(format!("`{key}`: {error}")))
    }
}

/// The message for a key that a struct does not have.
fn unknown(key: &str, fields: &[&str]) -> String {
    if fields.is_empty() {
        return format!("unknown setting `{key}`: this policy takes none");
    }
    let near = fields.iter().map(|field| (distance(key, field), field)).min();
    match near {
        Some((steps, field)) if steps <= 1 + field.len() / 4 => {
            format!("unknown setting `{key}`: did you mean `{field}`?")
        }
        _ => format!("unknown setting `{key}`: there are `{}`", fields.join("`, `")),
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
