//! `drain`: how tunnels leave a node that drains.

use std::time::Duration;

use super::fields::{Fields, Known};
use crate::plan::Drain;
use crate::units::show_duration;

const DRAIN: Known = Known { fields: &["spread", "deadline"], later: &[] };

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The rule of a service.
pub(crate) fn drain(service: &Fields) -> Drain {
    let default = Drain::default();
    let Some(node) = service.get("drain") else { return default };
    let fields = Fields::open(service.checks, node, format!("`drain` of {}", service.what), &DRAIN);
    let given = |name| fields.duration(name, Duration::ZERO..=DAY);
    let (spread, deadline) = (given("spread"), given("deadline"));
    match (spread, deadline) {
        (Some(spread), Some(deadline)) if deadline < spread => {
            let (least, label) = (show_duration(spread), fields.label("deadline"));
            let message =
                format!("{label} is less than `spread`, which is {least}: some would be cut before they are asked");
            fields.checks.report(fields.key_mark("deadline"), message, format!("give at least {least}"));
            default
        }
        // Whoever gives one alone means the other to fit.
        (Some(spread), None) => Drain { spread, deadline: default.deadline.max(spread) },
        (None, Some(deadline)) => Drain { spread: default.spread.min(deadline), deadline },
        _ => Drain { spread: spread.unwrap_or(default.spread), deadline: deadline.unwrap_or(default.deadline) },
    }
}
