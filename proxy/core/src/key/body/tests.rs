use proptest::prelude::*;

use pointsman_config::plan::{BodyPlace, KeyPart, KeySource, NoKey, XmlPath};

use super::*;
use crate::facts::Plain;
use crate::key::{Key, Trouble};

fn json(at: &str) -> BodyPlace {
    BodyPlace::Json(at.split('/').skip(1).map(str::to_owned).collect())
}

/// A rule whose key is the first of these places that is there.
fn rule(places: &[BodyPlace]) -> KeyRule {
    let part = |place| KeyPart { from: KeySource::Body(place), steps: Vec::new() };
    let from = match places.len() {
        1 => KeySource::Body(0),
        count => KeySource::FirstOf((0..count).map(part).collect()),
    };
    let mut rule = KeyRule::of(from);
    rule.body = places.to_vec();
    rule
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

    fn read(&mut self, rule: &KeyRule, pieces: &[&[u8]]) -> Reading<'_> {
        self.reader = BodyReader::wanted(rule, &self.head);
        if let Some(reader) = &mut self.reader {
            let more = pieces.iter().all(|piece| reader.feed(rule, piece) == Progress::More);
            if more {
                reader.end(rule);
            }
        }
        read(rule, self)
    }
}

impl RequestFacts for Posted {
    fn method(&self) -> &'static str {
        "POST"
    }
    fn host(&self) -> &str {
        self.head.host()
    }
    fn path(&self) -> &str {
        self.head.path()
    }
    fn query(&self) -> Option<&str> {
        self.head.query()
    }
    fn header(&self, name: &str) -> HeaderValue<'_> {
        self.head.header(name)
    }
    fn client(&self) -> Option<std::net::IpAddr> {
        self.head.client()
    }
    fn body_value(&self, place: usize) -> BodyValue<'_> {
        self.reader.as_ref().map_or(BodyValue::Unread, |reader| reader.value(place))
    }
}

fn key(text: &str) -> Reading<'_> {
    Reading::Key(Key::Borrowed(text))
}

#[test]
fn a_body_that_no_rule_needs_is_not_read() {
    let facts = Plain { headers: vec![("x-id".into(), "7".into())], ..Plain::default() };
    let header = KeySource::Header("x-id".into());
    assert!(BodyReader::wanted(&KeyRule::of(header.clone()), &facts).is_none());
    let part = |from| KeyPart { from, steps: Vec::new() };
    let parts = vec![part(header), part(KeySource::Body(0))];
    let mut either = KeyRule::of(KeySource::FirstOf(parts.clone()));
    either.body = vec![json("/id")];
    assert!(BodyReader::wanted(&either, &facts).is_none(), "the header decides");
    assert!(BodyReader::wanted(&either, &Plain::default()).is_some());
    let both = KeyRule { part: part(KeySource::Join { parts, with: "/".into() }), ..either };
    assert!(BodyReader::wanted(&both, &facts).is_some());
    assert!(BodyReader::wanted(&both, &Plain::default()).is_none(), "without the header there is no key anyway");
}

#[test]
fn the_content_type_says_which_of_several_places_is_meant() {
    let rule = rule(&[json("/id"), BodyPlace::Form("id".into()), BodyPlace::Xml(XmlPath::Anywhere("id".into()))]);
    let bodies = [&br#"{"id": 7}"#[..], b"id=7", b"<o><id>7</id></o>"];
    for (media, body) in
        ["application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/xml"].iter().zip(bodies).chain(
            ["application/vnd.api+json", "application/x-www-form-urlencoded", "application/soap+xml"]
                .iter()
                .zip(bodies),
        )
    {
        assert_eq!(Posted::typed(media).read(&rule, &[body]), key("7"), "{media}");
    }
    assert_eq!(Posted::typed("application/json").read(&rule, &[b"id=7"]), Reading::Refuse(Trouble::Malformed));
    let other = Posted::typed("application/jsonp").read(&rule, &[b"id=7"]) == key("7");
    assert!(!other, "malformed JSON decides before the form is asked");
}

#[test]
fn a_body_that_is_coded_cannot_be_read() {
    let rule = rule(&[json("/id")]);
    let mut facts = Posted::default();
    facts.head.headers.push(("content-encoding".into(), "gzip".into()));
    assert_eq!(facts.read(&rule, &[br#"{"id": 7}"#]), Reading::Refuse(Trouble::Malformed));
    facts.head.headers[0].1 = "identity".into();
    assert_eq!(facts.read(&rule, &[br#"{"id": 7}"#]), key("7"));
}

#[test]
fn the_bound_holds_to_the_byte() {
    let body = br#"{"id": 7}"#;
    let mut rule = rule(&[json("/id")]);
    rule.limit = body.len() as u64;
    assert_eq!(Posted::default().read(&rule, &[body, b"   "]), key("7"));
    rule.limit -= 1;
    assert_eq!(Posted::default().read(&rule, &[body]), Reading::Refuse(Trouble::TooLarge));
    assert_eq!(Posted::default().read(&rule, &[&body[..8], b"}"]), Reading::Refuse(Trouble::TooLarge));
    rule.otherwise.too_large = NoKey::NoKey;
    assert_eq!(Posted::default().read(&rule, &[body]), Reading::NoKey);
    rule.otherwise.ambiguous = Repeated::First;
    rule.limit = 8;
    assert_eq!(Posted::default().read(&rule, &[body, b"and more"]), Reading::NoKey, "the digit may not be the last");
    rule.limit = 9;
    assert_eq!(Posted::default().read(&rule, &[body, b"and more"]), key("7"));
}

#[test]
fn each_trouble_has_its_outcome() {
    let cases: [(&[u8], Trouble); 3] =
        [(b"{}", Trouble::Missing), (b"{", Trouble::Malformed), (br#"{"id": 1, "id": 1}"#, Trouble::Ambiguous)];
    for (body, trouble) in cases {
        let mut rule = rule(&[json("/id")]);
        rule.otherwise.missing = NoKey::Refuse;
        assert_eq!(Posted::default().read(&rule, &[body]), Reading::Refuse(trouble));
        rule.otherwise.missing = NoKey::NoKey;
        rule.otherwise.malformed = NoKey::NoKey;
        rule.otherwise.ambiguous = Repeated::NoKey;
        assert_eq!(Posted::default().read(&rule, &[body]), Reading::NoKey, "{trouble:?}");
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
        let mut rule = rule(&[place]);
        if first {
            rule.otherwise.ambiguous = Repeated::First;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect();
        let (mut whole, mut cut) = (Posted::default(), Posted::default());
        let whole = whole.read(&rule, &[&body]);
        prop_assert_ne!(&whole, &Reading::Body);
        prop_assert_eq!(whole, cut.read(&rule, &pieces), "{:?}", String::from_utf8_lossy(&body));
    }
}
