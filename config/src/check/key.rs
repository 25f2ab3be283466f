//! `key`: how the routing key is pulled out of a request.

use super::fields::{Fields, Known};
use super::words::quote;
use crate::plan::{
    BodyPlace, DEFAULT_BODY_LIMIT, KeyPart, KeyRule, KeySource, Mark, NoKey, Otherwise, PathTemplate, Place, Repeated,
    Segment,
};
use crate::raw::{Node, Value};

mod body;
mod steps;
#[cfg(test)]
mod tests;

/// Where a value may stand, of which a rule names one; then what is made of it; then what only a whole rule says.
const FIELDS: &[&str] = &[
    "header",
    "cookie",
    "query",
    "path",
    "client_address",
    "tls_subject",
    "json",
    "form",
    "xml",
    "fix",
    "first_of",
    "join",
    "with",
    "steps",
    "limit",
    "otherwise",
];
const SOURCES: &[&str] = FIELDS.split_at(12).0;
const RULE: Known = Known { fields: FIELDS, later: &[] };
const PART: Known = Known { fields: FIELDS.split_at(14).0, later: &[] };
const ADDRESS: Known = Known { fields: &["v4", "v6"], later: &[] };
const OTHERWISE: Known = Known { fields: &["missing", "malformed", "ambiguous", "too_large"], later: &[] };

/// Parts of `first_of` or `join`.
const MOST_PARTS: usize = 8;
/// Parts inside parts.
const DEEPEST: usize = 4;
/// Places in a body: each has a reader with a buffer of its own.
const MOST_PLACES: usize = 4;
const MOST_BODY: u64 = 16 << 20;

/// The key rule of a service, if it has one. `places`: those in the bodies of its requests.
pub(crate) fn key(service: &Fields, places: &mut Vec<Place>) -> Option<KeyRule> {
    read(service, "key", places)
}

/// The key that a rate counts by: of the head alone, so that a request over its rate is refused before its body is read.
pub(crate) fn of_rate(rate: &Fields) -> Option<KeyRule> {
    let rule = read(rate, "key", &mut Vec::new())?;
    if !rule.body.is_empty() {
        let message = format!("{} stands in the body, which is not read before the rate is known", rate.label("key"));
        rate.checks.report(rate.key_mark("key"), message, "count by a header, cookie, query parameter or address");
    }
    Some(rule)
}

/// A rule that is written under `name`, which names places of this list.
pub(super) fn read(holder: &Fields, name: &str, places: &mut Vec<Place>) -> Option<KeyRule> {
    let node = holder.get(name)?;
    let fields = Fields::open(holder.checks, node, format!("`{name}` of {}", holder.what), &RULE);
    whole(&fields, holder.key_mark(name), places)
}

/// A rule that is an item of a list.
pub(super) fn one(holder: &Fields, node: &Node, what: String, places: &mut Vec<Place>) -> Option<KeyRule> {
    let fields = Fields::open(holder.checks, node, what, &RULE);
    whole(&fields, fields.mark, places)
}

fn whole(fields: &Fields, mark: Mark, places: &mut Vec<Place>) -> Option<KeyRule> {
    let mut body = Vec::new();
    let part = part(fields, mark, &mut body, 0);
    let otherwise = otherwise(fields, part.as_ref());
    let limit = fields.size("limit", 1..=MOST_BODY);
    let mut part = part?;
    if body.is_empty() && fields.has("limit") {
        let message = format!("{} has no effect: the key does not stand in the body", fields.label("limit"));
        fields.checks.report(fields.key_mark("limit"), message, "take it out");
    }
    let (first, limit) = (otherwise.ambiguous == Repeated::First, limit.unwrap_or(DEFAULT_BODY_LIMIT));
    let mut number = |at| {
        let place = Place { at, first, limit };
        places.iter().position(|known| *known == place).unwrap_or_else(|| {
            places.push(place);
            places.len() - 1
        })
    };
    let numbers: Vec<usize> = body.into_iter().map(&mut number).collect();
    renumber(&mut part, &numbers);
    let mut body = numbers;
    body.sort_unstable();
    body.dedup();
    Some(KeyRule { part, body, otherwise })
}

/// A rule counts its own places; its service counts those of all rules, and what two of them want alike once.
fn renumber(part: &mut KeyPart, numbers: &[usize]) {
    match &mut part.from {
        KeySource::Body(place) => *place = numbers[*place],
        KeySource::FirstOf(parts) | KeySource::Join { parts, .. } => {
            parts.iter_mut().for_each(|part| renumber(part, numbers));
        }
        _ => {}
    }
}

/// One value and its steps. `mark`: where it is said that none is named.
fn part(fields: &Fields, mark: Mark, body: &mut Vec<BodyPlace>, depth: usize) -> Option<KeyPart> {
    let given: Vec<&str> = SOURCES.iter().copied().filter(|name| fields.has(name)).collect();
    for name in &given {
        fields.require(name);
    }
    if fields.has("with") && !given.contains(&"join") {
        let message = format!("{} has no effect without `join`", fields.label("with"));
        fields.checks.report(fields.key_mark("with"), message, "take it out");
    }
    let steps = steps::steps(fields);
    match given.as_slice() {
        [] => {
            if fields.is_mapping {
                let hint = "for example { header: x-customer-id }";
                fields.checks.report(mark, format!("{} does not say where it is", fields.what), hint);
            }
            None
        }
        [name] => Some(KeyPart { from: source(fields, name, body, depth)?, steps: steps? }),
        [_, second, ..] => {
            let message = format!("{} takes one rule, found {}", fields.what, given.len());
            let hint = "keep the one that is meant, or list them under `first_of` or `join`";
            fields.checks.report(fields.key_mark(second), message, hint);
            None
        }
    }
}

fn source(fields: &Fields, name: &str, body: &mut Vec<BodyPlace>, depth: usize) -> Option<KeySource> {
    Some(match name {
        "header" => KeySource::Header(fields.token(name, "the name of a header")?.to_ascii_lowercase()),
        "cookie" => KeySource::Cookie(fields.token(name, "the name of a cookie")?.into()),
        "query" => KeySource::Query(fields.text(name)?.into()),
        "path" => path(fields)?,
        "client_address" => client_address(fields)?,
        "tls_subject" => switched_on(fields, name).map(|()| KeySource::TlsSubject)?,
        "first_of" => KeySource::FirstOf(parts(fields, name, body, depth)?),
        "join" => {
            let with = fields.get("with").map_or(Some("/"), |_| fields.text("with"));
            let parts = parts(fields, name, body, depth);
            KeySource::Join { parts: parts?, with: with?.into() }
        }
        _ => {
            let place = body::place(fields, name)?;
            if body.len() == MOST_PLACES {
                let message = format!("{} is one place in the body too many", fields.label(name));
                fields.checks.report(fields.key_mark(name), message, format!("{MOST_PLACES} may be read at once"));
                return None;
            }
            body.push(place);
            KeySource::Body(body.len() - 1)
        }
    })
}

fn parts(fields: &Fields, name: &str, body: &mut Vec<BodyPlace>, depth: usize) -> Option<Vec<KeyPart>> {
    let items = fields.list(name);
    let node = fields.get(name)?;
    if matches!(node.value, Value::List(_)) && !(2..=MOST_PARTS).contains(&items.len()) {
        let message = format!("{} wants 2 to {MOST_PARTS} rules, found {}", fields.label(name), items.len());
        fields.checks.report(fields.key_mark(name), message, "for example [{ header: x-user }, { cookie: user }]");
        return None;
    }
    if depth == DEEPEST {
        let message = format!("{} is nested too deeply", fields.label(name));
        fields.checks.report(fields.key_mark(name), message, format!("{DEEPEST} levels are read"));
        return None;
    }
    let mut read = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let what = format!("rule {} of {}", index + 1, fields.label(name));
        let inner = Fields::open(fields.checks, item, what, &PART);
        read.push(part(&inner, inner.mark, body, depth + 1));
    }
    let read: Option<Vec<_>> = read.into_iter().collect();
    read.filter(|parts| !parts.is_empty())
}

/// `path: 1`, or `path: /customers/{id}/orders`.
fn path(fields: &Fields) -> Option<KeySource> {
    let node = fields.get("path")?;
    let Some(template) = node.as_text().filter(|text| text.starts_with('/')) else {
        if node.as_text().is_some_and(|text| text.parse::<u64>().is_err()) {
            let hint = "a segment counted from 0, or a template that starts with `/`: /customers/{id}";
            fields.wrong("path", node, "a number or a template", hint);
            return None;
        }
        return Some(KeySource::Path(usize::try_from(fields.integer("path", 0..=63)?).ok()?));
    };
    let segments: Vec<Segment> = template[1..].split('/').map(segment).collect::<Option<_>>().unwrap_or_default();
    let keys = segments.iter().filter(|segment| **segment == Segment::Key).count();
    if keys != 1 || segments.len() > 64 {
        let hint = "one segment is the key, `{name}`; `*` stands for any other: /shops/*/customers/{id}";
        fields.wrong("path", node, "a template with one key", hint);
        return None;
    }
    Some(KeySource::Capture(PathTemplate { segments }))
}

fn segment(written: &str) -> Option<Segment> {
    if let Some(name) = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let fine = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        return fine.then_some(Segment::Key);
    }
    if written == "*" {
        return Some(Segment::Any);
    }
    let fine = written.bytes().all(|b| b.is_ascii_graphic() && !b"{}*?#".contains(&b));
    (fine && !written.is_empty()).then(|| Segment::Is(written.into()))
}

/// `client_address: true`, or with the bits that count.
fn client_address(fields: &Fields) -> Option<KeySource> {
    let node = fields.get("client_address")?;
    if !matches!(node.value, Value::Map(_)) {
        return switched_on(fields, "client_address").map(|()| KeySource::ClientAddress { v4: 32, v6: 128 });
    }
    let bits = Fields::open(fields.checks, node, fields.label("client_address"), &ADDRESS);
    let read = |name: &str, most: u32| {
        let given = bits.get(name).is_none().then_some(most).or_else(|| bits.small(name, 1..=most));
        given.and_then(|bits| u8::try_from(bits).ok())
    };
    let (v4, v6) = (read("v4", 32), read("v6", 128));
    Some(KeySource::ClientAddress { v4: v4?, v6: v6? })
}

fn switched_on(fields: &Fields, name: &str) -> Option<()> {
    if !fields.switch(name)? {
        let message = format!("{} can only be switched on", quote(name));
        let hint = format!("write `{name}: true`, or leave `key` out");
        fields.checks.report(fields.key_mark(name), message, hint);
        return None;
    }
    Some(())
}

fn otherwise(fields: &Fields, part: Option<&KeyPart>) -> Otherwise {
    let default = Otherwise::default();
    let Some(node) = fields.get("otherwise") else { return default };
    let given = Fields::open(fields.checks, node, fields.label("otherwise"), &OTHERWISE);
    let words = [("refuse", NoKey::Refuse), ("no-key", NoKey::NoKey)];
    let read = |name, default| given.choice(name, &words).unwrap_or(default);
    let repeated = [("refuse", Repeated::Refuse), ("no-key", Repeated::NoKey), ("first", Repeated::First)];
    let ambiguous = given.choice("ambiguous", &repeated).unwrap_or(default.ambiguous);
    if ambiguous == Repeated::First && part.is_some_and(names_a_field) {
        let hint = "write `refuse` or `no-key`: whoever passes fields on may change their order";
        let message = format!("{} cannot be `first` for a header or cookie", given.label("ambiguous"));
        given.checks.report(mark(&given, "ambiguous"), message, hint);
    }
    Otherwise {
        missing: read("missing", default.missing),
        malformed: read("malformed", default.malformed),
        ambiguous,
        too_large: read("too_large", default.too_large),
    }
}

fn mark(fields: &Fields, name: &str) -> Mark {
    fields.get(name).map_or(fields.mark, |node: &Node| node.mark)
}

fn names_a_field(part: &KeyPart) -> bool {
    match &part.from {
        KeySource::Header(_) | KeySource::Cookie(_) => true,
        KeySource::FirstOf(parts) | KeySource::Join { parts, .. } => parts.iter().any(names_a_field),
        _ => false,
    }
}
