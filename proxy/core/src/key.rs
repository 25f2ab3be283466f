//! The value of a request that routing depends on, and its stable hash.
//!
//! A rule ([`KeyRule`]) is compiled by the configuration. [`read`] applies it to what is known of a request; where it
//! names a place in the body, [`body::BodyReader`] reads that first, as bytes come by.

use pointsman_config::plan::{KeyPart, KeyRule, KeySource, NoKey, Repeated, Segment};
use smallvec::SmallVec;

use crate::facts::{BodyValue, HeaderValue, RequestFacts};

pub mod body;
mod percent;
mod steps;
mod text;
mod xxh64;

pub use text::{INLINE, Key};

/// Why a request has no usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Nothing stands there, or an empty text.
    Missing,
    /// What stands there cannot be read, or a step of the rule does not apply to it.
    Malformed,
    /// More than one value: two readers may take another each.
    Ambiguous,
    /// The body is longer than is read for a key.
    TooLarge,
}

impl Trouble {
    /// Every trouble, for registering metrics.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Malformed, Self::Ambiguous, Self::TooLarge];
}

/// What a rule says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<'f> {
    /// Its key.
    Key(Key<'f>),
    /// It has none, and is routed without.
    NoKey,
    /// It has none, and is refused.
    Refuse(Trouble),
    /// The body has to be read first.
    Body,
}

/// Applies a rule. Allocates only for a key that has to be copied and is longer than [`INLINE`] bytes.
pub fn read<'f>(rule: &KeyRule, facts: &'f impl RequestFacts) -> Reading<'f> {
    let first = rule.otherwise.ambiguous == Repeated::First;
    let trouble = match part(&rule.part, first, facts) {
        Ok(key) => return Reading::Key(key),
        Err(Stop::Body) => return Reading::Body,
        Err(Stop::Trouble(trouble)) => trouble,
    };
    let refuses = match trouble {
        Trouble::Missing => rule.otherwise.missing == NoKey::Refuse,
        Trouble::Malformed => rule.otherwise.malformed == NoKey::Refuse,
        Trouble::TooLarge => rule.otherwise.too_large == NoKey::Refuse,
        // Where the first is taken nothing is ambiguous but a header, which has no first.
        Trouble::Ambiguous => rule.otherwise.ambiguous != Repeated::NoKey,
    };
    if refuses { Reading::Refuse(trouble) } else { Reading::NoKey }
}

/// Why a part gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Trouble(Trouble),
    Body,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn part<'f>(part: &KeyPart, first: bool, facts: &'f impl RequestFacts) -> Result<Key<'f>, Stop> {
    let mut key = source(&part.from, first, facts)?;
    for step in &part.steps {
        key = steps::apply(step, key)?;
    }
    if key.is_empty() { Err(Trouble::Missing.into()) } else { Ok(key) }
}

fn source<'f>(source: &KeySource, first: bool, facts: &'f impl RequestFacts) -> Result<Key<'f>, Stop> {
    let missing = Trouble::Missing;
    Ok(match source {
        KeySource::Header(name) => Key::Borrowed(one(facts.header(name))?),
        KeySource::Cookie(name) => Key::Borrowed(cookie(one(facts.header("cookie"))?, name)?),
        KeySource::Query(name) => query(facts.query().ok_or(missing)?, name, first)?,
        KeySource::Path(segment) => {
            let segment = facts.path().strip_prefix('/').and_then(|path| path.split('/').nth(*segment));
            percent::decode(segment.ok_or(missing)?, percent::Plus::Stays).ok_or(Trouble::Malformed)?
        }
        KeySource::Capture(template) => {
            let segment = capture(&template.segments, facts.path()).ok_or(missing)?;
            percent::decode(segment, percent::Plus::Stays).ok_or(Trouble::Malformed)?
        }
        KeySource::ClientAddress { v4, v6 } => Key::address(facts.client().ok_or(missing)?, *v4, *v6),
        KeySource::TlsSubject => Key::Borrowed(facts.tls_subject().ok_or(missing)?),
        KeySource::Body(place) => match facts.body_value(*place) {
            BodyValue::Found(value) => Key::Borrowed(value),
            BodyValue::Unread => return Err(Stop::Body),
            BodyValue::Missing => return Err(missing.into()),
            BodyValue::Malformed => return Err(Trouble::Malformed.into()),
            BodyValue::Ambiguous => return Err(Trouble::Ambiguous.into()),
            BodyValue::TooLarge => return Err(Trouble::TooLarge.into()),
        },
        KeySource::FirstOf(parts) => return first_of(parts, first, facts),
        KeySource::Join { parts, with } => joined(parts, with, first, facts)?,
    })
}

fn first_of<'f>(parts: &[KeyPart], first: bool, facts: &'f impl RequestFacts) -> Result<Key<'f>, Stop> {
    for each in parts {
        match part(each, first, facts) {
            Err(Stop::Trouble(Trouble::Missing)) => {}
            decided => return decided,
        }
    }
    Err(Trouble::Missing.into())
}

/// Nothing is written before every part is known: what is missing shall not cost a body that another part names.
fn joined<'f>(parts: &[KeyPart], with: &str, first: bool, facts: &'f impl RequestFacts) -> Result<Key<'f>, Stop> {
    let mut read: SmallVec<[Key<'f>; 2]> = SmallVec::new();
    let mut unread = false;
    for each in parts {
        match part(each, first, facts) {
            Ok(key) => read.push(key),
            Err(Stop::Body) => unread = true,
            Err(trouble) => return Err(trouble),
        }
    }
    if unread {
        return Err(Stop::Body);
    }
    let mut key = Key::default();
    for (index, each) in read.iter().enumerate() {
        if index > 0 {
            key.push(with);
        }
        key.push(each);
    }
    Ok(key)
}

fn one(value: HeaderValue<'_>) -> Result<&str, Trouble> {
    match value {
        HeaderValue::One(value) => Ok(value),
        HeaderValue::Absent => Err(Trouble::Missing),
        HeaderValue::Ambiguous => Err(Trouble::Ambiguous),
    }
}

/// RFC 6265 §5.4: pairs parted by `; `. Quotes belong to the value, as user agents keep them.
fn cookie<'f>(header: &'f str, name: &str) -> Result<&'f str, Trouble> {
    // Any other white space is part of what the node reads, so of the key too.
    let trim = |text: &'f str| text.trim_matches([' ', '\t']);
    let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    only(pairs.filter(|(known, _)| trim(known) == name).map(|(_, value)| trim(value)), false)
}

/// `application/x-www-form-urlencoded` as the URL Standard parses it (<https://url.spec.whatwg.org/#urlencoded-parsing>):
/// a plus is a space, names are encoded too.
fn query<'f>(query: &'f str, name: &str, first: bool) -> Result<Key<'f>, Trouble> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = |known: &str| percent::is(known, name);
    let value = only(pairs.filter(|(known, _)| named(known)).map(|(_, value)| value), first)?;
    percent::decode(value, percent::Plus::IsSpace).ok_or(Trouble::Malformed)
}

fn only<T>(mut values: impl Iterator<Item = T>, first: bool) -> Result<T, Trouble> {
    let value = values.next().ok_or(Trouble::Missing)?;
    if first || values.next().is_none() { Ok(value) } else { Err(Trouble::Ambiguous) }
}

/// The segment that a template makes the key, where the path begins as the template says.
fn capture<'f>(template: &[Segment], path: &'f str) -> Option<&'f str> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let mut key = None;
    for expected in template {
        let segment = segments.next()?;
        match expected {
            Segment::Is(text) if text != segment => return None,
            Segment::Is(_) | Segment::Any => {}
            Segment::Key => key = Some(segment),
        }
    }
    key
}

/// The value of a key that is a decimal number of 1 to 18 digits without a sign: so many fit 64 bits whatever they are.
pub fn number(key: &str) -> Option<u64> {
    let digits = !key.is_empty() && key.len() <= 18 && key.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| key.bytes().fold(0, |value, byte| value * 10 + u64::from(byte - b'0')))
}

/// XXH64 with seed 0: the hash that policies get. The same on every machine and in every release, so that keys stay
/// where they are.
pub fn stable_hash(key: &str) -> u64 {
    xxh64::hash(key.as_bytes())
}

#[cfg(test)]
mod tests;
