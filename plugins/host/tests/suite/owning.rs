//! Built-in policies that know owners, primaries and methods, as components, against a native reading of what they promise.

use std::sync::Arc;

use pointsman_core::cluster::membership::{Membership, Standing};
use pointsman_core::pick::policy::{Ask, Policy, Verdict};
use pointsman_host::{Limits, WasmPolicy};

use crate::guest::{host, standing, turn};

const UP: [Standing; 3] = [Standing::Up; 3];

fn built_in(name: &str, settings: &str, membership: &Arc<Membership>) -> Arc<WasmPolicy> {
    let host = host();
    let bytes = pointsman_host::builtin(name).expect("it is built in");
    let module = host.compile(name, bytes, Limits::default()).expect("a policy");
    host.policy(&module, settings, membership, None, None).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Nodes that stand like this, one of them the primary.
fn with_primary(version: u64, states: &[Standing], primary: Option<u32>) -> Arc<Membership> {
    let plain = standing(version, 1, states);
    Arc::new(Membership::new(version, 1, plain.members().to_vec(), primary))
}

fn refusal(name: &str, settings: &str) -> String {
    let host = host();
    let module = host.compile(name, pointsman_host::builtin(name).expect("it is built in"), Limits::default());
    let refused = host.policy(&module.expect("a policy"), settings, &standing(1, 1, &UP), None, None);
    refused.expect_err("it is refused").message
}

#[test]
fn settings_are_refused_in_words() {
    let time = "expected a time such as \"800ms\" or \"2s\", up to \"1m\"";
    for (name, settings, message) in [
        ("primary-backup", r#"{"park": "5m"}"#, format!("`park`: {time}, not the text \"5m\"")),
        ("read-write-split", r#"{"park": 2}"#, format!("`park`: {time}, not 2")),
        (
            "order-owner",
            r#"{"new": "any"}"#,
            "`new`: unknown value `any`: there are `round-robin`, `least-connections`, `hash`, `primary`".into(),
        ),
        ("sticky", r#"{"on_fail": "pick"}"#, "unknown setting `on_fail`: did you mean `on_failure`?".into()),
        ("customer-modulo", r#"{"park": ""}"#, format!("`park`: {time}, not the text \"\"")),
        ("consistent-hash", r#"{"park": true}"#, format!("`park`: {time}, not true")),
    ] {
        assert_eq!(refusal(name, settings), message);
    }
}

#[test]
fn everything_goes_to_the_primary_and_waits_for_the_next() {
    let first = with_primary(1, &UP, Some(1));
    let policy = built_in("primary-backup", r#"{"park": "700ms"}"#, &first);
    assert!(policy.about().pins);
    assert_eq!(policy.pick(0, &first, &turn(5)), Ok(Verdict::Only(1)));
    let failed = Ask { attempt: 2, tried: &[1], ..turn(5) };
    assert_eq!(policy.pick(0, &first, &failed), Ok(Verdict::Park(700)));
    let none = with_primary(2, &[Standing::Up, Standing::Down, Standing::Up], None);
    assert_eq!(policy.pick(0, &none, &failed), Ok(Verdict::Park(700)));
    let next = with_primary(3, &[Standing::Up, Standing::Down, Standing::Up], Some(0));
    assert_eq!(policy.pick(0, &next, &failed), Ok(Verdict::Only(0)));
    assert_eq!(
        policy.explain(&next, &turn(0)),
        Ok("the primary takes everything: node node-0 (ordinal 1) or nobody".into())
    );
}

#[test]
fn the_method_says_who_may_serve() {
    let members = with_primary(1, &UP, Some(2));
    let policy = built_in("read-write-split", r#"{"reads": "backups"}"#, &members);
    assert_eq!(policy.needs().headers, [":method"]);
    let ask = |method| policy.pick(0, &members, &Ask { headers: Some(&[method]), ..turn(1) });
    assert_eq!(ask(Some("GET")), Ok(Verdict::Lightest([0, 1].into_iter().collect())));
    assert_eq!(ask(Some("HEAD")), ask(Some("GET")));
    assert_eq!(ask(Some("POST")), Ok(Verdict::Only(2)));
    assert_eq!(ask(None), Ok(Verdict::Only(2)));
    let words = policy.explain(&members, &Ask { headers: Some(&[None]), ..turn(1) }).expect("words");
    assert!(
        words.starts_with("a read: the least loaded of") && words.ends_with("node node-2 (ordinal 3) or nobody"),
        "{words}"
    );
}

#[test]
fn an_owner_is_told_and_kept() {
    let members = standing(1, 1, &UP);
    let worse = standing(2, 1, &[Standing::Up, Standing::Up, Standing::Draining]);
    let owned = |number| Ask { owner: Some(2), ..turn(number) };
    let orders = built_in("order-owner", "{}", &members);
    let sticky = built_in("sticky", "{}", &members);
    for number in 0..6 {
        assert_eq!(orders.pick(0, &members, &owned(number)), Ok(Verdict::Only(2)));
        assert_eq!(sticky.pick(0, &members, &owned(number)), Ok(Verdict::Node(2)));
        let any = Ok(Verdict::Node((number % 3) as u32));
        assert_eq!(
            (orders.pick(0, &members, &turn(number)), sticky.pick(0, &members, &turn(number))),
            (any.clone(), any)
        );
        let left = Ok(Verdict::Node((number % 2) as u32));
        assert_eq!(
            (orders.pick(0, &worse, &owned(number)), sticky.pick(0, &worse, &owned(number))),
            (left.clone(), left)
        );
    }
    let failed = Ask { attempt: 2, tried: &[2], ..owned(4) };
    assert_eq!(orders.pick(0, &members, &failed), Ok(Verdict::Park(2000)));
    assert_eq!(sticky.pick(0, &members, &failed), Ok(Verdict::Node(1)));
    let by_hash = built_in("order-owner", r#"{"new": "hash"}"#, &members);
    let hashed = |key_hash| by_hash.pick(1, &members, &Ask { key_hash: Some(key_hash), ..turn(1) });
    let met: std::collections::BTreeSet<_> = (0..50).map(|hash| format!("{:?}", hashed(hash * 7919))).collect();
    assert_eq!(met.len(), 3, "{met:?}");
    assert_eq!(hashed(7919), hashed(7919));
}

#[test]
fn who_would_be_refused_may_wait() {
    let members = standing(1, 1, &[Standing::Up, Standing::Down, Standing::Up]);
    let policy = built_in("customer-modulo", r#"{"slots": 3, "park": "1s"}"#, &members);
    let ask = |key| policy.pick(0, &members, &Ask { key: Some(key), key_hash: Some(0), ..turn(0) });
    assert_eq!((ask("1"), ask("2")), (Ok(Verdict::Park(1000)), Ok(Verdict::Only(2))));
    let all_down = standing(2, 1, &[Standing::Down; 3]);
    let policy = built_in("consistent-hash", r#"{"preference": 1, "park": "1s"}"#, &all_down);
    let hashed = policy.pick(0, &all_down, &Ask { key_hash: Some(5), ..turn(0) });
    assert_eq!(hashed, Ok(Verdict::Park(1000)));
}
