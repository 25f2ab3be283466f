//! The value of a request that routing depends on, and its stable hash.

use std::borrow::Cow;

use pointsman_config::plan::KeyRule;

use crate::facts::{HeaderValue, RequestFacts};

mod percent;
mod xxh64;

/// The routing key, or `None` when it is missing, empty, not text, or stands there more than once: a key that is
/// ambiguous must not pin a request to a node, since the node may read the other one.
pub fn extract<'f>(rule: &KeyRule, facts: &'f impl RequestFacts) -> Option<Cow<'f, str>> {
    let key = match rule {
        KeyRule::Header(name) => one(facts.header(name)).map(Cow::Borrowed),
        KeyRule::Cookie(name) => cookie(one(facts.header("cookie"))?, name).map(Cow::Borrowed),
        KeyRule::Query(name) => query(facts.query()?, name),
        KeyRule::Path(segment) => {
            let segment = facts.path().strip_prefix('/')?.split('/').nth(*segment)?;
            percent::decode(segment, percent::Plus::Stays)
        }
        KeyRule::ClientAddress => facts.client().map(|address| Cow::Owned(address.to_canonical().to_string())),
    };
    key.filter(|key| !key.is_empty())
}

fn one(value: HeaderValue<'_>) -> Option<&str> {
    match value {
        HeaderValue::One(value) => Some(value),
        HeaderValue::Absent | HeaderValue::Ambiguous => None,
    }
}

/// RFC 6265 §5.4: pairs parted by `; `. Quotes belong to the value, as user agents keep them.
fn cookie<'f>(header: &'f str, name: &str) -> Option<&'f str> {
    let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    only(pairs.filter(|(known, _)| known.trim() == name).map(|(_, value)| value.trim()))
}

/// `application/x-www-form-urlencoded` as the URL Standard parses it (<https://url.spec.whatwg.org/#urlencoded-parsing>):
/// a plus is a space, names are encoded too.
fn query<'f>(query: &'f str, name: &str) -> Option<Cow<'f, str>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = |known: &str| percent::decode(known, percent::Plus::IsSpace).is_some_and(|known| known == name);
    percent::decode(only(pairs.filter(|(known, _)| named(known)).map(|(_, value)| value))?, percent::Plus::IsSpace)
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.next().is_none().then_some(first)
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
