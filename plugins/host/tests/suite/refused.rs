//! Modules that are not taken, and the exact words an operator reads.

use pointsman_host::{Host, HostOptions, Limits};

use crate::guest::{WIT, assemble, guest, host};

fn refusal(bytes: &[u8]) -> String {
    host().compile("mine", bytes, Limits::default()).expect_err("it is refused").to_string()
}

fn text(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap_or_else(|e| panic!("{wat}: {e}"))
}

/// A component that exports an empty instance under a name.
fn exports(name: &str) -> Vec<u8> {
    text(&format!("(component (instance $i) (export \"{name}\" (instance $i)))"))
}

#[test]
fn what_is_not_webassembly() {
    assert_eq!(
        refusal(b""),
        "policy `mine`: the file is empty; was it read while it was still being written? Write beside it and rename"
    );
    assert_eq!(
        refusal(b"\x7fELF\x02\x01\x01\0\0\0"),
        "policy `mine`: it is not WebAssembly (it starts with `\\x7fELF\\x02\\x01\\x01\\x00`, not with `\\0asm`); \
         name the .wasm file that the build wrote"
    );
    assert_eq!(
        refusal(b"(component)"),
        "policy `mine`: it is WebAssembly text; assemble it first: `wasm-tools parse policy.wat -o policy.wasm`"
    );
}

#[test]
fn a_core_module_is_to_be_componentized() {
    assert_eq!(
        refusal(&text("(module)")),
        "policy `mine`: it is a core module, not a component; componentize it: `wasm-tools component new policy.wasm \
         -o policy.component.wasm`, or build it the way policies/README.md shows"
    );
}

#[test]
fn imports_are_named() {
    let wasi = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance)) (import "wasi:cli/exit@0.2.0" (instance))
        (import "wasi:io/error@0.2.0" (instance)) (import "wasi:io/streams@0.2.0" (instance)))"#;
    assert_eq!(
        refusal(&text(wasi)),
        "policy `mine`: it imports WASI (`wasi:cli/environment@0.2.0`, `wasi:cli/exit@0.2.0`, `wasi:io/error@0.2.0` \
         and 1 more), and a policy imports nothing; build for wasm32-unknown-unknown instead of wasm32-wasip1 or \
         wasm32-wasip2, or turn off what needs a system (JavaScript: `componentize --disable all`)"
    );
    assert_eq!(
        refusal(&text(r#"(component (import "clock" (func (result u64))))"#)),
        "policy `mine`: it imports `clock`, and a policy imports nothing: all it may know comes as an argument; take \
         the imports out"
    );
}

#[test]
fn other_worlds_and_versions() {
    assert_eq!(
        refusal(&exports("wasi:http/incoming-handler@0.2.0")),
        "policy `mine`: it is a component but not a policy: it does not export `pointsman:policy/routing@1.0.0` (it \
         exports `wasi:http/incoming-handler@0.2.0`); build it against plugins/wit/policy.wit, world `policy`"
    );
    assert_eq!(
        refusal(&text("(component)")),
        "policy `mine`: it is a component but not a policy: it does not export `pointsman:policy/routing@1.0.0` (it \
         exports nothing); build it against plugins/wit/policy.wit, world `policy`"
    );
    assert_eq!(
        refusal(&exports("pointsman:policy/routing@0.9.0")),
        "policy `mine`: it was built against version 0.9.0 of the policy contract, and this proxy speaks 1.0.0; \
         rebuild it with the current SDK"
    );
    for later in ["1.1.0", "2.0.0"] {
        assert_eq!(
            refusal(&exports(&format!("pointsman:policy/routing@{later}"))),
            format!(
                "policy `mine`: it was built against version {later} of the policy contract, and this proxy speaks \
                 1.0.0; upgrade the proxy, or rebuild the policy with an SDK of 1.0"
            )
        );
    }
}

#[test]
fn the_right_name_with_other_types() {
    let missing = refusal(&exports("pointsman:policy/routing@1.0.0"));
    assert!(missing.starts_with("policy `mine`: its exports do not have the types of version 1.0.0"), "{missing}");
    assert!(missing.ends_with("; rebuild it with the current SDK"), "{missing}");
    let other = assemble("base", "", &WIT.replace("random: u64", "random: s64"));
    let other = refusal(&other);
    assert!(other.starts_with("policy `mine`: its exports do not have the types of version 1.0.0"), "{other}");
}

#[test]
fn what_is_damaged() {
    let mut bytes = guest("base");
    bytes.truncate(bytes.len() / 2);
    let cut = refusal(&bytes);
    assert!(cut.starts_with("policy `mine`: it is damaged, or uses a feature of WebAssembly"), "{cut}");
    assert!(!cut.contains('\n'), "{cut}");
    assert_eq!(
        refusal(b"\0asm\x99\0\x01\0"),
        "policy `mine`: its binary encoding has version 0x10099, which this proxy does not read; rebuild it with \
         current tools"
    );
}

#[test]
fn what_is_too_large() {
    let options = HostOptions { workers: 1, module_bytes: 100, ..HostOptions::default() };
    let host = Host::new(options).expect("a host");
    let refused = host.compile("mine", &[0; 101], Limits::default()).expect_err("it is refused");
    assert_eq!(
        refused.to_string(),
        "policy `mine`: it has 101 bytes, more than the 100 that are taken; build it with optimisation for size and \
         without debug information (`strip = true`)"
    );
    assert_eq!(
        refusal(&guest("greedy")),
        "policy `mine`: it needs 67108864 bytes of memory to start, and `memory:` grants 16777216; raise `memory:`, or \
         build it with a smaller initial memory or stack"
    );
}

#[test]
fn what_does_not_start_or_say_who_it_is() {
    for name in ["start-trap", "describe-trap", "start-spin"] {
        let refused = refusal(&guest(name));
        let start = "policy `mine`: it failed while it was started and asked who it is (";
        assert!(refused.starts_with(start), "{refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }
    assert_eq!(
        refusal(&guest("nameless")),
        "policy `mine`: `describe` answers name \"\", version \"0.1.0\"; a name has 1 to 64 letters, digits, `-`, `_` \
         or `.`, a version 1 to 64 such characters or `+`"
    );
}

/// A component around a core module that imports the same name twice, which wasmtime quotes.
fn imports_twice(name: &str) -> Vec<u8> {
    let module = |fields: &str| format!("(core module (import \"{name}\" \"\" (func)) {fields})");
    text(&format!("(component {})", module(&format!("(import \"{name}\" \"\" (func))"))))
}

#[test]
fn names_of_a_module_neither_steer_the_terminal_nor_fill_the_log() {
    let refused = refusal(&imports_twice("\\1b[2J\\07"));
    assert!(refused.contains("\\u{1b}[2J\\u{7}") && !refused.contains(char::is_control), "{refused:?}");
    let long = refusal(&imports_twice(&"n".repeat(40_000)));
    assert!(long.contains("nnn…") && long.len() < 4000, "{} bytes", long.len());
    let exported = refusal(&exports(&"n".repeat(40_000)));
    assert!(exported.contains("nnn`") && exported.len() < 4000, "{} bytes", exported.len());
}
