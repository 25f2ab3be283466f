//! What a budget buys: the same on every run.

use std::time::Duration;

use pointsman_core::pick::policy::{Fault, Policy, Verdict};
use pointsman_host::{HostOptions, Limits};

use crate::guest::WIT;
use crate::guest::{assemble, host, nodes, turn};

/// A pick that goes around a loop so many times, and then answers node 0.
fn loops(times: u64) -> Vec<u8> {
    let text = format!(
        ";;; pick
        (local.set $i (i32.const {times}))
        (loop $next
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br_if $next (local.get $i)))
        (call $verdict (i32.const 0) (i32.const 0))"
    );
    assemble("loops", &text, WIT)
}

fn verdict(bytes: &[u8], budget: Duration) -> Result<Verdict, Fault> {
    let host = host();
    let module = host.compile("loops", bytes, Limits { budget, ..Limits::default() }).expect("a policy");
    let members = nodes(1, 1, 1);
    let policy = host.policy(&module, "{}", &members, None, None).expect("it takes anything");
    policy.pick(0, &members, &turn(0))
}

/// Five units of fuel a turn of the loop: a fifth of the fuel of a millisecond is about what fits into one.
#[test]
fn fuel_bounds_a_pick() {
    let fits = HostOptions::FUEL_PER_MS / 10;
    let too_many = HostOptions::FUEL_PER_MS;
    assert_eq!(verdict(&loops(fits), Duration::from_millis(1)), Ok(Verdict::Node(0)));
    assert_eq!(verdict(&loops(too_many), Duration::from_millis(1)), Err(Fault::Late));
    assert_eq!(verdict(&loops(too_many), Duration::from_millis(20)), Ok(Verdict::Node(0)), "a larger budget");
}

/// Every pick has the whole budget: what earlier ones used is not taken from it.
#[test]
fn a_budget_is_per_pick() {
    let host = host();
    let bytes = loops(HostOptions::FUEL_PER_MS / 10);
    let module = host.compile("loops", &bytes, Limits::default()).expect("a policy");
    let members = nodes(1, 1, 1);
    let policy = host.policy(&module, "{}", &members, None, None).expect("it takes anything");
    assert!((0..50).all(|n| policy.pick(0, &members, &turn(n)).is_ok()));
}
