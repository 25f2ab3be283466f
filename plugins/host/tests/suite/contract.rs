//! What passes between host and guest, and when.

use std::sync::Arc;

use pointsman_core::cluster::membership::{Membership, Standing};
use pointsman_core::key::stable_hash;
use pointsman_core::pick::policy::{About, Ask, KeyNeed, Policy, Verdict};
use pointsman_host::Limits;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::guest::{host, nodes, policy, standing, turn};

fn parked(policy: &dyn Policy, worker: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> u32 {
    match policy.pick(worker, membership, ask) {
        Ok(Verdict::Park(ms)) => ms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_says_who_it_is() {
    let host = host();
    let members = nodes(1, 1, 1);
    let about = |pins| About { name: "guest".into(), version: "0.1.0".into(), pins };
    assert_eq!(policy(&host, "base", &members).about(), about(false));
    assert_eq!(policy(&host, "pins", &members).about(), about(true));
    assert_eq!(policy(&host, "base", &members).explain(&members, &turn(0)), Ok("said by the guest".into()));
}

#[test]
fn a_later_patch_of_the_contract_is_spoken() {
    let members = nodes(1, 1, 3);
    assert_eq!(policy(&host(), "patch", &members).pick(0, &members, &turn(2)), Ok(Verdict::Node(2)));
}

#[test]
fn rankings_come_as_they_are() {
    let members = nodes(1, 1, 300);
    let expected = Verdict::Ranked((0..300).rev().collect());
    assert_eq!(policy(&host(), "ranked", &members).pick(0, &members, &turn(0)), Ok(expected));
}

#[test]
fn the_lightest_come_as_they_are() {
    let members = nodes(1, 1, 5);
    let expected = Verdict::Lightest((0..5).rev().collect());
    assert_eq!(policy(&host(), "lightest", &members).pick(0, &members, &turn(0)), Ok(expected));
}

#[test]
fn a_second_attempt_is_asked_of_pick_again() {
    let members = nodes(1, 1, 5);
    let guest = policy(&host(), "base", &members);
    assert_eq!(guest.pick(0, &members, &turn(1)), Ok(Verdict::Node(1)));
    let again = Ask { attempt: 3, tried: &[1, 2], ..turn(1) };
    assert_eq!(guest.pick(0, &members, &again), Ok(Verdict::Node(3)), "turn 1, attempt 3");
}

#[test]
fn only_what_was_asked_for_is_shown() {
    let host = host();
    let members = nodes(1, 1, 2);
    let headers = [Some("value")];
    let all = Ask { key: Some("k"), key_hash: Some(1), owner: Some(0), headers: Some(&headers), ..turn(0) };
    assert_eq!(parked(&*policy(&host, "nosy", &members), 0, &members, &all), 0);
    let echo = policy(&host, "echo", &members);
    assert_eq!(echo.needs().key, KeyNeed::Text);
    assert_eq!(parked(&*echo, 0, &members, &Ask { key_hash: Some(1), ..turn(0) }), 1);
    assert_eq!(parked(&*echo, 0, &members, &turn(0)), 2);
}

#[test]
fn loads_are_those_of_the_moment() {
    let members = nodes(1, 1, 3);
    let loads = policy(&host(), "loads", &members);
    assert_eq!(parked(&*loads, 0, &members, &turn(0)), 0);
    let mut under_way: Vec<_> = [0, 1, 1, 2].iter().map(|i| members.members()[*i].node.load.enter(0)).collect();
    assert_eq!(parked(&*loads, 0, &members, &turn(0)), 4);
    under_way.pop();
    assert_eq!(parked(&*loads, 1, &members, &turn(0)), 3);
}

#[test]
fn a_node_that_warms_up_looks_busier_than_it_is() {
    let full = nodes(1, 1, 3);
    let loads = policy(&host(), "loads", &full);
    let mut members = full.members().to_vec();
    members[1].share = 100;
    let warming = Arc::new(Membership::new(2, 1, members, None));
    let _guard = warming.members()[0].node.load.enter(0);
    assert_eq!(parked(&*loads, 0, &warming, &turn(0)), 1 + 9, "the sum of the loads");
    assert_eq!(parked(&*loads, 0, &full, &turn(0)), 1);
}

#[test]
fn headers_come_in_the_order_they_were_named() {
    let members = nodes(1, 1, 1);
    let guest = policy(&host(), "header-a", &members);
    assert_eq!(guest.needs().headers, ["x-b", "x-a"]);
    let ask = Ask { headers: Some(&[Some("of b"), Some("of a")]), ..turn(0) };
    assert_eq!(guest.pick(0, &members, &ask), Ok(Verdict::Refuse { status: 418, reason: "of a".into() }));
    let ask = Ask { headers: Some(&[Some("of b"), None]), ..turn(0) };
    assert_eq!(parked(&*guest, 0, &members, &ask), 0);
}

/// Lists are told when the list changed, standing when only that did, and nothing when nothing did.
#[test]
fn a_worker_is_told_what_changed() {
    let told = |told: &dyn Policy, m: &Arc<Membership>| parked(told, 0, m, &turn(0));
    let first = nodes(1, 1, 3);
    let guest = policy(&host(), "told", &first);
    assert_eq!(told(&*guest, &first), 10_003, "told at load");
    assert_eq!(told(&*guest, &first), 10_003, "nothing changed");
    let worse = standing(2, 1, &[Standing::Down, Standing::Up, Standing::Up]);
    assert_eq!(told(&*guest, &worse), 10_133, "only the standing changed");
    assert_eq!(told(&*guest, &nodes(3, 3, 5)), 20_105, "the list changed");
    assert_eq!(parked(&*guest, 1, &first, &turn(0)), 10_003, "the other worker saw none of that");
}

#[test]
fn an_unknown_worker_is_served_all_the_same() {
    let members = nodes(1, 1, 3);
    let guest = policy(&host(), "base", &members);
    assert_eq!(guest.pick(77, &members, &turn(2)), Ok(Verdict::Node(2)));
}

#[test]
fn keys_arrive_whole() {
    let members = nodes(1, 1, 2);
    let echo = policy(&host(), "echo", &members);
    let mut runner = TestRunner::new(Config { cases: 256, ..Config::default() });
    let keys = "\\PC{0,300}";
    let outcome = runner.run(&keys, |key| {
        let ask = Ask { key: Some(&key), key_hash: Some(1), ..turn(0) };
        let verdict = echo.pick(0, &members, &ask);
        // A reason is cut at 1,024 bytes; a key is not, so only the part that comes back can be compared.
        let cut = key.floor_char_boundary(1024);
        prop_assert_eq!(verdict, Ok(Verdict::Refuse { status: 418, reason: key[..cut].to_owned() }));
        Ok(())
    });
    outcome.expect("every key comes back");
}

/// Whatever the order of changes and of workers, every worker's instance agrees with the membership it is asked about.
#[test]
fn every_worker_knows_the_membership_it_is_asked_about() {
    let states = [Standing::Up, Standing::Degraded, Standing::Draining, Standing::Down];
    let steps = prop::collection::vec((0usize..2, 0u64..3, prop::collection::vec(0usize..4, 1..9)), 1..40);
    let host = host();
    let start = nodes(0, 0, 1);
    let mut runner = TestRunner::new(Config { cases: 64, ..Config::default() });
    let outcome = runner.run(&steps, |steps| {
        let told = policy(&host, "told", &start);
        for (version, (worker, roster, states_of)) in steps.into_iter().enumerate() {
            // The same roster version always means the same number of nodes; here it stands for it.
            let roster = roster * 100 + states_of.len() as u64;
            let of: Vec<Standing> = states_of.iter().map(|s| states[*s]).collect();
            let members = standing(version as u64 + 1, roster, &of);
            let seen = parked(&*told, worker, &members, &turn(0)) % 100;
            prop_assert_eq!(seen, states_of[0] as u32 * 10 + of.len() as u32);
        }
        Ok(())
    });
    outcome.expect("no step goes wrong");
}

/// Through the sandbox an id has the home that it has by the rule, whether the host tells it as a number or as text.
#[test]
fn numbers_and_texts_are_told_apart() {
    let host = host();
    let members = nodes(1, 1, 7);
    let bytes = pointsman_host::builtin("customer-modulo").expect("it is built in");
    let module = host.compile("customer-modulo", bytes, Limits::default()).expect("a policy");
    let policy = host.policy(&module, r#"{"slots": 7}"#, &members, None, None).expect("settings");
    let home = |key: &str| {
        let ask = Ask { key: Some(key), key_hash: Some(stable_hash(key)), ..turn(0) };
        let explained = policy.explain(&members, &ask).expect("words");
        assert!(
            explained.starts_with(&format!("{}: ", key.trim_start_matches('0'))) || key.starts_with('0'),
            "{explained}"
        );
        match policy.pick(0, &members, &ask) {
            Ok(Verdict::Only(index)) => u64::from(index),
            other => panic!("{key}: {other:?}"),
        }
    };
    for number in [1, 6, 7, 8, 41, 999_999_999_999_999_999, 1_000_000_000_000_000_000, u64::MAX] {
        assert_eq!(home(&number.to_string()), number % 7, "{number}");
    }
    assert_eq!(home("0000000000000000000000008"), 1);
    assert_eq!(home("-1"), 6);
    assert_eq!(home("8x"), stable_hash("8x") % 7);
}
