//! Whatever a file holds: an answer, never a panic, and problems that can be shown.

use std::path::Path;

use proptest::prelude::*;

use super::survives;
use crate::{Source, load, parse};

/// Words of key rules and owners.
const RULES: [&str; 30] = [
    "header",
    "query",
    "path",
    "client_address",
    "v4",
    "v6",
    "json",
    "form",
    "xml",
    "fix",
    "first_of",
    "join",
    "with",
    "steps",
    "slice",
    "from",
    "length",
    "part",
    "of",
    "at",
    "limit",
    "otherwise",
    "ambiguous",
    "find",
    "learn",
    "request",
    "response",
    "release",
    "on_gone",
    "takeover_after",
];

const FIELDS: [&str; 40] = [
    "listeners",
    "admin",
    "access_log",
    "registry",
    "lane",
    "policies",
    "services",
    "routes",
    "address",
    "http2",
    "path",
    "store",
    "wasm",
    "budget",
    "memory",
    "policy",
    "use",
    "with",
    "on_fault",
    "key",
    "header",
    "nodes",
    "id",
    "ordinal",
    "weight",
    "labels",
    "health",
    "http",
    "tcp",
    "interval",
    "timeout",
    "expect",
    "retry",
    "on",
    "limits",
    "timeouts",
    "match",
    "host",
    "methods",
    "service",
];
const SCALARS: [&str; 28] = [
    "127.0.0.1:80",
    "a",
    "~",
    "-1",
    "0",
    "1.5",
    ".nan",
    "-.inf",
    "true",
    "off",
    "''",
    "\"\\0\"",
    "99999999999999999999999",
    "170141183460469231731687303715884105728",
    "10ms",
    "5%",
    "/x",
    "${LONG}",
    "'${A:-b}'",
    "\"${\"",
    "*a",
    "&a b",
    "!t x",
    "!!str 3",
    "<<",
    "\u{202e}x",
    "200-299",
    "-170141183460469231731687303715884105728",
];

fn yaml(fields: &'static [&'static str]) -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(&SCALARS[..]).prop_map(str::to_owned);
    scalar.prop_recursive(6, 60, 6, move |inner| {
        let entry = (prop::sample::select(fields), inner.clone()).prop_map(|(key, value)| format!("{key}: {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(entry, 0..6).prop_map(|entries| format!("{{{}}}", entries.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn any_tree_of_known_words_is_answered(
        entries in prop::collection::vec((prop::sample::select(&FIELDS[..8]), yaml(&FIELDS)), 0..8),
    ) {
        let text: String = entries.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        survives(&text);
    }

    #[test]
    fn any_tree_of_the_words_of_key_rules_is_answered(key in yaml(&RULES), owners in yaml(&RULES)) {
        survives(&format!("services: {{ a: {{ key: {key}, owners: {owners}, primary: {owners} }} }}"));
    }

    #[test]
    fn a_good_file_with_bytes_changed_is_answered(at in 0_usize..2000, with in "\\PC{0,3}", cut in 0_usize..20) {
        let good = include_str!("../../tests/golden/good/everything.yaml");
        let from = good.floor_char_boundary(at.min(good.len()));
        let to = good.floor_char_boundary((from + cut).min(good.len()));
        survives(&format!("{}{with}{}", &good[..from], &good[to.max(from)..]));
    }
}

/// What parsers have fallen over before: bombs, depth, floods, odd line ends, odd characters.
#[test]
fn nasty_files_are_refused() {
    let repeat = |part: &str, bytes: usize| part.repeat(bytes / part.len());
    let bomb: String = (1..30).map(|n| format!("l{n}: &l{n} [*l{p}, *l{p}, *l{p}]\n", p = n - 1)).collect();
    let nasty = [
        repeat("[", 4 << 20),
        repeat("{", 4 << 20),
        repeat("- ", 4 << 20),
        repeat("? ", 4 << 20),
        repeat("a: ", 4 << 20),
        repeat("a: {", 4 << 20),
        repeat("&a ", 4 << 20),
        repeat("!", 4 << 20),
        repeat("*a ", 4 << 20),
        repeat("\"", 4 << 20),
        repeat("'", 4 << 20),
        repeat("\n", 4 << 20),
        repeat("#\n", 4 << 20),
        repeat("---\n", 4 << 20),
        repeat("%TAG ! x\n", 4 << 20),
        repeat("a\n ", 4 << 20),
        repeat("|\n", 1 << 20),
        repeat(">\n\n", 1 << 20),
        repeat("\u{2028}", 4 << 20),
        repeat("\r", 4 << 20),
        repeat("x", 4 << 20),
        format!("\"{}", repeat("\\x", 4 << 20)),
        format!("l0: &l0 x\n{bomb}"),
        format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(30_000)),
        format!("listeners: [{}]", "'${LONG}', ".repeat(10_000)),
        format!("listeners: [{}]", "{}, ".repeat(40_000)),
        format!("services: {{{}}}", (0..20_000).map(|n| format!("s{n}: {{}}, ")).collect::<String>()) + "\nx: y",
        "a: &a [*a]".into(),
        "&a : *a".into(),
        "\u{feff}".into(),
        "\0".into(),
        "a: \u{feff}b".into(),
        "? ? ? a".into(),
        "{a: b}: c".into(),
        "--- !<tag:yaml.org,2002:binary> x".into(),
        "- - - - - - -".into(),
        "listeners: &l [*l]".into(),
        "services: {a: !!set {b, c}}".into(),
        "listeners: [{address: ${".into(),
    ];
    for text in nasty {
        let start: String = text.chars().take(20).collect();
        assert!(!survives(&text), "accepted: {start:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = load(&folder.path().join("none.yaml"), &[]).expect_err("it is not there");
    assert!(missing.list[0].message.starts_with("cannot read this file"), "{missing}");

    let path = folder.path().join("large.yaml");
    std::fs::write(&path, "#".repeat((4 << 20) + 1)).expect("written");
    assert!(load(&path, &[]).expect_err("too large").list[0].message.contains("larger than 4 MiB"));

    std::fs::write(&path, b"listeners: []\n# caf\xe9\n").expect("written");
    let binary = load(&path, &[]).expect_err("not UTF-8");
    assert_eq!((binary.list[0].line, binary.list[0].column), (2, 6), "{binary}");

    assert!(load(folder.path(), &[]).is_err(), "a folder is not a file");
}

#[test]
fn problems_found_later_are_drawn_like_those_found_here() {
    let text = "listeners: [{ address: 127.0.0.1:0 }]\nservices:\n  oms:\n    policy:\n      use: customer-modulo\n      with: { slots: 0 }\n";
    let source = Source::new(Path::new("demo.yaml"), text);
    let plan = source.check(&|_| None, &["customer-modulo"]).expect("a plan");
    let problem =
        source.problem(plan.services["oms"].policy.mark, "slots must be 1 or more").help("count the ordinals");
    let wanted = "error: slots must be 1 or more\n --> demo.yaml:6:7\n  |\n6 |       with: { slots: 0 }\n  |       ^^^^\n  = help: count the ordinals";
    assert_eq!(problem.to_string(), wanted);
    assert!(problem.render(true).starts_with("\x1b[1;31merror\x1b[0m: slots"));
}

#[test]
fn a_thousand_problems_are_counted_but_not_all_shown() {
    let text: String = (0..1000).map(|n| format!("wrong{n}: 1\n")).collect();
    let problems = parse(&text, Path::new("x.yaml"), &|_| None, &[]).expect_err("all wrong");
    assert_eq!((problems.list.len(), problems.left_out), (100, 901));
    assert!(problems.to_string().ends_with("1001 problems found, 901 of them not shown"));
}
