//! Keys: a rule as an operator writes it, applied to whatever a client sends.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use pointsman_config::parse;
use pointsman_config::plan::{KeySource, Place, Segment, Service};
use pointsman_core::facts::{Plain, RequestFacts};
use pointsman_core::key::body::{BodyReader, Progress, WithBody};
use pointsman_core::key::{Key, Reading, number, read, stable_hash};

use crate::body::{Decoder, Step};
use crate::facts::Facts;
use crate::flaw::Flaw;
use crate::head::{Framing, Parsed, RequestHead};
use crate::options::Limits;
use crate::stream::Peer;

/// The first line is what stands under `key:`; the rest is a request, and what follows it.
pub fn keys(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(rule), bytes) = (std::str::from_utf8(&data[..end]), &data[end + 1..]) else { return };
    let Some(service) = service_with(rule) else { return };
    let Some(rule) = service.key else { return };
    let mut head = RequestHead::default();
    let Ok(Parsed::Whole) = head.parse(bytes, &Limits::default()) else { return };
    let peer = Peer::from(SocketAddr::from(([127, 0, 0, 1], 9)));
    let facts = Facts::new(&head, bytes, &peer);
    let plain = plain(&head, bytes, &facts);
    assert_eq!(read(&rule, &facts), read(&rule, &plain), "{rule:?}: what stands apart is another request");
    let reader = || BodyReader::wanted(&service.places, [&rule], &facts);
    let body = |piece| through(reader(), &service.places, head.framing(), &bytes[head.end()..], piece);
    let (Ok(body), pieces) = (body(usize::MAX), body(1)) else { return };
    let facts = WithBody { head: &facts, body: body.as_ref() };
    let reading = read(&rule, &facts);
    if let Ok(pieces) = &pieces {
        let facts = WithBody { head: facts.head, body: pieces.as_ref() };
        assert_eq!(reading, read(&rule, &facts), "{rule:?}: it depends on how the body arrives");
    }
    assert_ne!(reading, Reading::Body, "{rule:?}: what was read does not say");
    let Reading::Key(key) = reading else { return };
    assert!(!key.is_empty());
    let _ = stable_hash(&key);
    if let Some(number) = number(&key) {
        let digits = key.trim_start_matches('0');
        assert_eq!(number.to_string(), if digits.is_empty() { "0" } else { digits });
    }
    if let (Some(carrying), true) = (carrying(&rule.part.from, &key), rule.part.steps.is_empty()) {
        assert_eq!(read(&rule, &carrying), Reading::Key(Key::Borrowed(&key)), "{rule:?}");
    }
}

/// Takes a body through the reader, of which so many bytes come at once; `Err`: it breaks a rule of HTTP before the reader has
/// enough, or is cut off.
fn through(
    mut reader: Option<BodyReader>,
    places: &[Place],
    framing: Framing,
    bytes: &[u8],
    piece: usize,
) -> Result<Option<BodyReader>, Option<Flaw>> {
    let Some(read) = &mut reader else { return Ok(None) };
    let (limits, mut decoder) = (Limits::default(), Decoder::new(framing));
    let (mut at, mut here) = (0, 0);
    while read.progress() == Progress::More {
        match decoder.step(&bytes[at..here], &limits)? {
            Step::Data { skip, take } => {
                at += skip + take;
                read.feed(places, &bytes[at - take..at]);
            }
            Step::Trailer { skip, take, .. } => at += skip + take,
            Step::More { skip } if here < bytes.len() => {
                (at, here) = (at + skip, here.saturating_add(piece).min(bytes.len()))
            }
            Step::More { .. } => return Err(None),
            Step::End { .. } => read.end(places),
        }
    }
    Ok(reader)
}

fn service_with(text: &str) -> Option<Service> {
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:80 }}]\nservices:\n  s:\n    policy: p\n    nodes: [{{ id: a, address: 127.0.0.1:81 }}]\n    key: {text}\n"
    );
    let plan = parse(&text, Path::new("key.yaml"), &|_| None, &["p"]).ok()?;
    plan.services.get("s").cloned()
}

/// The same request as facts that stand on their own.
fn plain(head: &RequestHead, bytes: &[u8], facts: &Facts<'_>) -> Plain {
    let mut headers = Vec::new();
    for line in head.lines() {
        let name = String::from_utf8_lossy(line.name.of(bytes)).to_ascii_lowercase();
        match std::str::from_utf8(line.value.of(bytes)) {
            Ok(value) => headers.push((name, value.to_owned())),
            // Facts that are text cannot hold what is not; twice is ambiguous too.
            Err(_) => headers.extend([(name.clone(), String::new()), (name, String::new())]),
        }
    }
    Plain {
        method: facts.method().into(),
        host: facts.host().into(),
        path: facts.path().into(),
        query: facts.query().map(Into::into),
        headers,
        client: facts.client(),
        tls_subject: None,
    }
}

/// A request that carries a key, written anew; `None` where a rule takes more than one value, or less than all of one.
fn carrying(from: &KeySource, key: &str) -> Option<Plain> {
    let mut plain = Plain::default();
    match from {
        KeySource::Header(name) => plain.headers.push((name.clone(), key.into())),
        KeySource::Cookie(name) => plain.headers.push(("cookie".into(), format!("x=1; {name}={key}; y=2"))),
        KeySource::Query(name) => plain.query = Some(format!("{}={}", encoded(name), encoded(key))),
        KeySource::Path(segment) => plain.path = format!("{}/{}/x", "/x".repeat(*segment), encoded(key)),
        KeySource::Capture(template) => {
            for segment in &template.segments {
                plain.path.push('/');
                match segment {
                    Segment::Is(text) => plain.path.push_str(text),
                    Segment::Any => plain.path.push('x'),
                    Segment::Key => plain.path.push_str(&encoded(key)),
                }
            }
        }
        KeySource::ClientAddress { .. }
        | KeySource::TlsSubject
        | KeySource::Body(_)
        | KeySource::FirstOf(_)
        | KeySource::Join { .. } => return None,
    }
    Some(plain)
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").expect("a String takes everything");
        out
    })
}
