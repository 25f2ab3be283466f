//! `primary`: whether one node of a service is the primary, and how soon the next takes over.

use std::time::Duration;

use super::fields::{Fields, Known};
use crate::plan::Primary;
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
