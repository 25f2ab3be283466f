//! Each scenario, short and small: the real proxy, real nodes, and the reports that are left behind.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

/// The programs of the workspace lie beside ours: cargo builds all of them before it runs a test of any.
fn beside(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_scenario")).parent().expect("a folder");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

fn scenario(arguments: &[&str], out: &Path) -> Output {
    let configurations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/scenarios");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_scenario"));
    command.args(arguments).arg("--quick").arg("--out").arg(out).arg("--configurations").arg(configurations);
    command.arg("--pointsman").arg(beside("pointsman"));
    command.arg("--tools").arg(beside("demo-node").parent().expect("a folder"));
    command.output().expect("it runs")
}

/// Plays it and answers its report. Whatever its claims are, none of time, they hold; nothing was misrouted or ran twice.
fn played(name: &str) -> Value {
    let out = tempfile::tempdir().expect("a folder");
    let output = scenario(&[name], out.path());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = std::fs::read_to_string(out.path().join(format!("{name}.json"))).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&report["misrouted"], &report["duplicated"]), (&Value::from(0), &Value::from(0)), "{said}");
    assert!(report["requests"].as_u64().is_some_and(|requests| requests > 100), "{said}");
    assert!(report["kills"].as_u64().is_some_and(|kills| kills > 0), "{said}");
    assert!(report["per_node"].as_object().is_some_and(|nodes| nodes.len() > 1), "{said}");
    let page = std::fs::read_to_string(out.path().join(format!("{name}.html"))).expect("a page");
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(!page.contains("http://") && !page.contains("https://"), "the page loads something");
    report
}

/// What a claim says was seen, as a number.
fn seen(report: &Value, what: &str) -> u64 {
    let claims = report["claims"].as_array().expect("claims");
    let claim = claims.iter().find(|claim| claim["what"].as_str().is_some_and(|text| text.starts_with(what)));
    let seen = claim.unwrap_or_else(|| panic!("no claim `{what}`: {claims:?}"))["seen"].as_str().expect("text");
    seen.parse().unwrap_or_else(|_| panic!("`{seen}` is no number"))
}

#[test]
fn a_dead_shard_hurts_its_own_users_alone() {
    let report = played("user-shards");
    assert_eq!(seen(&report, "failed requests of users whose shard lives"), 0);
    // Or the kill was none.
    assert!(seen(&report, "failed requests of users of shard 2, while it is dead") > 0);
}

#[test]
fn a_shop_loses_nothing_while_its_nodes_come_and_go() {
    let report = played("api-cluster");
    assert_eq!(seen(&report, "failed requests while nodes restart, join and leave"), 0);
    assert_eq!(seen(&report, "failed requests that may be tried again"), 0);
}

#[test]
fn only_clients_of_the_node_that_comes_or_goes_move() {
    let report = played("trade-partition");
    assert_eq!(seen(&report, "clients that are not where they were"), 0);
    assert_eq!(seen(&report, "clients whose limits are at another node"), 0);
    assert_eq!(seen(&report, "failed trades, but those under way"), 0);
}

#[test]
fn executions_find_their_orders_through_the_deaths_of_systems_and_primaries() {
    let report = played("oms-cluster");
    assert_eq!(seen(&report, "failed requests that may be tried again"), 0);
    assert_eq!(seen(&report, "failed orders and executions, but those under way"), 0);
    assert_eq!(seen(&report, "WebSocket sessions open at once"), 60);
    // Or no primary died.
    assert!(seen(&report, "executions that the primary took for a system that was away") > 0);
}

#[test]
fn the_list_names_every_configuration_that_is_played_and_a_wrong_name_is_told() {
    let out = tempfile::tempdir().expect("a folder");
    let list = String::from_utf8(scenario(&[], out.path()).stdout).expect("text");
    for line in list.lines() {
        let name = line.split_whitespace().next().expect("a name");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../config/scenarios/{name}.yaml"));
        assert!(path.exists(), "{}", path.display());
    }
    let wrong = scenario(&["user-shard"], out.path());
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("user-shards"));
}
