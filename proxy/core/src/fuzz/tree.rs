//! A JSON document as a parser that is no part of the proxy reads it, with names that repeat.

use std::fmt;

use serde_json::Number;
use serde_json::de::{Deserializer, SliceRead};
use serde_json::error::Category;

use serde::de::{Deserialize, MapAccess, SeqAccess, Visitor};

use crate::facts::BodyValue;
use crate::key::body::LONGEST;

#[derive(Debug)]
pub(super) enum Tree {
    Null,
    Text(String),
    Number(Number),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// The document at the beginning of a body; `Some(Err)`: there is none. `None`: nobody can say, since this parser refuses
/// numbers that no `f64` holds, and a number that something stands right behind: `03` is `0` and what follows, or nothing.
pub(super) fn read(body: &[u8]) -> Option<Result<Tree, ()>> {
    if body.trim_ascii_start().first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') {
        return None;
    }
    let mut documents = Deserializer::new(SliceRead::new(body)).into_iter::<Tree>();
    match documents.next() {
        // Nothing but white space.
        None => Some(Ok(Tree::Null)),
        Some(Ok(tree)) => Some(Ok(tree)),
        Some(Err(error)) if error.classify() == Category::Syntax && is_unsure(&error.to_string()) => None,
        Some(Err(_)) => Some(Err(())),
    }
}

fn is_unsure(said: &str) -> bool {
    ["out of range", "trailing"].iter().any(|words| said.contains(words))
}

impl Tree {
    /// Whether a place was read as it stands here.
    pub(super) fn agrees(&self, tokens: &[String], seen: BodyValue<'_>) {
        if self.repeats(tokens) {
            // A container or a text that is too long may have been met before.
            let told = matches!(seen, BodyValue::Ambiguous | BodyValue::Malformed);
            assert!(told, "{tokens:?}: {seen:?}, but a name stands twice in {self:?}");
            return;
        }
        match self.find(tokens) {
            None | Some(Self::Null) => assert_eq!(seen, BodyValue::Missing, "{tokens:?} in {self:?}"),
            Some(Self::Text(text)) => {
                let wanted = match text.len() {
                    0 => BodyValue::Missing,
                    1..=LONGEST => BodyValue::Found(text),
                    _ => BodyValue::Malformed,
                };
                assert_eq!(seen, wanted, "{tokens:?} in {self:?}");
            }
            Some(Self::Number(number)) => {
                let same = match seen {
                    BodyValue::Found(text) => {
                        serde_json::from_str::<Number>(text).is_ok_and(|read| read.as_f64() == number.as_f64())
                    }
                    // It may be written with more digits than are kept.
                    seen => seen == BodyValue::Malformed,
                };
                assert!(same, "{tokens:?}: {seen:?} in {self:?}");
            }
            Some(Self::List(_) | Self::Object(_)) => {
                assert_eq!(seen, BodyValue::Malformed, "{tokens:?} in {self:?}");
            }
        }
    }

    fn find(&self, tokens: &[String]) -> Option<&Self> {
        let Some((token, rest)) = tokens.split_first() else { return Some(self) };
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == token)?.1.find(rest),
            Self::List(items) => items.get(index(token)?)?.find(rest),
            _ => None,
        }
    }

    /// Whether a name on the way repeats.
    fn repeats(&self, tokens: &[String]) -> bool {
        let Some((token, rest)) = tokens.split_first() else { return false };
        match self {
            Self::Object(entries) => {
                let mut named = entries.iter().filter(|(name, _)| name == token);
                let inner = named.next().is_some_and(|(_, item)| item.repeats(rest));
                inner || named.next().is_some()
            }
            Self::List(items) => index(token).and_then(|index| items.get(index)).is_some_and(|item| item.repeats(rest)),
            _ => false,
        }
    }
}

/// RFC 6901 section 4.
fn index(token: &str) -> Option<usize> {
    token.parse::<usize>().ok().filter(|index| index.to_string() == token)
}

struct Reader;

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, on: bool) -> Result<Tree, E> {
        Ok(Tree::Text(on.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(number).map_or(Tree::Null, Tree::Number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Object(entries))
    }
}
