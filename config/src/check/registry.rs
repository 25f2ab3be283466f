//! `registry`: where nodes join.

use super::fields::{Fields, Known};
use crate::plan::Registry;

const REGISTRY: Known = Known { fields: &["store", "path"], later: &[] };
const SHARED: Known = Known { fields: &["store", "endpoints", "prefix"], later: &[] };

/// The registry; the embedded one under `var/registry` if nothing is said.
pub(crate) fn registry(file: &Fields) -> Registry {
    let default = || Registry::Embedded { path: file.checks.path("var/registry") };
    let Some(node) = file.get("registry") else { return default() };
    // What `store` says decides which fields belong beside it, so it is read before the fields are judged.
    let store = Fields::peek(node, "store");
    if store.is_some_and(|store| store.as_text() == Some("etcd")) {
        let fields = Fields::open(file.checks, node, "`registry`", &SHARED);
        let mark = store.map_or(fields.mark, |store| store.mark);
        let hint = "use `store: embedded`; nodes then join this proxy through its admin API";
        file.checks.report(mark, "`store: etcd` is not carried yet by this version", hint);
        return default();
    }
    let fields = Fields::open(file.checks, node, "`registry`", &REGISTRY);
    fields.choice("store", &[("embedded", ())]);
    fields.path("path").map_or_else(default, |path| Registry::Embedded { path })
}
