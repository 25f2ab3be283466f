//! What operators are told of nodes that are taken out because requests to them fail.

use pointsman_core::cluster::roster::{Cause, Condition, Judgement, Sentence};

use super::batch::label;
use super::service::Service;
use crate::metrics::Metrics;
use crate::world::bus::Bus;

pub(super) fn tell(bus: &Bus, metrics: &Metrics, service: &Service, judgement: &Judgement) {
    let Judgement { id, what } = judgement;
    let name = &*service.name;
    let (kind, message) = match what {
        Sentence::Ejected(cause, time) => {
            metrics.ejected(name, id, if matches!(cause, Cause::Row(_)) { "row" } else { "share" });
            let (why, seconds) = (words(*cause), time.as_secs_f64());
            ("node-ejected", format!("node `{id}` takes no requests for {seconds} s: {why}"))
        }
        // Told by the metric alone: it may happen at every tick.
        Sentence::Spared(_) => return metrics.spared(name, id),
        // Its checks took it down meanwhile, and say when it is back.
        _ if service.roster.get(id).is_none_or(|entry| entry.condition() != Condition::Up) => return,
        Sentence::Served => ("node-readmitted", format!("node `{id}` may serve again: its time out is over")),
        Sentence::Vouched => ("node-readmitted", format!("node `{id}` may serve again: its checks passed")),
    };
    if let Some(standing) = service.standing(id) {
        metrics.health_transition(name, id, label(standing));
    }
    bus.tell(kind, name, id, message);
}

fn words(cause: Cause) -> String {
    match cause {
        Cause::Row(count) => format!("{count} requests in a row failed"),
        Cause::Share(failed, finished) => format!("{failed} of {finished} requests failed"),
    }
}
