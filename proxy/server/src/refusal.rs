//! The one door that speaks to clients when no node does: turns a [`Reason`] into a status, a metric label and a
//! problem document (RFC 9457) that says what to do next.

use pointsman_core::exchange::Reason;
use pointsman_core::key::Trouble;
use serde::Serialize;

/// Why the proxy answers by itself.
#[derive(Debug, Clone, Copy)]
pub enum Why<'a> {
    /// No node served it, for this reason.
    Reason(&'a Reason),
    /// The request is malformed.
    BadRequest,
    /// The request breaks a rule of HTTP or a limit.
    Flaw {
        /// 400 to 599.
        status: u16,
        /// What is wrong and what would be right.
        sentence: &'static str,
    },
    /// The client stopped sending its request.
    SlowClient,
    /// The proxy itself went wrong.
    Internal,
}

/// An answer of the proxy itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Metric label, one of `metrics`' fixed list.
    pub label: &'static str,
    /// Seconds for `Retry-After` (RFC 9110 §10.2.3), with 503, and with 429 of a rate.
    pub retry_after: Option<u32>,
    /// Methods for `Allow` (RFC 9110 §10.2.1), with 405.
    pub allow: Option<&'static str>,
    /// The problem document.
    pub body: String,
}

/// Media type of the body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Seconds after which a client should try again. Health checks and leases bring a node back within about this time.
const RETRY_AFTER: u32 = 1;

/// What a service may be asked with; CONNECT is the one method that never reaches a route.
const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    reason: &'static str,
    detail: String,
    next: &'a str,
    request_id: &'a str,
}

/// What is said for a cause: status, label, what went wrong, what to do next.
struct Text {
    status: u16,
    label: &'static str,
    detail: String,
    next: &'static str,
}

fn text(status: u16, label: &'static str, detail: impl Into<String>, next: &'static str) -> Text {
    Text { status, label, detail: detail.into(), next }
}

const LATER: &str = "try again in a moment; if it persists, tell the operator the request id";
const REPEAT_IF_SAFE: &str = "the request may have reached a node: repeat it only if doing it twice does no harm";

/// What breaks a limit is told apart from what breaks a rule.
fn flaw_label(status: u16) -> &'static str {
    match status {
        408 => "client-slow",
        413 => "body-too-large",
        414 | 431 => "head-too-large",
        503 => "memory",
        _ => "bad-request",
    }
}

/// The proxy's own trouble passes; the request's does not.
fn flaw_next(status: u16) -> &'static str {
    if status == 503 { LATER } else { "correct the request" }
}

fn explain(why: Why<'_>) -> Text {
    let reason = match why {
        Why::Reason(reason) => reason,
        Why::BadRequest => return text(400, "bad-request", "the request is malformed", "correct the request"),
        Why::Flaw { status, sentence } => return text(status, flaw_label(status), sentence, flaw_next(status)),
        Why::SlowClient => {
            return text(408, "client-slow", "the request's body did not come in time", "send the request again");
        }
        Why::Internal => return text(500, "internal", "the proxy could not handle the request", LATER),
    };
    match reason {
        Reason::NoRoute => text(404, "no-route", "no route matches this host, path and method", "check the address"),
        Reason::NotPrimary => text(
            409,
            "not-primary",
            "only the primary may send this, with its epoch in `pointsman-epoch`, and that is not the present one",
            "ask who the primary is; who was deposed must not act as it",
        ),
        Reason::Barrier => {
            text(503, "barrier", "requests that came before did not end in time, so nothing was sent", LATER)
        }
        Reason::Key(trouble) => key(*trouble),
        Reason::NoNode => text(503, "no-node", "no node of the service may take requests now", LATER),
        Reason::OwnerDown => {
            text(503, "owner-down", "the node that this key belongs to is down, and no other may serve it", LATER)
        }
        Reason::OwnerUnknown => {
            text(503, "owner-unknown", "no node is known that this key belongs to, and no other may serve it", LATER)
        }
        Reason::OwnerGone => {
            text(503, "owner-gone", "the node that this key belongs to is not there, and no other may serve it", LATER)
        }
        Reason::Policy { status, reason } => text(
            *status,
            "policy",
            reason,
            "change the request as the detail says, or ask the operator about the policy",
        ),
        Reason::Fault(fault) => {
            text(503, "policy-fault", format!("the routing policy failed ({})", fault.label()), LATER)
        }
        Reason::Parked => text(503, "parked", "no node that this key may go to came in time", LATER),
        Reason::RateLimited { .. } => text(
            429,
            "rate-limited",
            "more requests came than are granted",
            "send the next after `Retry-After` seconds",
        ),
        Reason::QueueFull => {
            text(503, "queue-full", "the node is at its limit, and as many requests wait for it as may", LATER)
        }
        Reason::QueueTimeout => {
            text(503, "queue-timeout", "the node is at its limit, and no place became free in time", LATER)
        }
        Reason::Connect => text(502, "connect", "no connection to a node could be made", LATER),
        Reason::Reset => text(502, "reset", "the node ended the connection before it answered", REPEAT_IF_SAFE),
        Reason::Timeout => text(504, "timeout", "the node did not answer in time", REPEAT_IF_SAFE),
        Reason::Malformed => text(502, "malformed", "the node's answer was malformed", REPEAT_IF_SAFE),
    }
}

fn key(trouble: Trouble) -> Text {
    let next = "send the value that requests to this service are routed by once, as its operator describes it";
    match trouble {
        Trouble::Missing => text(400, "key-missing", "the request lacks the value that it is routed by", next),
        Trouble::Malformed => {
            text(400, "key-malformed", "the value that the request is routed by cannot be read", next)
        }
        Trouble::Ambiguous => {
            text(400, "key-ambiguous", "the value that the request is routed by stands there more than once", next)
        }
        Trouble::TooLarge => {
            text(413, "key-too-large", "the body is longer than is read for the value that it is routed by", next)
        }
    }
}

/// The metric label alone.
pub fn label(why: Why<'_>) -> &'static str {
    explain(why).label
}

/// What the client is told. `request_id` is repeated so that an operator finds the request in the access log.
pub fn refuse(why: Why<'_>, request_id: &str) -> Refusal {
    let Text { status, label, detail, next } = explain(why);
    let title = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let problem = Problem {
        r#type: format!("urn:pointsman:problem:{label}"),
        title,
        status,
        reason: label,
        detail,
        next,
        request_id,
    };
    let mut body = serde_json::to_string(&problem).unwrap_or_default();
    body.push('\n');
    let retry_after = match why {
        Why::Reason(Reason::RateLimited { retry_after }) => Some(*retry_after),
        _ => (status == 503).then_some(RETRY_AFTER),
    };
    let allow = (status == 405).then_some(ALLOW);
    Refusal { status, label, retry_after, allow, body }
}

#[cfg(test)]
mod tests {
    use pointsman_core::pick::policy::Fault;

    use super::*;

    fn all() -> Vec<Reason> {
        let policy = Reason::Policy { status: 429, reason: "too many orders".into() };
        let faults = Fault::ALL.into_iter().map(Reason::Fault);
        let keys = Trouble::ALL.into_iter().map(Reason::Key);
        [
            Reason::NoRoute,
            Reason::NotPrimary,
            Reason::Barrier,
            Reason::NoNode,
            Reason::OwnerDown,
            Reason::OwnerUnknown,
            Reason::OwnerGone,
            policy,
            Reason::Parked,
            Reason::RateLimited { retry_after: 3 },
            Reason::QueueFull,
            Reason::QueueTimeout,
            Reason::Connect,
            Reason::Reset,
            Reason::Timeout,
            Reason::Malformed,
        ]
        .into_iter()
        .chain(faults)
        .chain(keys)
        .collect()
    }

    #[test]
    fn every_reason_is_an_error_with_a_label_that_metrics_know() {
        let metrics = crate::metrics::Metrics::new();
        metrics.service("s", "p");
        let text = metrics.render();
        let whys: Vec<_> = all();
        for why in whys.iter().map(Why::Reason).chain([Why::BadRequest, Why::SlowClient, Why::Internal]) {
            let refusal = refuse(why, "id");
            assert!((400..600).contains(&refusal.status), "{why:?}");
            assert!(text.contains(&format!("reason=\"{}\"", refusal.label)), "{} is not counted", refusal.label);
        }
    }

    #[test]
    fn a_client_is_told_when_to_try_again_only_if_that_helps() {
        for reason in all() {
            let refusal = refuse(Why::Reason(&reason), "id");
            let limited = matches!(reason, Reason::RateLimited { .. });
            assert_eq!(refusal.retry_after.is_some(), refusal.status == 503 || limited, "{reason:?}");
        }
    }

    #[test]
    fn the_document_is_rfc_9457() {
        let reason = Reason::Policy { status: 429, reason: "too \"many\" orders".into() };
        let refusal = refuse(Why::Reason(&reason), "abc");
        let body: serde_json::Value = serde_json::from_str(&refusal.body).expect("JSON");
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:pointsman:problem:policy",
                "title": "Too Many Requests",
                "status": 429,
                "reason": "policy",
                "detail": "too \"many\" orders",
                "next": "change the request as the detail says, or ask the operator about the policy",
                "request_id": "abc",
            })
        );
    }
}
