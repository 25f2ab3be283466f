//! `eject`: when a node is taken out because requests to it fail.

use std::time::Duration;

use super::fields::{Fields, Known};
use super::retry;
use crate::plan::{Eject, RetryOn};
use crate::units::show_duration;

const EJECT: Known =
    Known { fields: &["failures", "share", "requests", "window", "time", "max_time", "max_share", "on"], later: &[] };

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn default() -> Eject {
    let seconds = Duration::from_secs;
    let gateway = [502, 503, 504].map(RetryOn::Status);
    Eject {
        failures: 5,
        share: 0.5,
        requests: 20,
        window: seconds(10),
        time: seconds(10),
        max_time: seconds(300),
        max_share: 0.5,
        on: [RetryOn::Connect, RetryOn::Reset, RetryOn::Timeout].into_iter().chain(gateway).collect(),
    }
}

/// The rule of a service; `None` where it says `off`.
pub(crate) fn eject(service: &Fields) -> Option<Eject> {
    let default = default();
    let Some(node) = service.get("eject") else { return Some(default) };
    match node.as_switch() {
        Some(false) => return None,
        Some(true) => return Some(default),
        None => {}
    }
    let fields = Fields::open(service.checks, node, format!("`eject` of {}", service.what), &EJECT);
    let rule = Eject {
        failures: fields.small("failures", 1..=1_000_000).unwrap_or(default.failures),
        share: fields.percent("share").unwrap_or(default.share),
        requests: fields.small("requests", 1..=1_000_000).unwrap_or(default.requests),
        window: fields.duration("window", 100 * MILLISECOND..=DAY).unwrap_or(default.window),
        time: fields.duration("time", MILLISECOND..=DAY).unwrap_or(default.time),
        max_time: fields.duration("max_time", MILLISECOND..=DAY).unwrap_or(default.max_time),
        max_share: fields.percent("max_share").unwrap_or(default.max_share),
        on: retry::classes(&fields, "on").unwrap_or(default.on),
    };
    if rule.share == 0.0 && fields.has("share") {
        let message = format!("0% as {} takes out a node that never failed", fields.label("share"));
        fields.checks.report(fields.key_mark("share"), message, "write `eject: off`, or a share from 1%");
    }
    if rule.max_time < rule.time {
        // Whoever wants a longer time than the default bound means both.
        if fields.has("max_time") {
            let (least, label) = (show_duration(rule.time), fields.label("max_time"));
            let message = format!("{label} is less than `time`, which is {least}");
            fields.checks.report(fields.key_mark("max_time"), message, format!("give at least {least}"));
        }
        return Some(Eject { max_time: rule.time, ..rule });
    }
    Some(rule)
}
