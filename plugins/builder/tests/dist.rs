//! What stands in `policies/dist` is what the sources beside it make.

use std::path::Path;

use pointsman_builder::{component, crates, stale};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn no_component_is_stale() {
    let policies = root().join("policies");
    let problems = stale(&policies, &policies.join("dist"), root()).unwrap();
    assert!(problems.is_empty(), "run `make policies` and commit policies/dist:\n  {}", problems.join("\n  "));
}

#[test]
fn every_component_imports_nothing_and_exports_the_contract() {
    let policies = root().join("policies");
    for policy in crates(&policies).unwrap() {
        let bytes = std::fs::read(policies.join("dist").join(format!("{}.wasm", policy.name))).unwrap();
        assert_eq!(component::imports(&bytes).unwrap(), [""; 0], "{}", policy.name);
        assert_eq!(component::exports(&bytes).unwrap(), [component::CONTRACT], "{}", policy.name);
    }
}

/// Paths of the machine that built them would differ elsewhere, and tell of it.
#[test]
fn no_component_holds_a_path_of_the_machine() {
    let policies = root().join("policies");
    let root = root().canonicalize().unwrap();
    let home = std::env::var("HOME").unwrap();
    for policy in crates(&policies).unwrap() {
        let bytes = std::fs::read(policies.join("dist").join(format!("{}.wasm", policy.name))).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for path in [root.to_str().unwrap(), home.as_str()] {
            assert!(!text.contains(&format!("{path}/")), "{} holds {path}", policy.name);
        }
    }
}
