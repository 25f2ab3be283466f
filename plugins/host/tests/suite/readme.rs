//! The policy that authors are shown, built as they would build it. It reads a header, which no built-in policy does.

use std::fs;
use std::path::Path;

use pointsman_builder::{Options, build_crate};
use pointsman_core::pick::policy::{Ask, Policy as _, Verdict};
use pointsman_host::Limits;

use crate::guest::{host, nodes, turn};

const PAGE: &str = include_str!("../../../../policies/README.md");
const MANIFEST: &str = "\
[package]
name = \"vip-first\"
version = \"0.1.0\"
edition = \"2024\"

[lib]
crate-type = [\"cdylib\", \"rlib\"]

[dependencies]
pointsman-policy = { path = \"@sdk@\" }

[workspace]
";

/// The component of the page's code, in a crate outside the workspace with the versions that the workspace has.
fn shown() -> Vec<u8> {
    let options = Options::find(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the workspace");
    let code = PAGE.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("code on the page");
    let folder = tempfile::tempdir().expect("a folder");
    let sdk = options.root.join("plugins/sdk");
    fs::create_dir(folder.path().join("src")).expect("made");
    fs::write(folder.path().join("src/lib.rs"), code).expect("written");
    fs::write(folder.path().join("Cargo.toml"), MANIFEST.replace("@sdk@", &sdk.to_string_lossy())).expect("written");
    fs::copy(options.root.join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("copied");
    build_crate(folder.path(), &options).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn the_policy_on_the_page_reads_a_header() {
    let host = host();
    let members = nodes(1, 1, 3);
    let module = host.compile("vip-first", &shown(), Limits::default()).expect("a policy");
    let policy = host.policy(&module, "{}", &members, None, None).expect("settings");
    assert_eq!(policy.needs().headers, ["x-tier"]);
    let picked = |number, tier: Option<&str>| {
        policy.pick(0, &members, &Ask { headers: Some(&[tier]), ..turn(number) }).expect("no fault")
    };
    // Many times over: what the host hands in is freed by the guest, or its memory would run out.
    let long = "x".repeat(3000);
    for number in 0..5_000 {
        assert_eq!(picked(number, Some("vip")), Verdict::Node(0));
        let other = Verdict::Node(1 + (number % 2) as u32);
        assert_eq!(picked(number, None), other, "no header");
        assert_eq!(picked(number, Some("")), other, "an empty one");
        assert_eq!(picked(number, Some(&long)), other, "a long one");
    }
}
