//! Reads the places in a body that key rules name, as the bytes come by and no further than it must.
//!
//! Each place has a scanner of fixed size: a state machine that takes a byte at a time, so that it does not matter where
//! the body is cut. A scanner is done when nothing that follows can change what it says. Where a second value would make
//! the key ambiguous that is only at the end of the outermost object or element, or of the form; where the first is taken
//! (`ambiguous: first`) it is right behind the value.

use pointsman_config::plan::{BodyPlace, KeyRule, Place};

use super::{Reading, read};
use crate::facts::{BodyValue, HeaderValue, RequestFacts};
use value::{Seen, Value};

mod fix;
mod form;
mod json;
mod utf8;
mod value;
mod with;
mod xml;

pub use value::LONGEST;
pub use with::WithBody;

/// Whether more of the body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// What was read does not say yet.
    More,
    /// Nothing that follows can change what is known.
    Done,
}

/// One pass over a body for all rules of a service. Its size does not depend on the body: about 600 bytes for each place
/// at most.
#[derive(Debug)]
pub struct BodyReader {
    /// One for each place of the service, in their order.
    slots: Box<[Slot]>,
    read: u64,
}

#[derive(Debug)]
struct Slot {
    seen: Seen,
    scanner: Scanner,
}

#[derive(Debug)]
enum Scanner {
    Json(json::Json),
    Form(form::Form),
    Xml(Box<xml::Xml>),
    Fix(fix::Fix),
}

impl BodyReader {
    /// A reader of those of the service's `places` on which the answer of one of these rules depends for this request;
    /// `None`: the head decides, and nothing of the body has to be looked at.
    pub fn wanted<'r>(
        places: &[Place],
        rules: impl IntoIterator<Item = &'r KeyRule>,
        facts: &impl RequestFacts,
    ) -> Option<Self> {
        let depends = |rule: &&KeyRule| !rule.body.is_empty() && read(rule, facts) == Reading::Body;
        // A service has far fewer places than a number has bits: four a rule at most.
        let asked =
            rules.into_iter().filter(depends).flat_map(|rule| &rule.body).fold(0_u64, |all, place| all | 1 << place);
        if asked == 0 {
            return None;
        }
        let coded = match facts.header("content-encoding") {
            HeaderValue::Absent => false,
            HeaderValue::One(coding) => !coding.eq_ignore_ascii_case("identity"),
            HeaderValue::Ambiguous => true,
        };
        let slot = |(index, place): (usize, &Place)| {
            let (scanner, family) = match place.at {
                BodyPlace::Json(_) => (Scanner::Json(json::Json::default()), Some(Family::Json)),
                BodyPlace::Form(_) => (Scanner::Form(form::Form::default()), Some(Family::Form)),
                BodyPlace::Xml(_) => (Scanner::Xml(Box::default()), Some(Family::Xml)),
                BodyPlace::Fix(_) => (Scanner::Fix(fix::Fix::default()), None),
            };
            let said = Family::said(facts.header("content-type"));
            let seen = match said {
                _ if asked & 1 << index == 0 => Seen::Unasked,
                _ if coded => Seen::Malformed,
                Some(said) if family != Some(said) => Seen::Missing,
                _ => Seen::More,
            };
            Slot { seen, scanner }
        };
        Some(Self { slots: places.iter().enumerate().map(slot).collect(), read: 0 })
    }

    /// The next bytes of the body. `places`: those that the reader was made for.
    pub fn feed(&mut self, places: &[Place], bytes: &[u8]) -> Progress {
        for (slot, place) in self.slots.iter_mut().zip(places).filter(|(slot, _)| slot.seen == Seen::More) {
            let room = usize::try_from(place.limit.saturating_sub(self.read)).unwrap_or(usize::MAX);
            slot.seen = slot.scanner.feed(&place.at, place.first, &bytes[..bytes.len().min(room)]);
            if slot.seen == Seen::More && bytes.len() > room {
                slot.seen = Seen::TooLarge;
            }
        }
        self.read += bytes.len() as u64;
        self.progress()
    }

    /// The body is over. `places`: those that the reader was made for.
    pub fn end(&mut self, places: &[Place]) {
        for (slot, place) in self.slots.iter_mut().zip(places).filter(|(slot, _)| slot.seen == Seen::More) {
            slot.seen = slot.scanner.end(&place.at, place.first);
        }
    }

    /// Whether more of the body is wanted.
    pub fn progress(&self) -> Progress {
        if self.slots.iter().any(|slot| slot.seen == Seen::More) { Progress::More } else { Progress::Done }
    }

    /// What was found at a place: for [`RequestFacts::body_value`].
    pub fn value(&self, place: usize) -> BodyValue<'_> {
        let Some(slot) = self.slots.get(place) else { return BodyValue::Missing };
        match slot.seen {
            Seen::More | Seen::Unasked => BodyValue::Unread,
            Seen::Found => slot.scanner.value().text().map_or(BodyValue::Malformed, BodyValue::Found),
            Seen::Missing => BodyValue::Missing,
            Seen::Malformed => BodyValue::Malformed,
            Seen::Ambiguous => BodyValue::Ambiguous,
            Seen::TooLarge => BodyValue::TooLarge,
        }
    }
}

impl Scanner {
    fn feed(&mut self, place: &BodyPlace, first: bool, bytes: &[u8]) -> Seen {
        match (self, place) {
            (Self::Json(scanner), BodyPlace::Json(pointer)) => scanner.feed(pointer, first, bytes),
            (Self::Form(scanner), BodyPlace::Form(name)) => scanner.feed(name, first, bytes),
            (Self::Xml(scanner), BodyPlace::Xml(path)) => scanner.feed(path, first, bytes),
            (Self::Fix(scanner), BodyPlace::Fix(tag)) => scanner.feed(*tag, first, bytes),
            // A reader is fed with the places that it was made for.
            _ => Seen::Malformed,
        }
    }

    fn end(&mut self, place: &BodyPlace, first: bool) -> Seen {
        match (self, place) {
            (Self::Json(scanner), _) => scanner.end(),
            (Self::Form(scanner), BodyPlace::Form(name)) => scanner.end(name, first),
            (Self::Xml(scanner), _) => scanner.end(),
            (Self::Fix(scanner), BodyPlace::Fix(tag)) => scanner.end(*tag, first),
            _ => Seen::Malformed,
        }
    }

    fn value(&self) -> &Value {
        match self {
            Self::Json(scanner) => scanner.value(),
            Self::Form(scanner) => scanner.value(),
            Self::Xml(scanner) => scanner.value(),
            Self::Fix(scanner) => scanner.value(),
        }
    }
}

/// What a `Content-Type` says that a body is, where it names one of these. A place in another family is missing: so a rule
/// may name a place in each, and a form is never called malformed JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Json,
    Form,
    Xml,
}

impl Family {
    fn said(content_type: HeaderValue<'_>) -> Option<Self> {
        let HeaderValue::One(value) = content_type else { return None };
        let media = value.split(';').next().unwrap_or_default().trim();
        let subtype = media.split_once('/').map_or("", |(_, subtype)| subtype);
        let is = |name: &str| {
            let tail = subtype.len().checked_sub(name.len()).and_then(|at| subtype.get(at..));
            let before = subtype.len().checked_sub(name.len() + 1).map(|at| subtype.as_bytes()[at]);
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(name)) && before.is_none_or(|byte| byte == b'+')
        };
        match () {
            () if is("json") => Some(Self::Json),
            () if is("xml") => Some(Self::Xml),
            () if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") => Some(Self::Form),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests;
