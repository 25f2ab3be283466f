//! The section as it is planned, and what is wrong with it.

use std::path::Path;

use super::*;
use crate::check::Checks;
use crate::problem::Source;
use crate::yaml;

fn read(service: &str) -> (Option<Owners>, Vec<String>) {
    let text = format!("listeners: [{{ address: 127.0.0.1:1 }}]\nservices: {{ a: {service} }}\n");
    let source = Source::new(Path::new("test.yaml"), &text);
    let root = yaml::read(&source).expect("it is YAML");
    let checks = Checks::new(&source);
    let plan = crate::check::plan(&root, &checks, &["round-robin"]);
    let problems = checks.finish().err().map(|problems| problems.list).unwrap_or_default();
    let messages = problems.into_iter().map(|problem| problem.message);
    let said = messages.filter(|message| !message.ends_with("is not carried yet by this version")).collect();
    (plan.services["a"].owners.clone(), said)
}

fn header(name: &str) -> KeyRule {
    KeyRule::of(KeySource::Header(name.into()))
}

#[test]
fn what_is_not_said_is_the_services_own_key_claimed_behind() {
    let (owners, problems) = read("{ key: { header: x-order }, owners: { claim: behind } }");
    assert!(problems.is_empty(), "{problems:?}");
    let owners = owners.expect("owners");
    assert_eq!((owners.find, owners.learn), (vec![header("x-order")], vec![Learn::Request(header("x-order"))]));
    assert_eq!((owners.claim, owners.on_unknown, owners.on_gone), (ClaimMode::Behind, OnUnknown::Hash, OnGone::Refuse));
    assert_eq!((owners.ttl, owners.park, owners.capacity), (DAY, 2 * SECOND, 2_000_000));
}

#[test]
fn a_chain_of_order_ids_is_looked_up_and_learnt() {
    let (owners, problems) = read(
        "{ primary: on, owners: { claim: sync, find: [{ fix: 41 }, { fix: 11 }], \
         learn: [{ request: { fix: 11 } }, { response: { header: X-Order-Id } }, { response: { json: /id } }], \
         release: { header: x-order-final }, on_unknown: park, on_gone: primary, bound_to: life, park: 1s, ttl: 12h, capacity: 7 } }",
    );
    assert!(problems.is_empty(), "{problems:?}");
    let owners = owners.expect("owners");
    assert_eq!((owners.find.len(), owners.learn.len()), (2, 3));
    assert_eq!(owners.learn[1], Learn::Response(header("x-order-id")));
    assert_eq!(owners.release, Some(header("x-order-final")));
    assert_eq!((owners.claim, owners.on_unknown, owners.on_gone), (ClaimMode::Sync, OnUnknown::Park, OnGone::Primary));
    assert_eq!((owners.bound_to, owners.park, owners.ttl), (BoundTo::Life, SECOND, DAY / 2));
}

#[test]
fn where_the_primary_stands_in_there_is_one() {
    for name in ["on_gone", "on_unknown"] {
        let said =
            |primary: &str| read(&format!("{{ {primary}key: {{ header: x }}, owners: {{ {name}: primary }} }}")).1;
        for none in ["", "primary: off, "] {
            assert!(
                matches!(said(none).as_slice(), [one] if one.ends_with("is `primary`, and service `a` has none")),
                "{none:?}: {:?}",
                said(none)
            );
        }
        assert!(said("primary: on, ").is_empty() && said("primary: { takeover_after: 0s }, ").is_empty());
    }
}
