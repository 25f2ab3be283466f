//! Every file under `golden/good` is checked against the plan beside it, every file under `golden/bad` against the
//! exact text that a person reads. `UPDATE_GOLDEN=1 cargo test -p pointsman-config` rewrites what is expected: read
//! the diff.

use std::fs;
use std::path::{Path, PathBuf};

use pointsman_config::plan::Plan;
use pointsman_config::{Problems, parse};

/// The names that the proxy passes for its built-in policies.
const BUILT_IN: [&str; 11] = [
    "round-robin",
    "weighted-round-robin",
    "least-connections",
    "two-choices",
    "customer-modulo",
    "weighted-health",
    "consistent-hash",
    "order-owner",
    "primary-backup",
    "sticky",
    "read-write-split",
];

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(here(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// An environment that is the same everywhere.
fn environment(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("9001".into()),
        "SLOTS" => Some("3".into()),
        "EMPTY" => Some(String::new()),
        "SHAPE" => Some("x\nadmin: {address: 0.0.0.0:1}".into()),
        _ => None,
    }
}

fn read(path: &Path) -> Result<Plan, Problems> {
    let text = fs::read_to_string(path).expect("readable");
    let name = Path::new("etc").join(path.file_name().expect("a file"));
    parse(&text, &name, &environment, &BUILT_IN)
}

/// Compares with what stands beside the input, or rewrites that.
fn compare(path: &Path, extension: &str, found: &str, wrong: &mut Vec<String>) {
    let expected = path.with_extension(extension);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&expected, found).expect("writable");
    } else if fs::read_to_string(&expected).ok().as_deref() != Some(found) {
        wrong.push(format!("{} is not what came out:\n{found}", expected.display()));
    }
}

#[test]
fn good_files_become_the_plan_beside_them() {
    let mut wrong = Vec::new();
    let files = yaml_files("tests/golden/good");
    assert!(files.len() >= 10, "only {} files", files.len());
    for path in files {
        match read(&path) {
            Ok(plan) => {
                let json = serde_json::to_string_pretty(&plan).expect("a plan serialises") + "\n";
                compare(&path, "json", &json, &mut wrong);
            }
            Err(problems) => wrong.push(format!("{} is refused:\n{problems}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bad_files_are_refused_in_the_words_beside_them() {
    let mut wrong = Vec::new();
    let files = yaml_files("tests/golden/bad");
    assert!(files.len() >= 40, "only {} files", files.len());
    for path in files {
        match read(&path) {
            Ok(_) => wrong.push(format!("{} is accepted", path.display())),
            Err(problems) => compare(&path, "err", &format!("{problems}\n"), &mut wrong),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_expected_has_lost_its_input() {
    for (folder, extension) in [("tests/golden/good", "json"), ("tests/golden/bad", "err")] {
        for entry in fs::read_dir(here(folder)).expect("readable") {
            let path = entry.expect("readable").path();
            let other =
                path.with_extension(if path.extension().is_some_and(|e| e == "yaml") { extension } else { "yaml" });
            assert!(other.exists(), "{} has no {}", path.display(), other.display());
        }
    }
}

#[test]
fn every_scenario_that_users_copy_is_right() {
    let files = yaml_files("scenarios");
    assert!(files.len() >= 5, "only {} files", files.len());
    for path in files {
        let plan = pointsman_config::load(&path, &BUILT_IN).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!plan.routes.is_empty(), "{} routes nothing", path.display());
        let used =
            |name: &String| plan.routes.iter().any(|route| route.services.iter().any(|share| share.service == *name));
        assert!(plan.services.keys().all(used), "{} has a service without a route", path.display());
    }
}

#[test]
fn the_demo_keeps_its_state_under_var() {
    let path = here("scenarios/demo.yaml");
    let plan = pointsman_config::load(&path, &BUILT_IN).unwrap_or_else(|problems| panic!("{problems}"));
    let pointsman_config::plan::Registry::Embedded { path } = plan.registry;
    assert!(path.ends_with("../../var/demo/registry"), "{}", path.display());
    assert_eq!(plan.listeners[0].address.to_string(), "127.0.0.1:8080");
}
