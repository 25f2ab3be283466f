use proptest::prelude::*;

use super::*;

fn path(written: &str) -> XmlPath {
    match written.strip_prefix('/') {
        Some(names) => XmlPath::Root(names.split('/').map(str::to_owned).collect()),
        None => XmlPath::Anywhere(written.to_owned()),
    }
}

fn scan(document: &[u8], at: &str, first: bool) -> (Seen, String) {
    let (mut scanner, path) = (Xml::default(), path(at));
    let seen = match scanner.feed(&path, first, document) {
        Seen::More => scanner.end(),
        seen => seen,
    };
    (seen, scanner.value().text().unwrap_or_default().into())
}

fn seen(document: &str, at: &str) -> Seen {
    scan(document.as_bytes(), at, false).0
}

fn found(document: &str, at: &str) -> Option<String> {
    let (seen, text) = scan(document.as_bytes(), at, false);
    (seen == Seen::Found).then_some(text)
}

const TRADE: &str = "\u{feff}<?xml version='1.0' encoding=\"UTF-8\"?>\n<!-- a -> b -->\n\
    <t:Trade xmlns:t='urn:x' note=\"/Client>\"><Client vip='>'><Id>\n  C&amp;7<!-- no -->&#x41;&#66;<![CDATA[<]]]]]>\n</Id><Name/></Client>\
    <Leg><Id>no</Id></Leg><?pi <Id>?></t:Trade>";

#[test]
fn an_element_is_found_by_its_way_or_its_name() {
    assert_eq!(found(TRADE, "/Trade/Client/Id").as_deref(), Some("C&7AB<]]]"));
    assert_eq!(found(TRADE, "/t:Trade/Client/Id").as_deref(), Some("C&7AB<]]]"));
    assert_eq!(found(TRADE, "/Trade/Leg/Id").as_deref(), Some("no"));
    assert_eq!(seen(TRADE, "/u:Trade/Client/Id"), Seen::Missing);
    assert_eq!(seen(TRADE, "/Trade/Id"), Seen::Missing);
    assert_eq!(seen(TRADE, "/Client/Id"), Seen::Missing);
    assert_eq!(seen(TRADE, "/Trade/Client/Name"), Seen::Missing);
    assert_eq!(seen(TRADE, "Id"), Seen::Ambiguous);
    assert_eq!(scan(TRADE.as_bytes(), "Id", true).1, "C&7AB<]]]");
    assert_eq!(found("<a><Ident>1</Ident><b><Id>2</Id></b></a>", "Id").as_deref(), Some("2"));
    assert_eq!(found("<Id>2</Id>", "/Id").as_deref(), Some("2"));
}

#[test]
fn an_element_that_repeats_is_ambiguous() {
    assert_eq!(seen("<o><id>1</id><id>1</id></o>", "/o/id"), Seen::Ambiguous);
    assert_eq!(seen("<o><a><id>1</id></a><a><id>2</id></a></o>", "/o/a/id"), Seen::Ambiguous);
    assert_eq!(seen("<o><id/><id>1</id></o>", "/o/id"), Seen::Ambiguous);
    assert_eq!(found("<o><a/><a><id>2</id></a></o>", "/o/a/id").as_deref(), Some("2"));
    assert_eq!(scan(b"<o><id>1</id><id>2 and no more", "/o/id", true), (Seen::Found, "1".into()));
}

#[test]
fn what_could_hide_a_value_is_refused() {
    for document in [
        "<!DOCTYPE o [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><o><id>&x;</id></o>",
        "<!doctype o><o><id>1</id></o>",
        "<o><!ELEMENT id ANY><id>1</id></o>",
        "<?xml version='1.0' encoding='UTF-7'?><o><id>1</id></o>",
        "<?xml version='1.0' encoding = \"utf-16\"?><o><id>1</id></o>",
        "<?xml version='1.0' encoding=utf-8?><o><id>1</id></o>",
        "<o><id>&x;</id></o>",
        "<o><id>&#0;</id></o>",
        "<o><id>&#xD800;</id></o>",
        "<o><id>&#x+41;</id></o>",
        "<o><id>1<b/>2</id></o>",
    ] {
        assert_eq!(seen(document, "id"), Seen::Malformed, "{document}");
    }
    let late = format!("<?xml version='1.0'{}encoding='UTF-7'?><o><id>1</id></o>", " ".repeat(300));
    assert_eq!(seen(&late, "id"), Seen::Malformed);
}

#[test]
fn what_breaks_the_grammar_is_malformed() {
    for document in [
        "x",
        "<",
        "<o",
        "<o>",
        "<o><id>1</id>",
        "</o>",
        "<o></p>",
        "<o><id>1</o></id>",
        "<o a='<'/>",
        "<o/ >",
        "< o/>",
        "<o><!- x --></o>",
        "<o><!-- a -- b --></o>",
        "<!-- x",
        "<![CDATA[x]]><o/>",
        "<o><![CDATA[x]]</o>",
        "<1=/>",
        "{\"id\": 1}",
        "id=1",
    ] {
        assert_eq!(seen(document, "id"), Seen::Malformed, "{document}");
    }
    assert_eq!(scan(b"<o><id>\xff</id></o>", "id", false).0, Seen::Malformed);
    assert_eq!(seen("", "id"), Seen::Missing);
    assert_eq!(seen(" \n", "id"), Seen::Missing);
    assert_eq!(seen("<o/>", "id"), Seen::Missing);
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}<id>1</id>{}", "<o>".repeat(depth), "</o>".repeat(depth));
    assert_eq!(found(&nested(63), "id").as_deref(), Some("1"));
    assert_eq!(seen(&nested(64), "id"), Seen::Malformed);
    assert_eq!(seen(&"<o>".repeat(1 << 18), "id"), Seen::Malformed);
    let long = |length: usize| format!("<o><x>{}</x><id>{}</id></o>", "y".repeat(99_999), "1".repeat(length));
    assert!(found(&long(256), "id").is_some());
    assert_eq!(seen(&long(257), "id"), Seen::Malformed);
}

fn escaped(text: &str, way: u8) -> String {
    match way {
        0 => text.replace('&', "&amp;").replace('<', "&lt;"),
        1 => format!("<![CDATA[{text}]]>"),
        _ => text.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_is_read_however_it_is_written(text in "[a-z&<>é😀 ]{1,12}", way in 0_u8..3, around in prop::sample::select(vec!["", "<x/>", "<!-- <id>no</id> -->", "<x><y a='<id>'/></x>"])) {
        let around = around.replace("'<id>'", "'id'");
        let document = format!("<o>{around}<id>{}</id>{around}</o>", escaped(&text, way));
        let trimmed = text.trim();
        let expected = if trimmed.is_empty() { (Seen::Missing, String::new()) } else { (Seen::Found, trimmed.to_owned()) };
        prop_assert_eq!(scan(document.as_bytes(), "/o/id", false), expected, "{}", document);
    }
}
