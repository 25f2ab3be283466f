//! A module that keeps failing makes way for the one before it.

use std::sync::Arc;

use parking_lot::Mutex;
use pointsman_core::pick::policy::{Ask, Fault, Policy, Verdict};
use pointsman_host::{Limits, OnQuarantine, QuarantineNotice};

use crate::guest::{compiled, host, nodes, policy, round_robin, turn};

fn at(now_ms: u64) -> Ask<'static> {
    Ask { now_ms, ..turn(1) }
}

/// A place for notices, and what puts them there.
fn notices() -> (Arc<Mutex<Vec<QuarantineNotice>>>, OnQuarantine) {
    let kept: Arc<Mutex<Vec<QuarantineNotice>>> = Arc::default();
    let keep = Arc::clone(&kept);
    (kept, Arc::new(move |notice| keep.lock().push(notice)))
}

#[test]
fn five_faults_bring_the_last_good_version_back() {
    let host = host();
    let members = nodes(1, 1, 2);
    let good = policy(&host, "base", &members);
    let (kept, on_quarantine) = notices();
    let bad = compiled(&host, "trap");
    let bad = host.policy(&bad, "{}", &members, Some(&good), Some(on_quarantine)).expect("it only fails later");
    for now in 0..5 {
        assert_eq!(bad.pick(now as usize, &members, &at(now)), Err(Fault::Trap));
    }
    let status = bad.status();
    assert!(status.quarantined);
    assert_eq!(status.digest, bad.module().digest());
    assert_eq!(status.serving, Some(good.module().digest()));
    for worker in 0..4 {
        assert_eq!(bad.pick(worker, &members, &at(6)), Ok(Verdict::Node(1)), "every worker is back");
    }
    let notice = QuarantineNotice {
        policy: "trap".into(),
        digest: bad.module().digest(),
        fault: Fault::Trap,
        serving: Some(good.module().digest()),
    };
    assert_eq!(*kept.lock(), [notice]);
}

#[test]
fn without_a_version_before_it_every_pick_is_a_named_fault() {
    let members = nodes(1, 1, 2);
    let bad = policy(&host(), "trap", &members);
    (0..5).for_each(|now| assert_eq!(bad.pick(0, &members, &at(now)), Err(Fault::Trap)));
    for worker in 0..2 {
        assert_eq!(bad.pick(worker, &members, &at(9)), Err(Fault::Quarantined));
    }
    assert_eq!(bad.explain(&members, &at(9)), Err(Fault::Quarantined));
    assert_eq!(bad.status().serving, None);
    assert_eq!(bad.status().faults["trap"], 5);
}

#[test]
fn faults_far_apart_are_forgiven() {
    let members = nodes(1, 1, 2);
    let bad = policy(&host(), "trap", &members);
    for i in 0..50 {
        assert_eq!(bad.pick(0, &members, &at(i * 2_501)), Err(Fault::Trap));
    }
    assert!(!bad.status().quarantined);
}

#[test]
fn what_the_picker_blames_it_for_counts() {
    let members = nodes(1, 1, 2);
    let counts = policy(&host(), "counts", &members);
    for n in 1..=4 {
        assert_eq!(counts.pick(0, &members, &at(n)), Ok(Verdict::Park(1)), "a new instance after each");
        counts.blame(Fault::Ineligible);
        assert_eq!(counts.status().faults["ineligible"], n);
    }
    assert!(!counts.status().quarantined);
    counts.blame(Fault::Ineligible);
    assert!(counts.status().quarantined);
    assert_eq!(counts.pick(0, &members, &at(6)), Err(Fault::Quarantined));
}

#[test]
fn the_last_good_version_can_fail_too() {
    let host = host();
    let members = nodes(1, 1, 2);
    let first = policy(&host, "counts", &members);
    let (kept, on_quarantine) = notices();
    let second = host.policy(&compiled(&host, "trap"), "{}", &members, Some(&first), Some(on_quarantine)).unwrap();
    let fatal = Ask { random: u64::MAX, ..at(1) };
    (0..5).for_each(|_| assert_eq!(second.pick(0, &members, &fatal), Err(Fault::Trap)));
    assert_eq!(second.pick(0, &members, &at(2)), Ok(Verdict::Park(1)), "the first serves");
    (0..5).for_each(|_| assert_eq!(second.pick(0, &members, &fatal), Err(Fault::Trap)));
    assert_eq!(second.pick(0, &members, &at(3)), Err(Fault::Quarantined));
    assert_eq!(kept.lock().iter().map(|n| n.serving).collect::<Vec<_>>(), [Some(first.module().digest()), None]);
}

/// Good, then bad, then the bad one again with other settings: the way back leads to the good one, not to the bad.
#[test]
fn the_way_back_skips_what_is_quarantined() {
    let host = host();
    let members = nodes(1, 1, 2);
    let good = policy(&host, "base", &members);
    let module = compiled(&host, "trap");
    let bad = host.policy(&module, "{}", &members, Some(&good), None).unwrap();
    (0..5).for_each(|now| assert_eq!(bad.pick(0, &members, &at(now)), Err(Fault::Trap)));
    let again = host.policy(&module, "{\"a\":1}", &members, Some(&bad), None).unwrap();
    (0..5).for_each(|now| assert_eq!(again.pick(0, &members, &at(now)), Err(Fault::Trap), "it gets another chance"));
    assert_eq!(again.status().serving, Some(good.module().digest()));
    // And a module that never was quarantined is what its successor goes back to.
    let better = host.compile("better", &round_robin("better"), Limits::default()).unwrap();
    let better = host.policy(&better, "{}", &members, Some(&again), None).unwrap();
    let worse = host.policy(&module, "{}", &members, Some(&better), None).unwrap();
    (0..5).for_each(|now| assert_eq!(worse.pick(0, &members, &at(now)), Err(Fault::Trap)));
    assert_eq!(worse.status().serving, Some(better.module().digest()));
}

#[test]
fn the_same_module_and_settings_go_on_as_they_are() {
    let host = host();
    let members = nodes(1, 1, 2);
    let first = policy(&host, "counts", &members);
    let same = host.policy(&compiled(&host, "counts"), "{}", &members, Some(&first), None).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let module = host.compile("counts", &crate::guest::guest("counts"), limits).unwrap();
    let other = host.policy(&module, "{}", &members, Some(&first), None).unwrap();
    assert!(!Arc::ptr_eq(&first, &other), "other limits");
}

/// The host looks up what either version needs; each sees its own headers, in its own order.
#[test]
fn a_version_that_comes_back_is_asked_in_its_own_words() {
    let host = host();
    let members = nodes(1, 1, 1);
    let first = policy(&host, "header-a", &members);
    let second = host.policy(&compiled(&host, "header-c"), "{}", &members, Some(&first), None).unwrap();
    assert_eq!(second.needs().headers, ["x-a", "x-c", "x-b"]);
    let ask = Ask { headers: Some(&[Some("of a"), Some("three"), Some("of b")]), ..at(0) };
    assert_eq!(second.pick(0, &members, &ask), Ok(Verdict::Park(5)));
    let fatal = Ask { random: u64::MAX, ..ask };
    (0..5).for_each(|_| assert_eq!(second.pick(0, &members, &fatal), Err(Fault::Trap)));
    assert_eq!(second.pick(0, &members, &ask), Ok(Verdict::Refuse { status: 418, reason: "of a".into() }));
}

/// Settings written for a new version may mean nothing to the old one: it then keeps its own.
#[test]
fn a_version_that_comes_back_keeps_its_settings_where_it_must() {
    let host = host();
    let members = nodes(1, 1, 2);
    let first = host.policy(&compiled(&host, "short-settings"), "{\"a\":1}", &members, None, None).unwrap();
    let second = host.policy(&compiled(&host, "trap"), "{}", &members, Some(&first), None).unwrap();
    (0..5).for_each(|now| assert_eq!(second.pick(0, &members, &at(now)), Err(Fault::Trap)));
    assert_eq!(second.pick(0, &members, &at(5)), Ok(Verdict::Node(1)));
}
