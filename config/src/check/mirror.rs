//! `mirror` of a route: copies of its requests for another service.

use super::course::exists;
use super::fields::{Fields, Known};
use crate::plan::Mirror;

const MIRROR: Known = Known { fields: &["service", "share", "concurrency"], later: &[] };
/// Copies under way at once where nothing else is said.
const CONCURRENCY: u32 = 100;

/// `mirror: { service, share: 100%, concurrency: 100 }`.
pub(super) fn mirror(route: &Fields, known: &[&str]) -> Option<Mirror> {
    let node = route.get("mirror")?;
    let fields = Fields::open(route.checks, node, format!("`mirror` of {}", route.what), &MIRROR);
    if route.has("redirect") {
        let message = format!("{} has both `redirect` and `mirror`", route.what);
        route.checks.report(route.key_mark("mirror"), message, "a redirect asks no node, so nothing can be copied");
    }
    fields.require("service");
    let share = fields.percent("share").unwrap_or(1.0);
    let concurrency = fields.small("concurrency", 1..=100_000).unwrap_or(CONCURRENCY);
    let service = fields.text("service")?;
    exists(&fields, service, fields.get("service")?.mark, known);
    Some(Mirror { service: service.into(), share, concurrency })
}
