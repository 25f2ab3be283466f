//! What the guard and the gateway tell each other of one connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use pointsman_config::plan::ClientLimits;
use pointsman_lane::flaw::Flaw;

use super::window::Window;
use crate::serve::frames::Cause;

/// What the guard and the gateway tell each other of one connection.
#[derive(Debug, Default)]
pub(in crate::serve) struct Ledger {
    /// The subject of the client's certificate.
    pub(super) subject: Option<Arc<str>>,
    pub(super) limits: ClientLimits,
    /// Whether no HTTP/1 is spoken, so that nobody has judged the messages before pingora.
    pub(super) open: bool,
    pub(super) flaw: OnceLock<Flaw>,
    /// Whether the flaw is in a head, so that what pingora reads is no client's words.
    pub(super) headless: AtomicBool,
    /// Requests that the gateway is done with.
    pub(super) finished: AtomicU64,
    /// Where the gateway looks at a body that pingora has not read yet.
    pub(super) window: Window,
    /// Why a connection of HTTP/2 ends.
    pub(super) ended: OnceLock<Cause>,
}

impl Ledger {
    /// As pingora carries it from the connection to the gateway.
    pub(in crate::serve) fn digest(self: &Arc<Self>) -> Option<Arc<ProxyDigest>> {
        let unused = ResponseHeader::build(200, Some(0)).ok()?;
        Some(Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(Arc::clone(self))))))
    }

    /// Why the connection is to end, or has ended.
    pub(in crate::serve) fn ended(&self) -> Option<Cause> {
        self.ended.get().copied()
    }

    /// The connection is to end. The first cause counts.
    pub(in crate::serve) fn end(&self, cause: Cause) {
        let _ = self.ended.set(cause);
    }

    pub(super) fn of(session: &Session) -> Option<&Arc<Self>> {
        session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }
}

/// The subject of the client's certificate.
pub(in crate::serve) fn subject(session: &Session) -> Option<&str> {
    Ledger::of(session)?.subject.as_deref()
}

/// What is wrong with the request that is being read.
pub(in crate::serve) fn flaw(session: &Session) -> Option<Flaw> {
    Ledger::of(session)?.flaw.get().copied()
}

/// Whether it has no head that could be told of.
pub(in crate::serve) fn is_headless(session: &Session) -> bool {
    Ledger::of(session).is_some_and(|ledger| ledger.headless.load(Ordering::Relaxed))
}

/// Whether a body of so many bytes may come.
pub(in crate::serve) fn has_room(session: &Session, bytes: u64) -> bool {
    Ledger::of(session).and_then(|ledger| ledger.limits.body).is_none_or(|most| bytes <= most)
}

/// What a client is granted.
pub(in crate::serve) fn granted(session: &Session) -> ClientLimits {
    Ledger::of(session).map(|ledger| ledger.limits).unwrap_or_default()
}

/// What a client of HTTP/2 is granted.
pub(in crate::serve) fn over_http2(session: &Session) -> Option<&ClientLimits> {
    Ledger::of(session).filter(|ledger| ledger.open).map(|ledger| &ledger.limits)
}

/// The gateway is done with a request: the next may be read.
pub(in crate::serve) fn finished(session: &Session) {
    if let Some(ledger) = Ledger::of(session) {
        ledger.finished.fetch_add(1, Ordering::Relaxed);
    }
}
