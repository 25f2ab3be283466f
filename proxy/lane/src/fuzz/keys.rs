//! Keys: a rule as an operator writes it, applied to whatever a client sends.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use pointsman_config::parse;
use pointsman_config::plan::{KeyPart, KeyRule, KeySource};
use pointsman_core::facts::{Plain, RequestFacts};
use pointsman_core::key::{self, Reading, number, stable_hash};

use crate::facts::Facts;
use crate::head::{Parsed, RequestHead};
use crate::options::Limits;
use crate::stream::Peer;

/// The first line is what stands under `key:`; the rest is the head of a request.
pub fn keys(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(rule), bytes) = (std::str::from_utf8(&data[..end]), &data[end + 1..]) else { return };
    let Some(rule) = read(rule) else { return };
    let mut head = RequestHead::default();
    let Ok(Parsed::Whole) = head.parse(bytes, &Limits::default()) else { return };
    let peer = Peer::from(SocketAddr::from(([127, 0, 0, 1], 9)));
    let facts = Facts::new(&head, bytes, &peer);
    let reading = key::read(&rule, &facts);
    assert_eq!(reading, key::read(&rule, &plain(&rule.part, &facts)), "{rule:?}: what stands apart is another request");
    let Reading::Key(key) = reading else { return };
    assert!(!key.is_empty());
    let _ = stable_hash(&key);
    if let Some(number) = number(&key) {
        let digits = key.trim_start_matches('0');
        assert_eq!(number.to_string(), if digits.is_empty() { "0" } else { digits });
    }
    if rule.part.steps.is_empty()
        && let Some(carrying) = carrying(&rule.part.from, &key)
    {
        assert!(key.len() <= bytes.len() || matches!(rule.part.from, KeySource::ClientAddress { .. }));
        assert_eq!(key::read(&rule, &carrying), Reading::Key(key), "{rule:?}");
    }
}

fn read(rule: &str) -> Option<KeyRule> {
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:80 }}]\nservices:\n  s:\n    policy: p\n    nodes: [{{ id: a, address: 127.0.0.1:81 }}]\n    key: {rule}\n"
    );
    let plan = parse(&text, Path::new("key.yaml"), &|_| None, &["p"]).ok()?;
    plan.services.get("s")?.key.clone()
}

/// The headers that a part looks at.
fn headers<'r>(part: &'r KeyPart, names: &mut Vec<&'r str>) {
    match &part.from {
        KeySource::Header(name) => names.push(name),
        KeySource::Cookie(_) => names.push("cookie"),
        KeySource::FirstOf(parts) | KeySource::Join { parts, .. } => parts.iter().for_each(|part| headers(part, names)),
        _ => {}
    }
}

/// The same request as facts that stand on their own, with as much of it as the rule looks at.
fn plain(part: &KeyPart, facts: &Facts<'_>) -> Plain {
    let mut names = Vec::new();
    headers(part, &mut names);
    names.sort_unstable();
    names.dedup();
    // Facts that are text cannot hold what is not; twice is ambiguous too.
    let value = |value: &[u8]| match std::str::from_utf8(value) {
        Ok(text) => vec![text.to_owned()],
        Err(_) => vec![String::new(); 2],
    };
    let values =
        |name: &str| facts.values(name).flat_map(value).map(|value| (name.to_owned(), value)).collect::<Vec<_>>();
    Plain {
        method: facts.method().into(),
        host: facts.host().into(),
        path: facts.path().into(),
        query: facts.query().map(Into::into),
        headers: names.into_iter().flat_map(values).collect(),
        client: facts.client(),
        ..Plain::default()
    }
}

/// A request that carries a key, written anew; `None` where a key is more than one value, or another than what stands there.
fn carrying(source: &KeySource, key: &str) -> Option<Plain> {
    let mut plain = Plain::default();
    match source {
        KeySource::Header(name) => plain.headers.push((name.clone(), key.into())),
        KeySource::Cookie(name) => plain.headers.push(("cookie".into(), format!("x=1; {name}={key}; y=2"))),
        KeySource::Query(name) => plain.query = Some(format!("{}={}", encoded(name), encoded(key))),
        KeySource::Path(segment) => plain.path = format!("{}/{}/x", "/x".repeat(*segment), encoded(key)),
        KeySource::ClientAddress { v4: 32, v6: 128 } => plain.client = key.parse().ok(),
        _ => return None,
    }
    Some(plain)
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").expect("a String takes everything");
        out
    })
}
