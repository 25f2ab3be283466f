//! The compiler: bounded in time, and never brought down by what it is given.

use std::fmt::Write as _;
use std::time::Duration;

use pointsman_core::pick::policy::Policy;
use pointsman_host::{Host, HostOptions, Limits, LoadCause};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::guest::{WIT, assemble, guest, host, nodes, turn};

/// A component that takes the compiler far longer than handing it over takes.
fn long_to_compile() -> Vec<u8> {
    let mut text = String::from(";;; module\n");
    for function in 0..2_000 {
        writeln!(text, "(func (export \"f{function}\") (param i64) (result i64) (local.get 0)").expect("a String");
        for step in 0..40 {
            writeln!(text, "(i64.mul (i64.const {})) (i64.xor (local.get 0))", function * 40 + step).expect("a String");
        }
        text.push_str(")\n");
    }
    assemble("long", &text, WIT)
}

#[test]
fn a_compilation_that_takes_too_long_is_given_up() {
    let options = HostOptions { workers: 1, compile_time: Duration::ZERO, ..HostOptions::default() };
    let host = Host::new(options).expect("a host");
    let cause = |bytes: &[u8]| host.compile("mine", bytes, Limits::default()).expect_err("no time at all").cause;
    assert_eq!(cause(&long_to_compile()), LoadCause::Slow(Duration::ZERO));
    assert_eq!(cause(&guest("base")), LoadCause::Busy(Duration::ZERO), "one at a time");
    assert_eq!(
        LoadCause::Slow(Duration::from_millis(1500)).to_string(),
        "compiling it took longer than 1.5 s; make it smaller, or split its largest function"
    );
    assert_eq!(
        LoadCause::Busy(Duration::from_secs(60)).to_string(),
        "an earlier module has been compiling for longer than 60 s; load this one again once that has ended"
    );
}

/// A damaged component is refused, or it is a policy all the same; nothing else happens.
#[test]
fn no_damage_brings_the_host_down() {
    let whole = guest("base");
    let host = host();
    let members = nodes(1, 1, 2);
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let damage = prop::collection::vec((0..whole.len(), any::<u8>()), 1..6);
    let outcome = runner.run(&damage, |damage| {
        let mut bytes = whole.clone();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        match host.compile("damaged", &bytes, Limits::default()) {
            Err(refused) => prop_assert!(!refused.to_string().contains('\n'), "{refused}"),
            Ok(module) => {
                if let Ok(policy) = host.policy(&module, "{}", &members, None, None) {
                    // Any verdict and any fault will do, as long as it is one.
                    let _ = policy.pick(0, &members, &turn(1));
                }
            }
        }
        Ok(())
    });
    outcome.expect("the host stands");
}
