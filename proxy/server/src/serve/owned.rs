//! Owners on the way of a request, beside what the exchange decides: the field that tells a node in which epoch it owns the
//! request's key, and what is learnt from its answer.

use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pointsman_config::plan::{KeyPart, KeyRule, KeySource, Learn, Owners};
use pointsman_core::cluster::node::Node;
use pointsman_core::exchange::Owning;
use pointsman_core::facts::{HeaderValue, Plain, RequestFacts};
use pointsman_core::key::body::{BodyReader, Progress, WithBody};
use pointsman_core::key::{self, Reading};

use super::trip::Trip;
use crate::world::{Service, clock};

/// The field that tells a node in which epoch it owns the key of the request. No client may send it.
pub(super) const OWNER_EPOCH: &str = "pointsman-owner-epoch";

const ENCODING: &str = "accept-encoding";

/// The same for pingora.
pub(super) fn introduce(trip: &Trip, request: &mut RequestHeader) -> Result<()> {
    if trip.service().is_some_and(|service| reads_answers(service)) {
        request.insert_header(ENCODING, "identity")?;
    }
    if let Some(epoch) = trip.exchange.owner_epoch() {
        request.insert_header(OWNER_EPOCH, epoch.to_string())?;
    }
    Ok(())
}

/// What a service that keeps owners adds to what an exchange sees.
pub(super) fn owning(service: &Service) -> Option<Owning<'_>> {
    let table = service.state.owners.as_ref()?;
    Some(Owning { table, plan: service.plan.owners.as_ref()? })
}

/// Whether a field of the client's is not for the nodes of the service.
pub(super) fn leaves_out(service: Option<&Arc<Service>>, name: &[u8]) -> bool {
    name.len() == ENCODING.len()
        && service.is_some_and(|service| reads_answers(service))
        && name.eq_ignore_ascii_case(ENCODING.as_bytes())
}

/// Appends the lines of the lane.
pub(super) fn write_lines(service: Option<&Service>, epoch: Option<u16>, out: &mut Vec<u8>) {
    if service.is_some_and(reads_answers) {
        out.extend_from_slice(b"accept-encoding: identity\r\n");
    }
    if let Some(epoch) = epoch {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{OWNER_EPOCH}: {epoch}\r\n");
    }
}

/// Whether something is read in the bodies of what the service answers. Its nodes are asked not to encode them, or clients
/// that take gzip would keep it from being learnt.
fn reads_answers(service: &Service) -> bool {
    service.plan.owners.as_ref().is_some_and(|owners| !owners.places.is_empty())
}

/// The head of a response.
pub(super) trait Answer {
    /// Its status.
    fn status(&self) -> u16;
    /// The value of a field.
    fn field(&self, name: &str) -> HeaderValue<'_>;
}

impl Answer for pointsman_lane::reply::Reply<'_> {
    fn status(&self) -> u16 {
        pointsman_lane::reply::Reply::status(self)
    }

    fn field(&self, name: &str) -> HeaderValue<'_> {
        self.header(name)
    }
}

impl Answer for ResponseHeader {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn field(&self, name: &str) -> HeaderValue<'_> {
        super::head::value(&self.headers, name)
    }
}

/// What the body of a response has still to say of owners.
pub(super) struct Lesson {
    service: Arc<Service>,
    node: Arc<Node>,
    /// Rules whose answer stands in the body.
    open: Vec<Which>,
    /// The fields that they name; the head is gone when the body comes.
    head: Plain,
    body: BodyReader,
}

/// A rule about responses.
#[derive(Debug, Clone, Copy)]
enum Which {
    Learn(usize),
    Release,
}

impl Which {
    fn rule(self, owners: &Owners) -> Option<&KeyRule> {
        match self {
            Self::Release => owners.release.as_ref(),
            Self::Learn(at) => match owners.learn.get(at)? {
                Learn::Response(rule) => Some(rule),
                Learn::Request(_) => None,
            },
        }
    }

    /// The response names this key.
    fn heard(self, owning: Owning<'_>, node: &Node, key: &str) {
        // What becomes of it is counted by the table.
        match self {
            Self::Learn(_) => {
                owning.table.claim(key, &node.spec.id, node.incarnation, clock::now());
            }
            Self::Release => {
                owning.table.release(key, clock::now());
            }
        }
    }
}

/// Learns from the head of a response that goes to the client, before it does. What is left is for its body to say.
///
/// Nothing is learnt from an answer that is an error: what it names the node has not taken.
pub(super) fn hear(
    service: Option<&Arc<Service>>,
    node: Option<&Arc<Node>>,
    answer: &impl Answer,
) -> Option<Box<Lesson>> {
    let (service, node) = (service?, node?);
    let owning = owning(service)?;
    let learns = (0..owning.plan.learn.len()).map(Which::Learn).filter(|_| answer.status() < 400);
    let mut open = Vec::new();
    for which in learns.chain([Which::Release]) {
        let Some(rule) = which.rule(owning.plan) else { continue };
        match key::read(rule, &Head(answer)) {
            Reading::Key(key) => which.heard(owning, node, &key),
            Reading::NoKey | Reading::Refuse(_) => {}
            Reading::Body => open.push(which),
        }
    }
    let rules = || open.iter().filter_map(|which| which.rule(owning.plan));
    // What follows a 101 is another protocol's, and may go on for days.
    let head = if open.is_empty() || answer.status() == 101 { return None } else { copied(rules(), answer) };
    let body = BodyReader::wanted(&owning.plan.places, rules(), &head)?;
    Some(Box::new(Lesson { service: Arc::clone(service), node: Arc::clone(node), open, head, body }))
}

/// The head of an answer goes to the client of a trip.
pub(super) fn passes(trip: &mut Trip, answer: &impl Answer) {
    trip.lesson = hear(trip.service(), trip.node(), answer);
}

/// And so do these bytes of its body. One that comes too late is cut off.
pub(super) fn passes_body(trip: &mut Trip, bytes: &[u8], end: bool) {
    let whole = end && (trip.lesson.is_none() || !trip.late());
    let Some(lesson) = &mut trip.lesson else { return };
    lesson.feed(bytes);
    if whole {
        lesson.end();
    }
}

impl Lesson {
    /// The next bytes of the body; they go to the client after this.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some(owners) = self.service.plan.owners.as_ref().filter(|_| !self.open.is_empty()) else { return };
        if self.body.feed(&owners.places, bytes) == Progress::Done {
            self.heard();
        }
    }

    /// The body is whole.
    pub(super) fn end(&mut self) {
        let Some(owners) = self.service.plan.owners.as_ref().filter(|_| !self.open.is_empty()) else { return };
        self.body.end(&owners.places);
        self.heard();
    }

    fn heard(&mut self) {
        let Some(owning) = owning(&self.service) else { return };
        let facts = WithBody { head: &self.head, body: Some(&self.body) };
        for which in std::mem::take(&mut self.open) {
            if let Some(Reading::Key(key)) = which.rule(owning.plan).map(|rule| key::read(rule, &facts)) {
                which.heard(owning, &self.node, &key);
            }
        }
    }
}

/// A rule that is held against a response sees fields and a body, and nothing of a request.
struct Head<'a, A>(&'a A);

impl<A: Answer> RequestFacts for Head<'_, A> {
    fn method(&self) -> &'static str {
        ""
    }

    fn host(&self) -> &'static str {
        ""
    }

    fn path(&self) -> &'static str {
        ""
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header(&self, name: &str) -> HeaderValue<'_> {
        self.0.field(name)
    }

    fn client(&self) -> Option<IpAddr> {
        None
    }
}

/// The fields that these rules, or a reader of bodies, may ask for. One that is ambiguous stands there twice.
fn copied<'r>(rules: impl Iterator<Item = &'r KeyRule>, answer: &impl Answer) -> Plain {
    let mut names = vec!["content-type", "content-encoding"];
    rules.for_each(|rule| named(&rule.part, &mut names));
    let mut headers = Vec::new();
    for name in names {
        match answer.field(name) {
            HeaderValue::Absent => {}
            HeaderValue::One(value) => headers.push((name.to_owned(), value.to_owned())),
            HeaderValue::Ambiguous => headers.extend([(); 2].map(|()| (name.to_owned(), String::new()))),
        }
    }
    Plain { headers, ..Plain::default() }
}

fn named<'r>(part: &'r KeyPart, names: &mut Vec<&'r str>) {
    match &part.from {
        KeySource::Header(name) if !names.contains(&name.as_str()) => names.push(name),
        KeySource::FirstOf(parts) | KeySource::Join { parts, .. } => parts.iter().for_each(|part| named(part, names)),
        _ => {}
    }
}
