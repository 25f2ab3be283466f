//! Digests change when something that is built in does, and for nothing else.

use std::fs;
use std::path::Path;

use super::{locked, of_bytes, of_sources, package_name};

const LOCK: &str =
    "[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\n\n[[package]]\nname = \"rand\"\nversion = \"0.8.5\"\n";

/// A workspace with one policy.
fn house(end: &str) -> tempfile::TempDir {
    let house = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = house.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace('\n', end)).unwrap();
    };
    put("Cargo.lock", LOCK);
    put("plugins/wit/policy.wit", "package a:b;\n");
    put("plugins/sdk/Cargo.toml", "[package]\nname = \"sdk\"\n[dependencies]\nserde = \"1\"\n");
    put("plugins/sdk/src/lib.rs", "//! Sdk.\n");
    put("plugins/sdk/src/bench.rs", "//! Bench.\n");
    put("policies/a/Cargo.toml", "[package]\nname = \"a\"\n");
    put("policies/a/src/lib.rs", "//! A.\npub mod b;\n");
    put("policies/a/src/b.rs", "//! B.\n");
    put("policies/a/src/tests.rs", "//! Tests.\n");
    house
}

fn digest(house: &Path) -> String {
    of_sources(&house.join("policies/a"), house).unwrap()
}

#[test]
fn the_same_sources_elsewhere_have_the_same_digest() {
    assert_eq!(digest(house("\n").path()), digest(house("\n").path()));
}

#[test]
fn line_endings_do_not_count() {
    assert_eq!(digest(house("\n").path()), digest(house("\r\n").path()));
}

#[test]
fn everything_that_is_built_in_counts() {
    let files = [
        "Cargo.lock",
        "plugins/wit/policy.wit",
        "plugins/sdk/Cargo.toml",
        "plugins/sdk/src/lib.rs",
        "policies/a/Cargo.toml",
        "policies/a/src/lib.rs",
        "policies/a/src/b.rs",
    ];
    for file in files {
        let house = house("\n");
        let before = digest(house.path());
        let path = house.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let changed = if file == "Cargo.lock" { text.replace("1.0.1", "1.0.2") } else { text + "// changed\n" };
        fs::write(&path, changed).unwrap();
        assert_ne!(digest(house.path()), before, "{file}");
    }
}

#[test]
fn a_renamed_file_counts() {
    let house = house("\n");
    let before = digest(house.path());
    fs::rename(house.path().join("policies/a/src/b.rs"), house.path().join("policies/a/src/c.rs")).unwrap();
    assert_ne!(digest(house.path()), before);
}

#[test]
fn tests_and_packages_that_are_not_used_do_not_count() {
    let house = house("\n");
    let before = digest(house.path());
    fs::write(house.path().join("plugins/sdk/src/bench.rs"), "//! Other.\n").unwrap();
    fs::write(house.path().join("policies/a/src/tests.rs"), "//! Other.\n").unwrap();
    fs::write(house.path().join("Cargo.lock"), LOCK.replace("0.8.5", "0.9.0")).unwrap();
    assert_eq!(digest(house.path()), before);
}

#[test]
fn versions_of_direct_dependencies_are_found() {
    assert_eq!(locked("serde = \"1\"\n", LOCK), "serde 1.0.1\n");
    assert_eq!(locked("rand.workspace = true\nserde_json = \"1\"\n", LOCK), "rand 0.8.5\n");
}

#[test]
fn sha256_is_the_one_everybody_knows() {
    assert_eq!(of_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_manifest_without_a_name_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("Cargo.toml");
    fs::write(&manifest, "[package]\n").unwrap();
    assert!(package_name(&manifest).unwrap_err().to_string().ends_with("it has no line `name = \"...\"`"));
}
