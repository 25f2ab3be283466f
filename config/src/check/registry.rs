//! `registry`: where nodes join.

use super::fields::{Fields, Known};
use crate::plan::Registry;

const REGISTRY: Known = Known { fields: &["store", "path"], later: &[] };

/// The registry; the embedded one under `var/registry` if nothing is said.
pub(crate) fn registry(file: &Fields) -> Registry {
    let default = || Registry::Embedded { path: file.checks.path("var/registry") };
    let Some(node) = file.get("registry") else { return default() };
    // Which fields belong beside a store that is not carried is nothing to quarrel about.
    let store = Fields::peek(node, "store");
    if let Some(etcd) = store.filter(|store| store.as_text() == Some("etcd")) {
        let hint = "use `store: embedded`; nodes then join this proxy through its admin API";
        file.checks.report(etcd.mark, "`store: etcd` is not carried yet by this version", hint);
        return default();
    }
    let fields = Fields::open(file.checks, node, "`registry`", &REGISTRY);
    fields.choice("store", &[("embedded", ())]);
    fields.path("path").map_or_else(default, |path| Registry::Embedded { path })
}
