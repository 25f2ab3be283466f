//! Guests that mean harm. Each costs the picks it spoils, is counted under one name, and harms nobody else.

use pointsman_core::pick::policy::{Fault, Policy, Verdict};
use pointsman_host::{Host, HostOptions, Limits, Tolerance};

use crate::guest::{compiled, guest, host, nodes, policy, turn};

/// What each guest's pick comes to.
const SPOILT: &[(&str, Fault)] = &[
    ("trap", Fault::Trap),
    ("recurse", Fault::Trap),
    ("spin", Fault::Late),
    ("costly", Fault::Late),
    ("grow", Fault::Memory),
    ("hoard", Fault::Memory),
    ("tables", Fault::Memory),
    ("stranger", Fault::Stranger),
    ("only-stranger", Fault::Stranger),
    ("lying-list", Fault::Malformed),
    ("long-list", Fault::Malformed),
    ("twice", Fault::Malformed),
    ("no-verdict", Fault::Malformed),
    ("misaligned", Fault::Malformed),
    ("bad-text", Fault::Malformed),
    ("bad-status", Fault::Malformed),
    ("huge-reason", Fault::Malformed),
];

#[test]
fn each_costs_one_pick_at_a_time_and_is_counted_by_name() {
    let host = host();
    let members = nodes(1, 1, 4);
    let healthy = policy(&host, "base", &members);
    for (name, fault) in SPOILT {
        let hostile = policy(&host, name, &members);
        for n in 1..=3 {
            assert_eq!(hostile.pick(0, &members, &turn(n)), Err(*fault), "{name}");
            assert_eq!(hostile.status().faults[fault.label()], n, "{name}");
            assert_eq!(healthy.pick(0, &members, &turn(n)), Ok(Verdict::Node((n % 4) as u32)), "beside {name}");
        }
        assert_eq!(hostile.status().faults.values().sum::<u64>(), 3, "{name} is counted under one name");
    }
}

#[test]
fn a_fault_costs_that_one_pick() {
    let members = nodes(1, 1, 4);
    let ticking = policy(&host(), "ticking", &members);
    for n in 1..=12 {
        let expected = if n % 3 == 0 { Err(Fault::Trap) } else { Ok(Verdict::Node((n % 4) as u32)) };
        assert_eq!(ticking.pick(0, &members, &turn(n)), expected, "turn {n}");
    }
}

#[test]
fn an_instance_that_failed_is_thrown_away() {
    let members = nodes(1, 1, 1);
    let counts = policy(&host(), "counts", &members);
    let mut ask = turn(0);
    assert_eq!(counts.pick(0, &members, &ask), Ok(Verdict::Park(1)));
    assert_eq!(counts.pick(0, &members, &ask), Ok(Verdict::Park(2)));
    assert_eq!(counts.pick(1, &members, &ask), Ok(Verdict::Park(1)), "another worker's instance");
    ask.random = u64::MAX;
    assert_eq!(counts.pick(0, &members, &ask), Err(Fault::Trap));
    ask.random = 0;
    assert_eq!(counts.pick(0, &members, &ask), Ok(Verdict::Park(1)), "a new instance");
    assert_eq!(counts.pick(1, &members, &ask), Ok(Verdict::Park(2)), "the other worker's lives on");
}

#[test]
fn the_allocator_of_a_guest_is_not_trusted() {
    let members = nodes(1, 1, 2);
    let lies = policy(&host(), "realloc-lies", &members);
    let ask = pointsman_core::pick::policy::Ask { key: Some("7"), key_hash: Some(7), ..turn(1) };
    assert_eq!(lies.pick(0, &members, &ask), Err(Fault::Malformed));
    assert_eq!(lies.pick(0, &members, &turn(1)), Ok(Verdict::Node(1)), "without a key nothing is allocated");
}

#[test]
fn reasons_are_one_bounded_line() {
    let host = host();
    let members = nodes(1, 1, 1);
    let reason = |name: &str| match policy(&host, name, &members).pick(0, &members, &turn(0)) {
        Ok(Verdict::Refuse { reason, .. }) => reason,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(reason("split-reason"), "no  set-cookie: a=b [31m");
    assert_eq!(reason("long-reason"), "a".repeat(1024));
}

#[test]
fn an_explanation_is_bounded_and_its_fault_is_no_strike() {
    let members = nodes(1, 1, 1);
    let huge = policy(&host(), "huge-explain", &members);
    for n in 1..=20 {
        assert_eq!(huge.explain(&members, &turn(0)), Err(Fault::Malformed));
        assert_eq!(huge.status().faults["malformed"], n);
    }
    assert!(!huge.status().quarantined);
    assert_eq!(huge.pick(0, &members, &turn(0)), Ok(Verdict::Node(0)));
}

#[test]
fn a_list_of_members_that_kills_it_costs_the_pick_that_brings_it() {
    let (few, many) = (nodes(1, 1, 3), nodes(2, 2, 4));
    let crowd = policy(&host(), "crowd", &few);
    assert_eq!(crowd.pick(0, &few, &turn(2)), Ok(Verdict::Node(2)));
    assert_eq!(crowd.pick(0, &many, &turn(2)), Err(Fault::Trap));
    assert_eq!(crowd.pick(0, &many, &turn(2)), Err(Fault::Trap), "it is told again, and fails again");
    assert_eq!(crowd.pick(0, &few, &turn(2)), Ok(Verdict::Node(2)));
}

/// With fuel for days, only the watchdog is left to end a loop.
#[test]
fn the_watchdog_stops_what_fuel_does_not() {
    let tolerance = Tolerance { faults: 100, ..Tolerance::default() };
    let options = HostOptions { workers: 1, fuel_per_ms: 1 << 40, tolerance, ..HostOptions::default() };
    let host = Host::new(options).expect("a host");
    let members = nodes(1, 1, 2);
    for name in ["spin", "costly"] {
        let endless = policy(&host, name, &members);
        assert_eq!(endless.pick(0, &members, &turn(0)), Err(Fault::Late), "{name}");
    }
}

#[test]
fn settings_have_a_bound() {
    let host = host();
    let module = compiled(&host, "base");
    let settings = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let refused = host.policy(&module, &settings, &nodes(1, 1, 1), None, None).expect_err("a megabyte");
    assert_eq!(refused.message, "`with:` has 1048584 bytes of JSON, more than 1048576");
    // Settings within the bound that do not fit the memory that was granted.
    let small = Limits { memory: 65536, ..Limits::default() };
    let module = host.compile("base", &guest("base"), small).expect("it starts in one page");
    let refused = host.policy(&module, &settings[..200_000], &nodes(1, 1, 1), None, None).expect_err("no room");
    assert!(
        refused.message.starts_with("policy `base` failed while it was given its settings (memory): "),
        "{refused}"
    );
}
