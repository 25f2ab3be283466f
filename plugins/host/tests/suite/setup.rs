//! Settings that a policy refuses, and modules that are compiled once.

use pointsman_core::pick::policy::Policy;
use pointsman_host::Limits;

use crate::guest::{compiled, guest, host, nodes, turn};

fn refusal(name: &str) -> String {
    let host = host();
    let refused = host.policy(&compiled(&host, name), "{}", &nodes(1, 1, 2), None, None);
    refused.expect_err("it is refused").message
}

#[test]
fn a_policy_refuses_settings_in_its_own_words() {
    assert_eq!(refusal("fussy"), "slots: must be 1 or more");
    assert_eq!(refusal("short-settings"), "too short");
}

#[test]
fn what_it_asks_for_is_checked() {
    assert_eq!(refusal("bad-header"), "it asks for a header named \"X-A \", which is no header name in lower case");
    assert_eq!(refusal("many-headers"), "it asks for 1000 headers, and 32 are the most");
}

#[test]
fn what_fails_while_it_is_set_up_is_named() {
    let trap = refusal("configure-trap");
    assert!(trap.starts_with("policy `configure-trap` failed while it was given its settings (trap): "), "{trap}");
    let late = refusal("endless-members");
    assert!(late.starts_with("policy `endless-members` failed while it was told the members (late): "), "{late}");
    assert!(!late.contains('\n'), "{late}");
}

#[test]
fn the_same_bytes_are_compiled_once() {
    let host = host();
    let first = compiled(&host, "base");
    let again = host.compile("other-name", &guest("base"), Limits { memory: 1 << 20, ..Limits::default() }).unwrap();
    assert_eq!(host.compiled(), 1);
    assert_eq!(first.digest(), again.digest());
    assert_eq!((again.name(), again.limits().memory), ("other-name", 1 << 20));
    let other = compiled(&host, "trap");
    assert_eq!(host.compiled(), 2);
    drop((first, again, other));
    let _last = compiled(&host, "spin");
    assert_eq!(host.compiled(), 1, "what nobody uses is forgotten");
}

#[test]
fn a_module_outlives_its_host() {
    let members = nodes(1, 1, 3);
    let policy = {
        let host = host();
        crate::guest::policy(&host, "base", &members)
    };
    assert!(policy.pick(0, &members, &turn(1)).is_ok());
}

/// Every built-in policy is taken, under its own name, and picks with no settings but what it must have.
#[test]
fn the_built_in_policies_are_policies() {
    let host = host();
    for name in pointsman_host::builtins() {
        let bytes = pointsman_host::builtin(name).expect("it is listed");
        let module = host.compile(name, bytes, Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(module.about().name, *name);
        let members = nodes(1, 1, 3);
        let policy = host.policy(&module, "{}", &members, None, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let ask = pointsman_core::pick::policy::Ask { key: Some("7"), key_hash: Some(7), ..turn(1) };
        for worker in 0..2 {
            assert!(policy.pick(worker, &members, &ask).is_ok(), "{name}");
        }
        assert!(policy.explain(&members, &ask).is_ok_and(|words| !words.is_empty()), "{name}");
    }
    assert_eq!(pointsman_host::builtin("no-such-policy"), None);
}
