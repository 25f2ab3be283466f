//! Keys: a rule as an operator writes it, applied to whatever a client sends.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use pointsman_config::parse;
use pointsman_config::plan::KeyRule;
use pointsman_core::facts::{Plain, RequestFacts};
use pointsman_core::key::{extract, number, stable_hash};

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
    let key = extract(&rule, &facts);
    assert_eq!(key, extract(&rule, &plain(&rule, &facts)), "{rule:?}: what stands apart is another request");
    let Some(key) = key else { return };
    assert!(!key.is_empty());
    assert!(key.len() <= bytes.len() || rule == KeyRule::ClientAddress);
    let _ = stable_hash(&key);
    if let Some(number) = number(&key) {
        let digits = key.trim_start_matches('0');
        assert_eq!(number.to_string(), if digits.is_empty() { "0" } else { digits });
    }
    assert_eq!(extract(&rule, &carrying(&rule, &key)), Some(Cow::Borrowed(&*key)), "{rule:?}");
}

fn read(rule: &str) -> Option<KeyRule> {
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:80 }}]\nservices:\n  s:\n    policy: p\n    nodes: [{{ id: a, address: 127.0.0.1:81 }}]\n    key: {rule}\n"
    );
    let plan = parse(&text, Path::new("key.yaml"), &|_| None, &["p"]).ok()?;
    plan.services.get("s")?.key.clone()
}

/// The same request as facts that stand on their own, with as much of it as the rule looks at.
fn plain(rule: &KeyRule, facts: &Facts<'_>) -> Plain {
    let name = match rule {
        KeyRule::Header(name) => name,
        KeyRule::Cookie(_) => "cookie",
        _ => "",
    };
    // Facts that are text cannot hold what is not; twice is ambiguous too.
    let value = |value: &[u8]| match std::str::from_utf8(value) {
        Ok(text) => vec![text.to_owned()],
        Err(_) => vec![String::new(); 2],
    };
    Plain {
        method: facts.method().into(),
        host: facts.host().into(),
        path: facts.path().into(),
        query: facts.query().map(Into::into),
        headers: facts.values(name).flat_map(value).map(|value| (name.to_owned(), value)).collect(),
        client: facts.client(),
    }
}

/// A request that carries a key, written anew.
fn carrying(rule: &KeyRule, key: &str) -> Plain {
    let mut plain = Plain::default();
    match rule {
        KeyRule::Header(name) => plain.headers.push((name.clone(), key.into())),
        KeyRule::Cookie(name) => plain.headers.push(("cookie".into(), format!("x=1; {name}={key}; y=2"))),
        KeyRule::Query(name) => plain.query = Some(format!("{}={}", encoded(name), encoded(key))),
        KeyRule::Path(segment) => plain.path = format!("{}/{}/x", "/x".repeat(*segment), encoded(key)),
        KeyRule::ClientAddress => plain.client = key.parse().ok(),
    }
    plain
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").expect("a String takes everything");
        out
    })
}
