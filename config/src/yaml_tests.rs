use std::path::Path;

use super::*;

fn tree(text: &str) -> Node {
    read(&Source::new(Path::new("t.yaml"), text)).unwrap_or_else(|problem| panic!("{problem}"))
}

fn refusal(text: &str) -> Problem {
    read(&Source::new(Path::new("t.yaml"), text)).expect_err("taken")
}

/// Every scalar and key with its place, in the order of the file.
fn places(node: &Node, into: &mut Vec<(String, usize, usize)>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                into.push((entry.key.clone(), entry.key_mark.line, entry.key_mark.column));
                places(&entry.value, into);
            }
        }
        Value::List(items) => items.iter().for_each(|item| places(item, into)),
        Value::Text(text) => into.push((text.text.clone(), node.mark.line, node.mark.column)),
        Value::Int(number) => into.push((number.to_string(), node.mark.line, node.mark.column)),
        other => into.push((format!("{other:?}"), node.mark.line, node.mark.column)),
    }
}

#[test]
fn every_scalar_and_key_has_its_place() {
    let text = "a: one\nb:\n  - 2\n  - {c: x, \"d\": [true, ~]}\n? e\n: |\n  long\n'f': -1.5\n";
    let mut found = Vec::new();
    places(&tree(text), &mut found);
    let wanted = [
        ("a", 1, 1),
        ("one", 1, 4),
        ("b", 2, 1),
        ("2", 3, 5),
        ("c", 4, 6),
        ("x", 4, 9),
        ("d", 4, 12),
        ("Bool(true)", 4, 18),
        ("Null", 4, 24),
        ("e", 5, 3),
        ("long\n", 6, 3),
        ("f", 8, 1),
        ("Float(-1.5)", 8, 6),
    ];
    assert_eq!(found, wanted.map(|(text, line, column)| (text.to_owned(), line, column)));
}

#[test]
fn an_alias_is_read_again_and_stands_where_its_anchor_does() {
    let mut found = Vec::new();
    places(&tree("a: &x {k: 1}\nb: *x\n"), &mut found);
    let wanted = [("a", 1, 1), ("k", 1, 8), ("1", 1, 11), ("b", 2, 1), ("k", 1, 8), ("1", 1, 11)];
    assert_eq!(found, wanted.map(|(text, line, column)| (text.to_owned(), line, column)));
}

#[test]
fn empty_collections_stand_where_their_key_does() {
    let Value::Map(entries) = tree("a: {}\nb:\n  - []\n").value else { panic!() };
    assert_eq!(entries[0].value.mark, entries[0].key_mark);
    let Value::List(items) = &entries[1].value.value else { panic!() };
    assert_eq!(items[0].mark.line, 2);
}

#[test]
fn repeated_keys_and_tags_are_kept_for_the_checks() {
    let Value::Map(entries) = tree("a: 1\na: 2\nb: !mine [3]\n").value else { panic!() };
    assert_eq!(entries.len(), 3);
    assert!(matches!(&entries[2].value.value, Value::Tagged(tag) if tag == "mine"));
}

#[test]
fn words_of_yaml_1_1_stay_text() {
    let Value::Map(entries) = tree("off: off\non: yes\n").value else { panic!() };
    assert_eq!((entries[0].key.as_str(), entries[0].value.as_text()), ("off", Some("off")));
    assert_eq!((entries[1].key.as_str(), entries[1].value.as_text()), ("on", Some("yes")));
}

#[test]
fn what_would_take_much_memory_is_refused() {
    let laughs: String = (1..10).map(|n| format!("l{n}: &l{n} [{}]\n", format!("*l{},", n - 1).repeat(10))).collect();
    assert!(refusal(&format!("l0: &l0 ha\n{laughs}")).message.contains("more than"));
    assert!(
        refusal(&format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(100))).message.contains("more than")
    );
    assert!(refusal(&"- a\n".repeat(200_000)).message.contains("more than"));
    assert!(refusal(&",".repeat(4 << 20)).message.contains("more than"));
    assert!(refusal("a: &a [*a, *a]").message.contains("nested"));
    assert!(refusal(&format!("{}{}", "[".repeat(200), "]".repeat(200))).message.contains("nested"));
}

#[test]
fn a_character_that_yaml_forbids_is_shown_where_it_stands() {
    let problem = refusal("a: b\nc: d\u{7}e\n");
    assert_eq!((problem.line, problem.column), (2, 5));
}
