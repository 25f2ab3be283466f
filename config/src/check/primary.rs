//! `primary`: whether one node of a service is the primary, and how soon the next takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Checks;
use super::fields::{Fields, Known};
use super::words::quote;
use crate::plan::{PolicySource, Primary, Service};
use crate::raw::Value;

const PRIMARY: Known = Known { fields: &["takeover_after"], later: &[] };
const TAKEOVER: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// `primary: on`, or with its settings.
pub(crate) fn primary(service: &Fields) -> Option<Primary> {
    service.require_if_written("primary");
    let node = service.get("primary")?;
    let default = Primary { takeover_after: TAKEOVER };
    if matches!(node.value, Value::Map(_)) {
        let fields = Fields::open(service.checks, node, service.label("primary"), &PRIMARY);
        let takeover_after = fields.duration("takeover_after", Duration::ZERO..=HOUR);
        Some(Primary { takeover_after: takeover_after.unwrap_or(default.takeover_after) })
    } else {
        service.switch("primary").filter(|on| *on).map(|_| default)
    }
}

/// Whether a service has a primary, as far as that is written: what is wrong with it is said elsewhere.
pub(crate) fn wanted(service: &Fields) -> bool {
    service.get("primary").is_some_and(|node| node.as_switch() != Some(false))
}

/// Built-in policies that are told to send to the primary of a service that has none: each such request would wait in vain.
/// What policies that the file brings make of their settings is theirs.
pub(crate) fn check_policies(
    services: &BTreeMap<String, Service>,
    brought: &BTreeMap<String, PolicySource>,
    checks: &Checks,
) {
    for service in services.values().filter(|service| service.primary.is_none()) {
        let policy = &service.policy;
        let (setting, without) = match policy.name.as_str() {
            _ if brought.contains_key(&policy.name) => continue,
            "primary-backup" | "read-write-split" => ("no_primary", Some("next")),
            "customer-modulo" => ("failover", None),
            "order-owner" => ("new", None),
            _ => continue,
        };
        let settings: serde_json::Value = serde_json::from_str(&policy.settings).unwrap_or_default();
        let said = settings[setting].as_str();
        let (wants, hint) = match without {
            Some(other) => (
                said != Some(other),
                format!("add `primary: on` to the service, or write `with: {{ {setting}: {other} }}`"),
            ),
            None => (said == Some("primary"), "add `primary: on` to the service".to_owned()),
        };
        if wants {
            let (used, name) = (quote(&policy.name), quote(&service.name));
            let message = format!("policy {used} waits for a primary, and service {name} has none");
            checks.report(policy.place_of(&format!("`{setting}`: ")), message, hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::check::Checks;
    use crate::problem::Source;
    use crate::yaml;

    fn problems(service: &str, more: &str) -> Vec<String> {
        let text = format!("listeners: [{{ address: 127.0.0.1:1 }}]\nservices: {{ a: {service} }}\n{more}");
        let source = Source::new(Path::new("test.yaml"), &text);
        let root = yaml::read(&source).expect("it is YAML");
        let checks = Checks::new(&source);
        crate::check::plan(&root, &checks, &["primary-backup", "read-write-split", "customer-modulo", "order-owner"]);
        let found = checks.finish().err().map(|problems| problems.list).unwrap_or_default();
        found.into_iter().map(|problem| problem.message).collect()
    }

    const KEY: &str = "key: { header: x-order }";

    #[test]
    fn a_policy_that_waits_for_a_primary_wants_one() {
        for policy in [
            "primary-backup",
            "read-write-split",
            "{ use: primary-backup, with: { no_primary: refuse } }",
            "{ use: customer-modulo, with: { slots: 3, failover: primary } }",
            "{ use: order-owner, with: { new: primary } }",
        ] {
            for primary in ["", ", primary: off"] {
                let found = problems(&format!("{{ {KEY}, policy: {policy}{primary} }}"), "");
                assert!(
                    matches!(found.as_slice(), [one] if one.ends_with("waits for a primary, and service `a` has none")),
                    "{policy}{primary}: {found:?}"
                );
            }
            let found = problems(&format!("{{ {KEY}, policy: {policy}, primary: on }}"), "");
            assert!(found.is_empty(), "{policy}: {found:?}");
        }
    }

    #[test]
    fn one_that_does_without_or_is_the_operators_own_does_not() {
        for policy in [
            "{ use: primary-backup, with: { no_primary: next } }",
            "{ use: read-write-split, with: { no_primary: next } }",
            "{ use: customer-modulo, with: { slots: 3, failover: next } }",
            "order-owner",
        ] {
            let found = problems(&format!("{{ {KEY}, policy: {policy} }}"), "");
            assert!(found.is_empty(), "{policy}: {found:?}");
        }
        let found = problems("{ policy: primary-backup }", "policies: { primary-backup: { wasm: own.wasm } }\n");
        assert!(found.is_empty(), "{found:?}");
    }
}
