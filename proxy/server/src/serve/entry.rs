//! A request as the access log writes it.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use pingora_proxy::Session;
use pointsman_core::exchange::Reason;
use pointsman_core::origin::Origin;
use pointsman_core::pick::picker::By;
use pointsman_core::pick::policy::Fault;

use super::guard;
use crate::access_log::Line;
use crate::metrics::NO_SERVICE;

/// A line that so far only says what was asked and sent.
pub(super) fn line<'a>(time: SystemTime, asked: &Asked<'a>, sent: &Sent<'a>) -> Line<'a> {
    Line {
        time,
        request_id: "",
        client: asked.client,
        subject: asked.subject,
        method: asked.method,
        path: asked.path,
        status: sent.status,
        service: NO_SERVICE,
        node: None,
        policy: NO_SERVICE,
        by: None,
        fault: None,
        attempts: 0,
        duration_us: 0,
        upstream_us: None,
        bytes: sent.bytes,
        refused: None,
        error: sent.error,
    }
}

/// Who picked the last node, and the policy's fault where there was one, as the log names them.
pub(super) fn decided(by: Option<By>, reason: Option<&Reason>) -> (Option<&'static str>, Option<&'static str>) {
    let fault = match (by, reason) {
        (Some(By::Fallback(fault)), _) => Some(fault),
        (_, Some(Reason::Fault(fault))) => Some(*fault),
        _ => None,
    };
    let by = by.map(|by| match by {
        By::Policy => "policy",
        By::Owner => "owner",
        By::Primary => "primary",
        By::Fallback(_) => "fallback",
    });
    (by, fault.map(Fault::label))
}

/// What the client asked, for the log.
pub(super) struct Asked<'a> {
    pub(super) client: Option<IpAddr>,
    pub(super) subject: Option<&'a str>,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
}

impl<'a> Asked<'a> {
    /// What pingora has read.
    pub(super) fn of(session: &'a Session, origin: Option<Origin>) -> Self {
        let request = session.req_header();
        let (method, path) =
            if guard::is_headless(session) { ("-", "-") } else { (request.method.as_str(), request.uri.path()) };
        Self { client: origin.and_then(|origin| origin.client), subject: guard::subject(session), method, path }
    }
}

/// What the client was sent, for the log.
pub(super) struct Sent<'a> {
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) error: Option<&'a str>,
}

pub(super) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
