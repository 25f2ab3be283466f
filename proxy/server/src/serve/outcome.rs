//! How attempts are timed, counted and written down, whoever carries them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::Session;
use pointsman_config::plan::Timeouts;
use pointsman_core::cluster::node::Node;
use pointsman_core::cluster::record::Outcome;
use pointsman_core::exchange::{Action, Event, Exchange, FailureClass, Reason};
use pointsman_core::pick::picker::By;
use pointsman_core::retry;
use pointsman_lane::flaw::Flaw;

use super::answer;
use super::trip::Trip;
use crate::metrics::ServiceMetrics;
use crate::refusal::Why;
use crate::world::{Service, clock};

/// What an error of ours is called in pingora's words; never shown to a client.
pub(super) const REFUSED: ErrorType = ErrorType::Custom("refused");
pub(super) const TRY_ELSEWHERE: ErrorType = ErrorType::Custom("try elsewhere");

/// How long an attempt may take.
pub(super) fn timeouts(service: &Service, idempotent: bool, exchange: &Exchange) -> Timeouts {
    let all = service.plan.timeouts;
    // Nobody else may serve what goes to the owner of its key.
    if service.plan.retry.timeout.is_none() || exchange.owner_epoch().is_some() {
        return all;
    }
    let attempt = exchange.attempts();
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
                By::Owner => metrics.owner_took(),
                By::Primary => metrics.primary_took(),
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

/// What the client is told of an attempt that failed for good, where nobody else said so already. The error is how it is
/// counted where nobody is left to be told.
pub(super) fn blame<'r>(
    error: &Error,
    reason: Option<&'r Reason>,
    flaw: Option<Flaw>,
) -> Result<Why<'r>, &'static str> {
    Ok(match (reason, error.esource(), error.etype()) {
        (Some(reason), ..) => Why::Reason(reason),
        (None, _, _) if flaw == Some(Flaw::BodyTooLarge) => answer::flawed(Flaw::BodyTooLarge),
        (None, ErrorSource::Downstream, _) if let Some(flaw) = flaw => answer::flawed(flaw),
        // It does not read what it is sent.
        (None, ErrorSource::Downstream, ErrorType::WriteTimedout) => return Err("client-slow"),
        (None, ErrorSource::Downstream, ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed) => {
            return Err("client-gone");
        }
        (None, ErrorSource::Downstream, ErrorType::ReadTimedout) => Why::SlowClient,
        (None, ErrorSource::Downstream, _) => Why::BadRequest,
        (None, ErrorSource::Upstream, _) => Why::Reason(&Reason::Reset),
        (None, ..) => Why::Internal,
    })
}

/// Waits for what the last step said, but not beyond `until`. `Err`: the client has gone meanwhile. Whether it has can
/// only be seen where no body of its is still to be read.
pub(super) async fn wait(session: &mut Session, trip: &Trip, until: Duration) -> Result<()> {
    let watches = session.as_mut().is_body_empty();
    let time = until.saturating_sub(clock::now());
    tokio::select! {
        biased;
        // Too late is an answer too: the exchange sees it by its clock.
        _ = tokio::time::timeout(time, trip.wake()) => Ok(()),
        gone = session.as_mut().read_body_or_idle(true), if watches => match gone {
            Err(error) => Err(error.into_down()),
            Ok(_) => Error::err_down(ErrorType::ConnectionClosed),
        },
    }
}
