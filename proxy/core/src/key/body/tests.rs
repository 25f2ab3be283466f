use proptest::prelude::*;

use pointsman_config::plan::{BodyPlace, DEFAULT_BODY_LIMIT, KeyPart, KeySource, NoKey, Repeated, XmlPath};

use super::*;
use crate::facts::Plain;
use crate::key::Trouble;

fn json(at: &str) -> BodyPlace {
    BodyPlace::Json(at.split('/').skip(1).map(str::to_owned).collect())
}

/// A service with one rule: its key is the first of these places that is there.
struct Ruled {
    rule: KeyRule,
    places: Vec<Place>,
}

fn ruled(places: &[BodyPlace]) -> Ruled {
    let part = |place| KeyPart { from: KeySource::Body(place), steps: Vec::new() };
    let from = match places.len() {
        1 => KeySource::Body(0),
        count => KeySource::FirstOf((0..count).map(part).collect()),
    };
    let mut rule = KeyRule::of(from);
    rule.body = (0..places.len()).collect();
    let place = |at: &BodyPlace| Place { at: at.clone(), first: false, limit: DEFAULT_BODY_LIMIT };
    Ruled { rule, places: places.iter().map(place).collect() }
}

impl Ruled {
    fn first(&mut self) {
        self.rule.otherwise.ambiguous = Repeated::First;
        self.places.iter_mut().for_each(|place| place.first = true);
    }
}

/// A request whose body was read in pieces.
#[derive(Debug, Default)]
struct Posted {
    head: Plain,
    reader: Option<BodyReader>,
}

impl Posted {
    fn typed(media: &str) -> Self {
        let headers = vec![("content-type".into(), media.into())];
        Self { head: Plain { headers, ..Plain::default() }, reader: None }
    }

    /// What the rule says of it.
    fn read(&mut self, Ruled { rule, places }: &Ruled, pieces: &[&[u8]]) -> Said {
        self.pass(places, &[rule], pieces);
        self.said(rule)
    }

    /// Reads the body for these rules.
    fn pass(&mut self, places: &[Place], rules: &[&KeyRule], pieces: &[&[u8]]) {
        self.reader = BodyReader::wanted(places, rules.iter().copied(), &self.head);
        if let Some(reader) = &mut self.reader {
            let more = pieces.iter().all(|piece| reader.feed(places, piece) == Progress::More);
            if more {
                reader.end(places);
            }
        }
    }

    fn said(&self, rule: &KeyRule) -> Said {
        match read(rule, &WithBody { head: &self.head, body: self.reader.as_ref() }) {
            Reading::Key(key) => Said::Key(key.to_string()),
            Reading::NoKey => Said::NoKey,
            Reading::Refuse(trouble) => Said::Refuse(trouble),
            Reading::Body => Said::Body,
        }
    }
}

/// [`Reading`] without what it borrows.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Key(String),
    NoKey,
    Refuse(Trouble),
    Body,
}

fn key(text: &str) -> Said {
    Said::Key(text.into())
}

#[test]
fn a_body_that_no_rule_needs_is_not_read() {
    let facts = Plain { headers: vec![("x-id".into(), "7".into())], ..Plain::default() };
    let header = KeySource::Header("x-id".into());
    let places = ruled(&[json("/id")]).places;
    let wanted = |rule: &KeyRule, facts: &Plain| BodyReader::wanted(&places, [rule], facts).is_some();
    assert!(!wanted(&KeyRule::of(header.clone()), &facts));
    let part = |from| KeyPart { from, steps: Vec::new() };
    let parts = vec![part(header), part(KeySource::Body(0))];
    let mut either = KeyRule::of(KeySource::FirstOf(parts.clone()));
    either.body = vec![0];
    assert!(!wanted(&either, &facts), "the header decides");
    assert!(wanted(&either, &Plain::default()));
    let both = KeyRule { part: part(KeySource::Join { parts, with: "/".into() }), ..either };
    assert!(wanted(&both, &facts));
    assert!(!wanted(&both, &Plain::default()), "without the header there is no key anyway");
}

#[test]
fn all_rules_are_read_in_one_pass_each_with_what_it_says() {
    let of = |place: usize| KeyRule { body: vec![place], ..KeyRule::of(KeySource::Body(place)) };
    let (whole, first, short, unasked) = (of(0), of(1), of(2), of(3));
    let place = |at: &str, first, limit| Place { at: json(at), first, limit };
    let places = [place("/id", false, 64), place("/id", true, 64), place("/id", false, 8), place("/other", false, 64)];
    let body = br#"{"id": "a", "other": 1, "id": "b"}"#;
    let mut posted = Posted::default();
    posted.pass(&places, &[&whole, &first, &short], &[&body[..5], &body[5..]]);
    assert_eq!(posted.said(&whole), Said::Refuse(Trouble::Ambiguous));
    assert_eq!(posted.said(&first), key("a"));
    assert_eq!(posted.said(&short), Said::Refuse(Trouble::TooLarge));
    assert_eq!(posted.said(&unasked), Said::Body, "nobody asked for it");
    posted.pass(&places, &[&first, &short], &[body]);
    assert_eq!(posted.reader.as_ref().map(BodyReader::progress), Some(Progress::Done));
    assert_eq!(posted.said(&first), key("a"));
}

#[test]
fn the_content_type_says_which_of_several_places_is_meant() {
    let ruled = ruled(&[json("/id"), BodyPlace::Form("id".into()), BodyPlace::Xml(XmlPath::Anywhere("id".into()))]);
    let bodies = [&br#"{"id": 7}"#[..], b"id=7", b"<o><id>7</id></o>"];
    for (media, body) in
        ["application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/xml"].iter().zip(bodies).chain(
            ["application/vnd.api+json", "application/x-www-form-urlencoded", "application/soap+xml"]
                .iter()
                .zip(bodies),
        )
    {
        assert_eq!(Posted::typed(media).read(&ruled, &[body]), key("7"), "{media}");
    }
    assert_eq!(Posted::typed("application/json").read(&ruled, &[b"id=7"]), Said::Refuse(Trouble::Malformed));
    let other = Posted::typed("application/jsonp").read(&ruled, &[b"id=7"]) == key("7");
    assert!(!other, "malformed JSON decides before the form is asked");
}

#[test]
fn a_body_that_is_coded_cannot_be_read() {
    let ruled = ruled(&[json("/id")]);
    let mut facts = Posted::default();
    facts.head.headers.push(("content-encoding".into(), "gzip".into()));
    assert_eq!(facts.read(&ruled, &[br#"{"id": 7}"#]), Said::Refuse(Trouble::Malformed));
    facts.head.headers[0].1 = "identity".into();
    assert_eq!(facts.read(&ruled, &[br#"{"id": 7}"#]), key("7"));
}

#[test]
fn the_bound_holds_to_the_byte() {
    let body = br#"{"id": 7}"#;
    let mut ruled = ruled(&[json("/id")]);
    ruled.places[0].limit = body.len() as u64;
    assert_eq!(Posted::default().read(&ruled, &[body, b"   "]), key("7"));
    ruled.places[0].limit -= 1;
    assert_eq!(Posted::default().read(&ruled, &[body]), Said::Refuse(Trouble::TooLarge));
    assert_eq!(Posted::default().read(&ruled, &[&body[..8], b"}"]), Said::Refuse(Trouble::TooLarge));
    ruled.rule.otherwise.too_large = NoKey::NoKey;
    assert_eq!(Posted::default().read(&ruled, &[body]), Said::NoKey);
    ruled.first();
    ruled.places[0].limit = 8;
    assert_eq!(Posted::default().read(&ruled, &[body, b"and more"]), Said::NoKey, "the digit may not be the last");
    ruled.places[0].limit = 9;
    assert_eq!(Posted::default().read(&ruled, &[body, b"and more"]), key("7"));
}

#[test]
fn each_trouble_has_its_outcome() {
    let cases: [(&[u8], Trouble); 3] =
        [(b"{}", Trouble::Missing), (b"{", Trouble::Malformed), (br#"{"id": 1, "id": 1}"#, Trouble::Ambiguous)];
    for (body, trouble) in cases {
        let mut ruled = ruled(&[json("/id")]);
        ruled.rule.otherwise.missing = NoKey::Refuse;
        assert_eq!(Posted::default().read(&ruled, &[body]), Said::Refuse(trouble));
        ruled.rule.otherwise.missing = NoKey::NoKey;
        ruled.rule.otherwise.malformed = NoKey::NoKey;
        ruled.rule.otherwise.ambiguous = Repeated::NoKey;
        assert_eq!(Posted::default().read(&ruled, &[body]), Said::NoKey, "{trouble:?}");
    }
}

fn place() -> impl Strategy<Value = BodyPlace> {
    prop_oneof![
        Just(json("/id")),
        Just(BodyPlace::Form("id".into())),
        Just(BodyPlace::Xml(XmlPath::Anywhere("id".into()))),
        Just(BodyPlace::Xml(XmlPath::Root(vec!["o".into(), "id".into()]))),
        Just(BodyPlace::Fix(11)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pieces of every format in any order, cut anywhere: what is said depends on the bytes alone.
    #[test]
    fn it_does_not_matter_where_a_body_is_cut(
        place in place(),
        parts in prop::collection::vec(prop::sample::select(vec![
            &b"<o>"[..], b"<id>", b"7", b"</id>", b"</o>", b"<!--", b"-->", b"<![CDATA[", b"]]", b"]]>", b"&lt;", b"&", b";", b"<?xml ",
            b"encoding='utf-8'", b"?>", b"<id/>", b"<!DOCTYPE", b"id=", b"%37", b"%", b"+", b"11=", b"10=", b"\x01", b"95=2", b"96=\x01\x01",
            b"{\"id\":", b"\"", b"\\u00e9", b"\xc3\xa9", b"\xff", b",", b"}", b"{", b" ",
        ]), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        first: bool,
    ) {
        let body = parts.concat();
        let mut ruled = ruled(&[place]);
        if first {
            ruled.first();
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect();
        let (mut whole, mut cut) = (Posted::default(), Posted::default());
        let whole = whole.read(&ruled, &[&body]);
        prop_assert_ne!(&whole, &Said::Body);
        prop_assert_eq!(whole, cut.read(&ruled, &pieces), "{:?}", String::from_utf8_lossy(&body));
    }
}
