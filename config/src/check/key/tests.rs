//! Rules as they are planned.

use std::path::Path;

use crate::check::Checks;
use crate::plan::{
    BodyPlace, KeyRule, KeySource, KeyStep, NoKey, PathTemplate, Place, Repeated, Segment, Service, XmlPath,
};
use crate::problem::Source;
use crate::yaml;

/// The service, and every problem but that something is not carried yet.
fn read(service: &str) -> (Service, Vec<String>) {
    let text = format!("listeners: [{{ address: 127.0.0.1:1 }}]\nservices: {{ a: {service} }}\n");
    let source = Source::new(Path::new("test.yaml"), &text);
    let root = yaml::read(&source).expect("it is YAML");
    let checks = Checks::new(&source);
    let plan = crate::check::plan(&root, &checks, &["round-robin"]);
    let problems = checks.finish().err().map(|problems| problems.list).unwrap_or_default();
    let messages = problems.into_iter().map(|problem| problem.message);
    let said = messages.filter(|message| !message.ends_with("is not carried yet by this version")).collect();
    (plan.services["a"].clone(), said)
}

fn service(written: &str) -> Service {
    let (service, problems) = read(written);
    assert!(problems.is_empty(), "{written}: {problems:?}");
    service
}

fn rule(written: &str) -> KeyRule {
    service(&format!("{{ key: {written} }}")).key.unwrap_or_else(|| panic!("{written} is no rule"))
}

fn place(written: &str) -> BodyPlace {
    let mut service = service(&format!("{{ key: {written} }}"));
    assert_eq!(service.key.map(|rule| (rule.part.from, rule.body)), Some((KeySource::Body(0), vec![0])));
    service.places.remove(0).at
}

#[test]
fn places_in_a_body_are_compiled() {
    let tokens = |tokens: &[&str]| BodyPlace::Json(tokens.iter().map(ToString::to_string).collect());
    assert_eq!(place("{ json: /client/id }"), tokens(&["client", "id"]));
    assert_eq!(place("{ json: /a~1b/m~0n/~01/ }"), tokens(&["a/b", "m~n", "~1", ""]));
    assert_eq!(place("{ form: customer id }"), BodyPlace::Form("customer id".into()));
    assert_eq!(
        place("{ xml: /Order/ClientId }"),
        BodyPlace::Xml(XmlPath::Root(vec!["Order".into(), "ClientId".into()]))
    );
    assert_eq!(place("{ xml: ns:ClientId }"), BodyPlace::Xml(XmlPath::Anywhere("ns:ClientId".into())));
    assert_eq!(place("{ fix: 11 }"), BodyPlace::Fix(11));
}

#[test]
fn heads_are_compiled() {
    assert_eq!(rule("{ tls_subject: true }").part.from, KeySource::TlsSubject);
    assert_eq!(rule("{ client_address: { v6: 64 } }").part.from, KeySource::ClientAddress { v4: 32, v6: 64 });
    let segments = vec![Segment::Is("shops".into()), Segment::Any, Segment::Key, Segment::Is("orders".into())];
    assert_eq!(rule("{ path: '/shops/*/{id}/orders' }").part.from, KeySource::Capture(PathTemplate { segments }));
}

#[test]
fn every_place_of_a_composed_rule_has_an_index() {
    let service = service(
        "{ key: { first_of: [{ header: X-Id }, { json: /id }, { join: [{ form: a }, { query: b }], with: '-' }], limit: 1KiB } }",
    );
    let rule = service.key.expect("a rule");
    let KeySource::FirstOf(parts) = &rule.part.from else { panic!("{rule:?}") };
    assert_eq!((&parts[0].from, &parts[1].from), (&KeySource::Header("x-id".into()), &KeySource::Body(0)));
    let KeySource::Join { parts, with } = &parts[2].from else { panic!("{rule:?}") };
    assert_eq!((&parts[0].from, with.as_str()), (&KeySource::Body(1), "-"));
    assert_eq!((rule.body, service.places.len(), service.places[1].limit), (vec![0, 1], 2, 1024));
}

#[test]
fn rules_of_a_service_share_the_places_that_they_want_alike() {
    let service = service(
        "{ key: { json: /id }, owners: { find: [{ fix: 11 }, { json: /id }, { json: /id, limit: 1KiB }], \
         learn: [{ request: { first_of: [{ json: /id, steps: lower }, { fix: 11 }], otherwise: { ambiguous: first } } }, \
         { response: { fix: 37 } }], release: { fix: 39 } } }",
    );
    let (id, tag) = (BodyPlace::Json(vec!["id".into()]), BodyPlace::Fix);
    let place = |at, first, limit| Place { at, first, limit };
    let whole = 64 << 10;
    assert_eq!(
        service.places,
        [
            place(id.clone(), false, whole),
            place(tag(11), false, whole),
            place(id.clone(), false, 1024),
            place(id, true, whole),
            place(tag(11), true, whole),
        ]
    );
    let owners = service.owners.expect("owners");
    let read = |rule: &KeyRule| (rule.part.from.clone(), rule.body.clone());
    assert_eq!(service.key.as_ref().map(read), Some((KeySource::Body(0), vec![0])));
    let found: Vec<_> = owners.find.iter().map(read).collect();
    let sources = [1, 0, 2].map(|place| (KeySource::Body(place), vec![place]));
    assert_eq!(found, sources);
    let crate::plan::Learn::Request(learnt) = &owners.learn[0] else { panic!("{owners:?}") };
    assert_eq!(learnt.body, [3, 4]);
    let answered: Vec<_> = owners.places.iter().map(|place| place.at.clone()).collect();
    assert_eq!(answered, [tag(37), tag(39)], "bodies of responses are counted apart");
    assert_eq!(owners.release.as_ref().map(read), Some((KeySource::Body(1), vec![1])));
}

#[test]
fn steps_and_outcomes_are_read() {
    let rule = rule(
        "{ json: /id, steps: [trim, lower, { strip_prefix: a- }, { slice: { from: 1, length: 2 } }, { part: { of: ':', at: 1 } }, integer], \
         otherwise: { missing: refuse, ambiguous: first, too_large: no-key } }",
    );
    let expected = [
        KeyStep::Trim,
        KeyStep::Lower,
        KeyStep::StripPrefix("a-".into()),
        KeyStep::Slice { from: 1, length: Some(2) },
        KeyStep::Part { of: ":".into(), at: 1 },
        KeyStep::Integer,
    ];
    assert_eq!(rule.part.steps, expected);
    let otherwise = rule.otherwise;
    assert_eq!((otherwise.missing, otherwise.malformed), (NoKey::Refuse, NoKey::Refuse));
    assert_eq!((otherwise.ambiguous, otherwise.too_large), (Repeated::First, NoKey::NoKey));
}

#[test]
fn the_examples_in_the_manual_are_right() {
    let manual = include_str!("../../../../docs/keys.md");
    let blocks: Vec<&str> = manual.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "only {} examples", blocks.len());
    for block in blocks {
        let text = format!("listeners: [{{ address: 127.0.0.1:1 }}]\n{block}");
        let source = Source::new(Path::new("keys.md"), &text);
        let problems = source.check(&|_| None, &["customer-modulo", "round-robin"]).err().map(|problems| problems.list);
        let wrong = problems.into_iter().flatten().filter(|problem| !problem.message.ends_with("by this version"));
        let wrong: Vec<String> = wrong.map(|problem| problem.to_string()).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
