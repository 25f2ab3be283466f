use proptest::prelude::*;
use serde_json::Value as Parsed;

use super::*;

fn pointer(written: &str) -> Vec<String> {
    written.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// What is seen when the document comes in pieces of these lengths, the rest at once.
fn scan(document: &[u8], at: &str, first: bool, pieces: &[usize]) -> (Seen, String) {
    let (mut scanner, pointer) = (Json::default(), pointer(at));
    let mut rest = document;
    let mut seen = Seen::More;
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        seen = scanner.feed(&pointer, first, piece);
        rest = after;
        if seen != Seen::More {
            break;
        }
    }
    if seen == Seen::More {
        seen = scanner.end();
    }
    let text = scanner.value().text().unwrap_or_default().to_owned();
    (seen, if seen == Seen::Found { text } else { String::new() })
}

fn whole(document: &str, at: &str) -> (Seen, String) {
    scan(document.as_bytes(), at, false, &[])
}

fn found(document: &str, at: &str) -> Option<String> {
    let (seen, text) = whole(document, at);
    (seen == Seen::Found).then_some(text)
}

#[test]
fn scalars_are_found_at_their_pointer() {
    let document = r#" {"a": {"b/c": [0, {"d~e": "x"}], "": 7}, "t": true, "n": -0, "f": 1.50e+3} "#;
    for (at, value) in
        [("/a/b~1c/1/d~0e", "x"), ("/a/b~1c/0", "0"), ("/a/", "7"), ("/t", "true"), ("/n", "0"), ("/f", "1.50e+3")]
    {
        assert_eq!(found(document, at).as_deref(), Some(value), "{at}");
    }
}

#[test]
fn what_is_not_there_is_missing() {
    let document = r#"{"a": [1], "n": null, "e": "", "s": "x"}"#;
    for at in ["/b", "/a/1", "/a/-", "/a/00", "/a/+0", "/n", "/e", "/s/x", "/n/x", "/a/0/x", "/A"] {
        assert_eq!(whole(document, at).0, Seen::Missing, "{at}");
    }
    // The elements of an array inside are not counted as those of the one around it.
    assert_eq!(whole("[null, [null], [null, false]]", "/1/1").0, Seen::Missing);
    for document in ["", "  ", "7", "-1.5", "null", "\"a\"", "[]", "{}"] {
        assert_eq!(whole(document, "/a").0, Seen::Missing, "{document}");
    }
}

#[test]
fn a_container_is_no_key() {
    assert_eq!(whole(r#"{"a": {"b": 1}}"#, "/a").0, Seen::Malformed);
    assert_eq!(whole(r#"{"a": [1]}"#, "/a").0, Seen::Malformed);
}

#[test]
fn a_name_that_repeats_on_the_way_is_ambiguous_until_the_end() {
    for document in [
        r#"{"a": {"b": 1, "b": 1}}"#,
        r#"{"a": {"b": 1}, "a": {"b": 2}}"#,
        r#"{"a": {"b": 1}, "x": [{}], "a": 0}"#,
        r#"{"a": null, "a": {"b": 1}}"#,
        r#"{"a": {"b": 1}, "\u0061": {}}"#,
    ] {
        assert_eq!(whole(document, "/a/b").0, Seen::Ambiguous, "{document}");
    }
    // Beside the way names may repeat.
    assert_eq!(found(r#"{"x": 1, "x": 2, "a": {"y": {"b": 3, "b": 4}, "b": 5}}"#, "/a/b").as_deref(), Some("5"));
}

#[test]
fn the_first_is_taken_without_looking_further() {
    let take = |document: &str| scan(document.as_bytes(), "/a/b", true, &[]);
    assert_eq!(take(r#"{"a": {"b": "x", "b": 2 what follows is not read"#), (Seen::Found, "x".into()));
    assert_eq!(take(r#"{"a": {"b": 17,"#), (Seen::Found, "17".into()));
    assert_eq!(take(r#"{"a": {"c": 1}, "a": {"b": 2}}"#).0, Seen::Missing);
    assert_eq!(take(r#"{"a": {"b": null, "b": 2}}"#).0, Seen::Missing);
}

#[test]
fn strings_are_decoded() {
    let document = r#"{"a": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"}"#;
    assert_eq!(found(document, "/a").as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀é😀"));
}

#[test]
fn what_breaks_the_grammar_is_malformed() {
    for document in [
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":tru}",
        "{\"a\":nul}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":1]",
        "[1,]",
        "[,1]",
        "{,}",
        "]",
        "}",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800x\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\ud800\\n\"}",
        "{\"a\":\"\\u12g4\"}",
        "a=1",
        "<a/>",
        "{\"x\":1 \"a\":2}",
    ] {
        assert_eq!(whole(document, "/a").0, Seen::Malformed, "{document}");
    }
    for bytes in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"a\":\"\xc3\"}",
        b"{\"x\":\"\xed\xa0\x80\"}",
        b"{\"\xc0\x80\":1}",
        b"{\"a\":\"\xf0\x9f\\n\"}",
    ] {
        assert_eq!(scan(bytes, "/a", false, &[]).0, Seen::Malformed, "{bytes:?}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| format!("{{\"x\":{}{}, \"a\":1}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(found(&nested(126), "/a").as_deref(), Some("1"));
    assert!(serde_json::from_str::<Parsed>(&nested(126)).is_ok());
    assert_eq!(whole(&nested(127), "/a").0, Seen::Malformed);
    assert!(serde_json::from_str::<Parsed>(&nested(127)).is_err());
    assert_eq!(whole(&"[".repeat(1 << 20), "/a").0, Seen::Malformed);
    let long = |length: usize| format!(r#"{{"a": "{}"}}"#, "x".repeat(length));
    assert!(found(&long(256), "/a").is_some());
    assert_eq!(whole(&long(257), "/a").0, Seen::Malformed);
    // What is not kept may be as long as it likes.
    let beside = format!(r#"{{"{0}": "{0}", "n": {1}, "a": 7}}"#, "x".repeat(100_000), "9".repeat(100_000));
    assert_eq!(found(&beside, "/a").as_deref(), Some("7"));
}

/// A document as it may be written: names may repeat, which no parsed value can hold.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(Parsed),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn write(&self, out: &mut String) {
        match self {
            Self::Leaf(value) => out.push_str(&value.to_string()),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { " ,\n" } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                out.push('{');
                for (index, (name, item)) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    out.push_str(&Parsed::from(name.as_str()).to_string());
                    out.push_str(" :");
                    item.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Whether a name on the way repeats.
    fn repeats(&self, tokens: &[String]) -> bool {
        let Some((token, rest)) = tokens.split_first() else { return false };
        match self {
            Self::Leaf(_) => false,
            Self::List(items) => {
                let index = token.parse::<usize>().ok().filter(|index| index.to_string() == *token);
                index.and_then(|index| items.get(index)).is_some_and(|item| item.repeats(rest))
            }
            Self::Object(entries) => {
                let mut named = entries.iter().filter(|(name, _)| name == token);
                let inner = named.next().is_some_and(|(_, item)| item.repeats(rest));
                inner || named.next().is_some()
            }
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let name = prop::sample::select(vec!["a", "b", "0", "1", "", "a/b", "~", "é\"\\", "😀\n"]);
    let leaf = prop_oneof![
        Just(Parsed::Null),
        any::<bool>().prop_map(Parsed::from),
        any::<i64>().prop_map(Parsed::from),
        any::<u64>().prop_map(Parsed::from),
        "[a-zA-Z\\\\\"/\n\u{e9}\u{1f600}]{0,8}".prop_map(Parsed::from),
    ];
    leaf.prop_map(Tree::Leaf).prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::vec((name.clone().prop_map(str::to_owned), inner), 0..5).prop_map(Tree::Object),
        ]
    })
}

fn way() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec!["a", "b", "0", "1", "", "a~1b", "~0", "é\"\\", "😀\n", "00", "-"]);
    prop::collection::vec(token, 1..4).prop_map(|tokens| format!("/{}", tokens.join("/")))
}

/// What the oracle reads.
fn by_serde(document: &[u8], at: &str) -> Option<(Seen, String)> {
    let parsed: Parsed = serde_json::from_slice(document).ok()?;
    Some(match parsed.pointer(at) {
        None | Some(Parsed::Null) => (Seen::Missing, String::new()),
        Some(Parsed::String(text)) if text.is_empty() => (Seen::Missing, String::new()),
        Some(Parsed::String(text)) => (Seen::Found, text.clone()),
        Some(Parsed::Bool(on)) => (Seen::Found, on.to_string()),
        Some(Parsed::Number(number)) => (Seen::Found, number.to_string()),
        Some(_) => (Seen::Malformed, String::new()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_a_parser_finds(tree in tree(), at in way(), pieces in prop::collection::vec(0_usize..9, 0..40)) {
        let mut document = String::new();
        tree.write(&mut document);
        let seen = scan(document.as_bytes(), &at, false, &pieces);
        prop_assert_eq!(&seen, &scan(document.as_bytes(), &at, false, &[]), "{}", document);
        if tree.repeats(&pointer(&at)) {
            // A container at the end of the way may be met first.
            prop_assert!(matches!(seen.0, Seen::Ambiguous | Seen::Malformed), "{} {:?}", document, seen);
        } else {
            prop_assert_eq!(Some(seen), by_serde(document.as_bytes(), &at), "{}", document);
        }
    }

    #[test]
    fn what_is_broken_is_not_found(tree in tree(), at in way(), spot in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut document = String::new();
        tree.write(&mut document);
        let mut bytes = document.into_bytes();
        let spot = spot.index(bytes.len());
        if cut { bytes.truncate(spot) } else { bytes[spot] = byte }
        let seen = scan(&bytes, &at, false, &[]);
        prop_assert_eq!(&seen, &scan(&bytes, &at, false, &vec![1; bytes.len()]));
        // A document that no parser reads whole may still end early as far as we look.
        let end = serde_json::Deserializer::from_slice(&bytes).into_iter::<Parsed>().next();
        match end {
            Some(Ok(_)) => prop_assert!(seen.0 != Seen::More),
            // What follows a whole document is not looked at; how large a number is neither.
            Some(Err(error)) if ["out of range", "trailing"].iter().any(|said| error.to_string().contains(said)) => {}
            Some(Err(_)) => prop_assert!(matches!(seen.0, Seen::Malformed | Seen::Ambiguous), "{:?} {:?}", bytes, seen),
            None => prop_assert_eq!(seen.0, Seen::Missing),
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), at in way(), first: bool) {
        let seen = scan(&bytes, &at, first, &[]);
        prop_assert_eq!(seen, scan(&bytes, &at, first, &vec![1; bytes.len()]));
    }
}
