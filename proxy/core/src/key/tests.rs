use pointsman_config::plan::{KeyStep, PathTemplate};
use proptest::prelude::*;

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

fn try_key(rule: &KeyRule, facts: &Plain) -> Result<String, Trouble> {
    match part(&rule.part, rule.otherwise.ambiguous == Repeated::First, facts) {
        Ok(key) => Ok(key.to_string()),
        Err(Stop::Trouble(trouble)) => Err(trouble),
        Err(Stop::Body) => panic!("no rule here names the body"),
    }
}

fn key(rule: &KeyRule, facts: &Plain) -> Option<String> {
    try_key(rule, facts).ok()
}

fn header(name: &str) -> KeyRule {
    KeyRule::of(KeySource::Header(name.into()))
}

fn query_rule(name: &str) -> KeyRule {
    KeyRule::of(KeySource::Query(name.into()))
}

/// What steps make of a header's value.
fn stepped(steps: &[KeyStep], value: &str) -> Result<String, Trouble> {
    let mut rule = header("x");
    rule.part.steps = steps.to_vec();
    try_key(&rule, &with_header("x", value))
}

#[test]
fn a_header_gives_its_value() {
    let rule = header("x-customer-id");
    assert_eq!(key(&rule, &with_header("x-customer-id", " 17 ")).as_deref(), Some("17"));
    assert_eq!(key(&rule, &with_header("x-customer", "17")), None);
    assert_eq!(key(&rule, &with_header("x-customer-id", "  ")), None);
}

#[test]
fn a_header_that_stands_there_twice_is_ambiguous() {
    let mut facts = with_header("x", "17");
    facts.headers.push(("x".into(), "17".into()));
    assert_eq!(try_key(&header("x"), &facts), Err(Trouble::Ambiguous));
    assert_eq!(read(&header("x"), &facts), Reading::Refuse(Trouble::Ambiguous));
    let mut lenient = header("x");
    lenient.otherwise.ambiguous = Repeated::NoKey;
    assert_eq!(read(&lenient, &facts), Reading::NoKey);
}

#[test]
fn a_cookie_is_found_among_others() {
    let rule = KeyRule::of(KeySource::Cookie("sid".into()));
    assert_eq!(key(&rule, &with_header("cookie", "a=1; sid=x=y; b=2")).as_deref(), Some("x=y"));
    assert_eq!(key(&rule, &with_header("cookie", "xsid=1; SID=2")), None);
    assert_eq!(key(&rule, &with_header("cookie", "sid=1; sid=2")), None);
    assert_eq!(key(&rule, &with_header("cookie", "sid=")), None);
    // Only what the grammar lets stand around a pair is no part of it (RFC 9110 §5.6.3).
    assert_eq!(key(&rule, &with_header("cookie", "a=1;\tsid= \u{a0}7 ;")).as_deref(), Some("\u{a0}7"));
}

#[test]
fn a_query_parameter_is_decoded() {
    let rule = query_rule("user id");
    assert_eq!(key(&rule, &with_query("a=1&user%20id=J%C3%BCrg+K&b")).as_deref(), Some("Jürg K"));
    assert_eq!(key(&rule, &with_query("user+id=1")).as_deref(), Some("1"));
    assert_eq!(key(&rule, &with_query("user+id=1&user%20id=1")), None);
    assert_eq!(key(&rule, &with_query("user+id")), None);
    for broken in ["%", "%4", "%zz", "%ff", "%+1", "%c3%28", "%c3"] {
        let query = format!("user+id={broken}");
        assert_eq!(try_key(&rule, &with_query(&query)), Err(Trouble::Malformed), "{broken}");
    }
    assert_eq!(try_key(&rule, &with_query("user+id=1&user+id=2")), Err(Trouble::Ambiguous));
    assert_eq!(try_key(&rule, &Plain::default()), Err(Trouble::Missing));
    let mut first = query_rule("id");
    first.otherwise.ambiguous = Repeated::First;
    assert_eq!(key(&first, &with_query("id=1&id=2")).as_deref(), Some("1"));
    let long = "%41".repeat(400);
    assert_eq!(key(&query_rule("id"), &with_query(&format!("id={long}"))), Some("A".repeat(400)));
}

#[test]
fn a_path_segment_is_counted_from_nought_and_decoded() {
    assert_eq!(key(&KeyRule::of(KeySource::Path(1)), &with_path("/orders/a%2Fb+c/x")).as_deref(), Some("a/b+c"));
    assert_eq!(key(&KeyRule::of(KeySource::Path(0)), &with_path("/orders")).as_deref(), Some("orders"));
    for (path, segment) in [("/", 0), ("/orders", 1), ("/orders/", 1), ("//x", 0), ("*", 0)] {
        assert_eq!(key(&KeyRule::of(KeySource::Path(segment)), &with_path(path)), None, "{path}");
    }
}

#[test]
fn a_template_names_a_segment() {
    let segments = vec![Segment::Is("shops".into()), Segment::Any, Segment::Is("customers".into()), Segment::Key];
    let rule = KeyRule::of(KeySource::Capture(PathTemplate { segments }));
    assert_eq!(key(&rule, &with_path("/shops/7/customers/a%20b")).as_deref(), Some("a b"));
    assert_eq!(key(&rule, &with_path("/shops/7/customers/8/orders")).as_deref(), Some("8"));
    for path in
        ["/", "/shops", "/shops/7/customers", "/shops/7/customers/", "/shops/7/orders/8", "/Shops/7/customers/8"]
    {
        assert_eq!(try_key(&rule, &with_path(path)), Err(Trouble::Missing), "{path}");
    }
    assert_eq!(try_key(&rule, &with_path("/shops/7/customers/%zz")), Err(Trouble::Malformed));
}

#[test]
fn the_client_is_the_same_over_either_protocol() {
    let client = |v4, v6| KeyRule::of(KeySource::ClientAddress { v4, v6 });
    let facts = |text: &str| Plain { client: Some(text.parse().expect("an address")), ..Plain::default() };
    for (address, v4, v6, expected) in [
        ("192.0.2.7", 32, 128, "192.0.2.7"),
        ("::ffff:192.0.2.7", 32, 128, "192.0.2.7"),
        ("::ffff:192.0.2.7", 24, 64, "192.0.2.0/24"),
        ("255.255.255.255", 1, 64, "128.0.0.0/1"),
        ("2001:db8:1:2:3:4:5:6", 24, 64, "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", 24, 127, "2001:db8:1:2:3:4:5:6/127"),
        ("2001:db8:1:2:3:4:5:6", 24, 128, "2001:db8:1:2:3:4:5:6"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 24, 127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"),
    ] {
        assert_eq!(key(&client(v4, v6), &facts(address)).as_deref(), Some(expected), "{address}");
    }
    assert_eq!(key(&client(32, 64), &Plain::default()), None);
}

#[test]
fn the_subject_of_a_certificate_is_a_key() {
    let rule = KeyRule::of(KeySource::TlsSubject);
    let facts = Plain { tls_subject: Some("CN=desk-7,O=Broker".into()), ..Plain::default() };
    assert_eq!(key(&rule, &facts).as_deref(), Some("CN=desk-7,O=Broker"));
    assert_eq!(key(&rule, &Plain::default()), None);
}

fn a_part(name: &str) -> KeyPart {
    header(name).part
}

#[test]
fn the_first_that_is_there_decides() {
    let rule = KeyRule::of(KeySource::FirstOf(vec![a_part("x-a"), a_part("x-b"), query_rule("c").part]));
    let facts = |headers: &[(&str, &str)], query: &str| Plain {
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        query: Some(query.into()),
        ..Plain::default()
    };
    assert_eq!(key(&rule, &facts(&[("x-b", "2"), ("x-a", "1")], "c=3")).as_deref(), Some("1"));
    assert_eq!(key(&rule, &facts(&[("x-b", "2"), ("x-a", "")], "c=3")).as_deref(), Some("2"));
    assert_eq!(key(&rule, &facts(&[], "c=3")).as_deref(), Some("3"));
    assert_eq!(try_key(&rule, &facts(&[], "")), Err(Trouble::Missing));
    assert_eq!(try_key(&rule, &facts(&[("x-a", "1"), ("x-a", "1")], "c=3")), Err(Trouble::Ambiguous));
}

#[test]
fn parts_are_joined_and_none_may_lack() {
    let rule = KeyRule::of(KeySource::Join { parts: vec![a_part("x-a"), query_rule("c").part], with: "|".into() });
    let mut facts = with_header("x-a", "1");
    facts.query = Some(format!("c={}", "y".repeat(200)));
    assert_eq!(key(&rule, &facts), Some(format!("1|{}", "y".repeat(200))));
    facts.query = None;
    assert_eq!(try_key(&rule, &facts), Err(Trouble::Missing));
}

#[test]
fn steps_are_taken_in_their_order() {
    let prefix = || KeyStep::StripPrefix("acct-".into());
    let suffix = KeyStep::StripSuffix(".".into());
    let part = |at| KeyStep::Part { of: "::".into(), at };
    let slice = |from, length| KeyStep::Slice { from, length };
    let cases: [(&[KeyStep], &str, Result<&str, Trouble>); 20] = [
        (&[KeyStep::Lower], "aBcÄ", Ok("abcÄ")),
        (&[KeyStep::Upper], "aBcä", Ok("ABCä")),
        (&[prefix()], "acct-7", Ok("7")),
        (&[prefix()], "ACCT-7", Ok("ACCT-7")),
        (&[KeyStep::Lower, prefix()], "ACCT-7", Ok("7")),
        (&[prefix()], "acct-", Err(Trouble::Missing)),
        (&[suffix], "a.b.", Ok("a.b")),
        (&[part(1)], "a::b::c", Ok("b")),
        (&[part(1), KeyStep::Trim], "a:: b ", Ok("b")),
        (&[part(3)], "a::b::c", Err(Trouble::Malformed)),
        (&[part(1)], "a::::c", Err(Trouble::Missing)),
        (&[slice(1, Some(2))], "äöüß", Ok("öü")),
        (&[slice(3, None)], "äöüß", Ok("ß")),
        (&[slice(3, Some(9))], "äöüß", Ok("ß")),
        (&[slice(4, None)], "äöüß", Err(Trouble::Malformed)),
        (&[KeyStep::Integer], "+00170", Ok("170")),
        (&[KeyStep::Integer], "-007", Ok("-7")),
        (&[KeyStep::Integer], "-000", Ok("0")),
        (&[KeyStep::Integer], "1.0", Err(Trouble::Malformed)),
        (&[KeyStep::Integer], "+", Err(Trouble::Malformed)),
    ];
    for (steps, value, expected) in cases {
        assert_eq!(stepped(steps, value), expected.map(str::to_owned), "{steps:?} {value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_integer_is_written_shortest(number: i64, zeros in 0_usize..5, plus: bool) {
        let sign = if number < 0 { "-" } else if plus { "+" } else { "" };
        let written = format!("{sign}{}{}", "0".repeat(zeros), number.unsigned_abs());
        prop_assert_eq!(stepped(&[KeyStep::Integer], &written), Ok(number.to_string()));
    }

    #[test]
    fn percent_encoding_is_undone(text in "\\PC{0,40}", plus: bool) {
        let coded = |byte: u8| if byte == b' ' && plus { "+".into() } else { format!("%{byte:02x}") };
        let encoded: String = text.bytes().map(coded).collect();
        prop_assert!(percent::is(&encoded, &text));
        let decoded = percent::decode(&encoded, percent::Plus::IsSpace);
        prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
    }

    #[test]
    fn a_name_is_the_same_as_what_it_stands_for(bytes in "[%+0-9a-fA-Fz\u{e9}]{0,30}") {
        if let Some(text) = percent::decode(&bytes, percent::Plus::IsSpace) {
            prop_assert!(percent::is(&bytes, &text));
            prop_assert!(!percent::is(&bytes, "something else"));
        }
    }
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
