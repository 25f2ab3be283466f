//! How attempts are timed, counted and written down, whoever carries them.

use std::sync::atomic::Ordering;

use pingora_error::{Error, ErrorType};
use pointsman_config::plan::Timeouts;
use pointsman_core::cluster::node::Node;
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Action, Event, FailureClass, Reason};
use pointsman_core::pick::picker::By;
use pointsman_core::retry;

use crate::metrics::ServiceMetrics;
use crate::world::Service;

/// How long an attempt may take.
pub(super) fn timeouts(service: &Service, idempotent: bool, attempt: u32) -> Timeouts {
    let all = service.plan.timeouts;
    if service.plan.retry.timeout.is_none() {
        return all;
    }
    let others = service.state.members().load().eligible().len() > attempt as usize;
    let within = |longest| retry::patience(&service.plan.retry, idempotent, attempt, others, longest);
    Timeouts { connect: within(all.connect), response: within(all.response), ..all }
}

/// Writes down how a request to a node went. Where requests fail the control thread looks whether the node is to go.
pub(super) fn note(service: &Service, node: &Node, outcome: Outcome) {
    if let Some(rule) = &service.plan.eject
        && node.load.record.note(&rule.on, outcome)
    {
        service.state.feed.failed.store(true, Ordering::Relaxed);
    }
}

pub(super) fn count(metrics: &ServiceMetrics, event: Event, action: &Action) {
    match action {
        Action::Connect(attempt) => {
            match attempt.by {
                By::Policy => metrics.picked(),
                By::Fallback(fault) => metrics.fell_back(fault.label()),
            }
            if let Some(waited) = attempt.waited {
                metrics.queued(waited);
            }
        }
        Action::Answer(Reason::Fault(fault)) => metrics.fell_back(fault.label()),
        Action::Answer(Reason::OwnerDown | Reason::Policy { .. }) => metrics.picked(),
        Action::Answer(_) | Action::Wait { .. } | Action::PassOn => {}
    }
    if let (Event::Failed(failure), Action::Connect(_) | Action::Wait { .. }) = (event, action) {
        metrics.retried(match failure.class {
            FailureClass::Connect => "connect",
            FailureClass::Reset => "reset",
            FailureClass::Timeout => "timeout",
            FailureClass::Malformed => "malformed",
            FailureClass::Status(_) => "status",
        });
    }
}

/// What kind of failure an error of pingora's is. `late`: the node was silent for too long.
pub(super) fn class_of(error: &Error, late: bool) -> FailureClass {
    match error.etype() {
        _ if late => FailureClass::Timeout,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => FailureClass::Timeout,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error => FailureClass::Malformed,
        _ => FailureClass::Reset,
    }
}
