//! What may be tried again.

use std::time::Duration;

use pointsman_config::plan::{Retry, RetryOn};

mod budget;

pub use budget::RetryBudget;

/// How an attempt failed before a response byte went to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// No connection was made: nothing was sent.
    Connect,
    /// The connection ended before a response byte.
    Reset,
    /// No response head in time.
    Timeout,
    /// The node's answer was malformed.
    Malformed,
    /// A response with this status arrived; it has not gone to the client yet.
    Status(u16),
}

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub class: FailureClass,
    /// Whether any byte of the request may have reached the node.
    pub sent: bool,
    /// Whether the request's body, as far as it was read, can be sent again.
    pub replayable: bool,
}

/// Whether a request whose attempt failed may be sent to another node. `attempts` were made so far.
///
/// - The rule names the class and leaves attempts.
/// - A method that is not idempotent is sent again only if provably no byte of it reached the node (RFC 9110 §9.2.2).
/// - What was sent and failed counts against the budget; a connection that was never made does not, since it cost the
///   node nothing.
pub fn may(
    rule: &Retry,
    budget: &RetryBudget,
    failure: Failure,
    idempotent: bool,
    attempts: u32,
    now: Duration,
) -> bool {
    attempts < rule.attempts
        && named(&rule.on, failure.class)
        && failure.replayable
        && (idempotent || !failure.sent)
        && (!failure.sent || rule.budget.is_none_or(|ratio| budget.take(ratio, now)))
}

/// How long an attempt may take, `longest` at most: cut short only where another may follow it, so that a client whose
/// request cannot be tried again loses nothing. `attempt` counts from 1; `others`: there is a node that was not tried.
pub fn patience(rule: &Retry, idempotent: bool, attempt: u32, others: bool, longest: Duration) -> Duration {
    match rule.timeout {
        Some(timeout) if idempotent && others && attempt < rule.attempts && rule.on.contains(&RetryOn::Timeout) => {
            timeout.min(longest)
        }
        _ => longest,
    }
}

/// Whether a list of classes names a failure. Whoever is told that the connection broke off wants to know of an answer
/// that is none, too: `reset` names both.
pub(crate) fn named(classes: &[RetryOn], class: FailureClass) -> bool {
    let class = match class {
        FailureClass::Connect => RetryOn::Connect,
        FailureClass::Reset | FailureClass::Malformed => RetryOn::Reset,
        FailureClass::Timeout => RetryOn::Timeout,
        FailureClass::Status(status) => RetryOn::Status(status),
    };
    classes.contains(&class)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn rule(on: &[RetryOn]) -> Retry {
        Retry { attempts: 2, on: on.to_vec(), budget: None, timeout: None }
    }

    fn failure(class: FailureClass, sent: bool) -> Failure {
        Failure { class, sent, replayable: true }
    }

    fn allowed(rule: &Retry, failure: Failure, idempotent: bool, attempts: u32) -> bool {
        may(rule, &RetryBudget::new(), failure, idempotent, attempts, NOW)
    }

    #[test]
    fn a_failed_connection_is_tried_again_whatever_the_method() {
        let rule = rule(&[RetryOn::Connect]);
        assert!(allowed(&rule, failure(FailureClass::Connect, false), false, 1));
        assert!(allowed(&rule, failure(FailureClass::Connect, false), true, 1));
    }

    #[test]
    fn what_was_sent_is_tried_again_only_if_idempotent() {
        let rule = rule(&[RetryOn::Reset, RetryOn::Timeout, RetryOn::Status(503)]);
        for class in [FailureClass::Reset, FailureClass::Malformed, FailureClass::Timeout, FailureClass::Status(503)] {
            assert!(allowed(&rule, failure(class, true), true, 1), "{class:?}");
            assert!(!allowed(&rule, failure(class, true), false, 1), "{class:?}");
            assert!(allowed(&rule, failure(class, false), false, 1), "{class:?}");
        }
    }

    #[test]
    fn a_class_that_is_not_named_is_not_tried_again() {
        let rule = rule(&[RetryOn::Connect, RetryOn::Status(503)]);
        for class in [FailureClass::Reset, FailureClass::Timeout, FailureClass::Status(502), FailureClass::Malformed] {
            assert!(!allowed(&rule, failure(class, false), true, 1), "{class:?}");
        }
    }

    #[test]
    fn attempts_run_out() {
        let rule = rule(&[RetryOn::Connect]);
        assert!(!allowed(&rule, failure(FailureClass::Connect, false), true, 2));
    }

    #[test]
    fn a_body_that_is_gone_cannot_be_sent_again() {
        let gone = Failure { replayable: false, ..failure(FailureClass::Reset, true) };
        assert!(!allowed(&rule(&[RetryOn::Reset]), gone, true, 1));
    }

    #[test]
    fn an_attempt_is_cut_short_only_where_another_may_follow() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(30));
        let hasty = Retry { timeout: Some(short), ..rule(&[RetryOn::Timeout]) };
        assert_eq!(patience(&hasty, true, 1, true, long), short);
        assert_eq!(patience(&hasty, true, 1, true, Duration::from_millis(5)), Duration::from_millis(5));
        assert_eq!(patience(&hasty, true, 2, true, long), long, "the last attempt");
        assert_eq!(patience(&hasty, false, 1, true, long), long, "not idempotent");
        assert_eq!(patience(&hasty, true, 1, false, long), long, "no other node");
        let deaf = Retry { on: vec![RetryOn::Reset], ..hasty };
        assert_eq!(patience(&deaf, true, 1, true, long), long, "not tried again after a timeout");
    }

    #[test]
    fn only_what_was_sent_counts_against_the_budget() {
        let rule = Retry { budget: Some(0.0), ..rule(&[RetryOn::Connect, RetryOn::Reset]) };
        let budget = RetryBudget::new();
        let sent =
            |n: usize| (0..n).filter(|_| may(&rule, &budget, failure(FailureClass::Reset, true), true, 1, NOW)).count();
        for _ in 0..500 {
            assert!(may(&rule, &budget, failure(FailureClass::Connect, false), true, 1, NOW));
        }
        // 10 a second over a window of 10 s, whatever the ratio.
        assert_eq!(sent(500), 100);
    }
}
