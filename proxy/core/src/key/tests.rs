use super::*;
use crate::facts::Plain;

fn with_header(name: &str, value: &str) -> Plain {
    Plain { headers: vec![(name.into(), value.into())], ..Plain::default() }
}

fn with_query(query: &str) -> Plain {
    Plain { query: Some(query.into()), ..Plain::default() }
}

fn with_path(path: &str) -> Plain {
    Plain { path: path.into(), ..Plain::default() }
}

fn key(rule: &KeyRule, facts: &Plain) -> Option<String> {
    extract(rule, facts).map(Cow::into_owned)
}

#[test]
fn a_header_gives_its_value() {
    let rule = KeyRule::Header("x-customer-id".into());
    assert_eq!(key(&rule, &with_header("x-customer-id", " 17 ")).as_deref(), Some("17"));
    assert_eq!(key(&rule, &with_header("x-customer", "17")), None);
    assert_eq!(key(&rule, &with_header("x-customer-id", "  ")), None);
}

#[test]
fn a_header_that_stands_there_twice_is_missing() {
    let mut facts = with_header("x", "17");
    facts.headers.push(("x".into(), "17".into()));
    assert_eq!(key(&KeyRule::Header("x".into()), &facts), None);
}

#[test]
fn a_cookie_is_found_among_others() {
    let rule = KeyRule::Cookie("sid".into());
    assert_eq!(key(&rule, &with_header("cookie", "a=1; sid=x=y; b=2")).as_deref(), Some("x=y"));
    assert_eq!(key(&rule, &with_header("cookie", "xsid=1; SID=2")), None);
    assert_eq!(key(&rule, &with_header("cookie", "sid=1; sid=2")), None);
    assert_eq!(key(&rule, &with_header("cookie", "sid=")), None);
}

#[test]
fn a_query_parameter_is_decoded() {
    let rule = KeyRule::Query("user id".into());
    assert_eq!(key(&rule, &with_query("a=1&user%20id=J%C3%BCrg+K&b")).as_deref(), Some("Jürg K"));
    assert_eq!(key(&rule, &with_query("user+id=1")).as_deref(), Some("1"));
    assert_eq!(key(&rule, &with_query("user+id=1&user%20id=1")), None);
    assert_eq!(key(&rule, &with_query("user+id")), None);
    for broken in ["user+id=%", "user+id=%4", "user+id=%zz", "user+id=%ff", "user+id=%+1"] {
        assert_eq!(key(&rule, &with_query(broken)), None, "{broken}");
    }
    assert_eq!(key(&rule, &Plain::default()), None);
}

#[test]
fn a_path_segment_is_counted_from_nought_and_decoded() {
    assert_eq!(key(&KeyRule::Path(1), &with_path("/orders/a%2Fb+c/x")).as_deref(), Some("a/b+c"));
    assert_eq!(key(&KeyRule::Path(0), &with_path("/orders")).as_deref(), Some("orders"));
    for (path, segment) in [("/", 0), ("/orders", 1), ("/orders/", 1), ("//x", 0), ("*", 0)] {
        assert_eq!(key(&KeyRule::Path(segment), &with_path(path)), None, "{path}");
    }
}

#[test]
fn the_client_is_the_same_over_either_protocol() {
    let facts = |text: &str| Plain { client: Some(text.parse().expect("an address")), ..Plain::default() };
    assert_eq!(key(&KeyRule::ClientAddress, &facts("192.0.2.7")).as_deref(), Some("192.0.2.7"));
    assert_eq!(key(&KeyRule::ClientAddress, &facts("::ffff:192.0.2.7")).as_deref(), Some("192.0.2.7"));
    assert_eq!(key(&KeyRule::ClientAddress, &Plain::default()), None);
}

/// Published values of XXH64 with seed 0: xxHash's own sanity checks and the examples of its Python binding.
#[test]
fn the_hash_is_xxh64() {
    for (text, hash) in [
        ("", 0xEF46_DB37_51D8_E999),
        ("a", 0xD24E_C4F1_A98C_6E5B),
        ("abc", 0x44BC_2CF5_AD77_0999),
        ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
    ] {
        assert_eq!(stable_hash(text), hash, "{text}");
    }
}

#[test]
fn a_number_is_digits_alone_and_fits() {
    for (key, value) in [("0", 0), ("007", 7), ("999999999999999999", 999_999_999_999_999_999)] {
        assert_eq!(number(key), Some(value), "{key}");
    }
    for key in ["", "+7", "-7", "7.0", " 7", "0x7", "\u{0667}", "1000000000000000000"] {
        assert_eq!(number(key), None, "{key}");
    }
}
