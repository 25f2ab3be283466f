//! What the fuzzer throws bodies at (docs/hardening.md), and what must hold whatever they are. Compiled for tests and for the
//! fuzzer only.

use pointsman_config::plan::{BodyPlace, DEFAULT_BODY_LIMIT, KeyRule, KeySource, Place, XmlPath};

use crate::facts::{BodyValue, Plain};
use crate::key::body::{BodyReader, LONGEST, Progress};

mod tree;

/// A rule with a small bound meets it in an input of some hundred bytes.
const SMALL: u64 = 64;

/// A place, and a body that is searched for what stands there. The first byte says which format it is, whether the first value
/// is taken, whether the bound is small, and in pieces of how many bytes the body comes; the place is the rest of the line.
pub fn places(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let (Ok(place), body) = (std::str::from_utf8(&rest[..end]), &rest[end + 1..]) else { return };
    let Some(at) = named(how & 3, place) else { return };
    let (first, limit) = (how & 4 != 0, if how & 8 != 0 { SMALL } else { DEFAULT_BODY_LIMIT });
    let place = Place { at, first, limit };
    let piece = usize::from(how >> 4) + 1;
    let (whole, cut) = (scan(&place, body.chunks(body.len().max(1))), scan(&place, body.chunks(piece)));
    let seen = whole.value(0);
    assert_eq!(seen, cut.value(0), "{place:?}: cut in pieces of {piece}");
    assert_ne!(seen, BodyValue::Unread, "{place:?}: the body is over");
    if let BodyValue::Found(text) = seen {
        assert!(!text.is_empty() && text.len() <= LONGEST, "{text:?}");
    }
    if how & (4 | 8) == 0 {
        compare(&place.at, body, seen);
    }
}

fn named(format: u8, place: &str) -> Option<BodyPlace> {
    let path = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let fine = place.len() <= 64 && place.split('/').count() <= 16;
    fine.then_some(())?;
    Some(match format {
        0 => BodyPlace::Json(path(place)),
        1 => BodyPlace::Form(place.into()),
        2 => match place.strip_prefix('/') {
            Some(names) if names.split('/').all(|name| !name.is_empty()) => BodyPlace::Xml(XmlPath::Root(path(names))),
            None if !place.is_empty() && !place.contains('/') => BodyPlace::Xml(XmlPath::Anywhere(place.into())),
            _ => return None,
        },
        _ => BodyPlace::Fix(place.parse().ok().filter(|tag| *tag > 0)?),
    })
}

/// Reads all of the body, also what need not be read any more: it changes nothing.
fn scan<'a>(place: &Place, pieces: impl Iterator<Item = &'a [u8]>) -> BodyReader {
    let mut rule = KeyRule::of(KeySource::Body(0));
    rule.body.push(0);
    let places = std::slice::from_ref(place);
    let mut reader = BodyReader::wanted(places, [&rule], &Plain::default()).expect("a rule of the body alone");
    let mut done: Option<String> = None;
    for piece in pieces {
        let progress = reader.feed(places, piece);
        let now = format!("{:?}", reader.value(0));
        match &done {
            Some(before) => assert_eq!((progress, before), (Progress::Done, &now), "{place:?}: it was done"),
            None => done = (progress == Progress::Done).then_some(now),
        }
    }
    reader.end(places);
    reader
}

/// What was seen, beside what a reader finds that was written apart.
fn compare(place: &BodyPlace, body: &[u8], seen: BodyValue<'_>) {
    match (place, seen) {
        (BodyPlace::Json(tokens), _) => match tree::read(body) {
            Some(Ok(tree)) => tree.agrees(tokens, seen),
            Some(Err(())) => assert!(
                matches!(seen, BodyValue::Malformed | BodyValue::Ambiguous),
                "{tokens:?}: {seen:?}, but it is no JSON"
            ),
            None => {}
        },
        (BodyPlace::Fix(tag), BodyValue::Found(text)) => {
            // The last field need not be ended.
            let (body, field) = ([body, b"\x01"].concat(), format!("{tag}={text}\x01"));
            assert!(body.windows(field.len()).any(|part| part == field.as_bytes()), "{field:?} is not there");
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_in_bodies_stays_found() {
        replay::replay("places", places);
    }

    #[test]
    fn the_other_reader_tells_right_from_wrong() {
        let agrees = |body: &str, seen| {
            let body = body.to_owned();
            std::panic::catch_unwind(move || compare(&BodyPlace::Json(vec!["a".into()]), body.as_bytes(), seen)).is_ok()
        };
        assert!(agrees(r#"{"a": "x"}"#, BodyValue::Found("x")));
        assert!(!agrees(r#"{"a": "x"}"#, BodyValue::Found("y")));
        assert!(!agrees(r#"{"a": "x"}"#, BodyValue::Missing));
        assert!(!agrees(r#"{"a": "x", "a": "y"}"#, BodyValue::Found("x")));
        assert!(!agrees(r#"{"a": "x""#, BodyValue::Found("x")));
        assert!(!agrees(r#"{"a": []}"#, BodyValue::Missing));
    }
}
