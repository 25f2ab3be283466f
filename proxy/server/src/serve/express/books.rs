//! Under which names a request of the lane is counted, and its line in the access log.

use std::time::{Duration, SystemTime};

use pointsman_core::facts::RequestFacts;
use pointsman_lane::traffic::{Ending, Facts, Receipt};

use super::Errand;
use crate::metrics::{NO_SERVICE, ServiceMetrics};
use crate::serve::entry::{Asked, Sent, decided, line, micros};

impl Errand {
    pub(super) fn metrics(&self) -> &ServiceMetrics {
        match (&self.service, &self.tunnel) {
            (Some(service), _) => &service.metrics,
            (None, Some(tunnel)) => &tunnel.books.metrics,
            (None, None) => &self.worker.unrouted,
        }
    }

    /// Names of service and policy.
    fn names(&self) -> (&str, &str) {
        match (&self.service, &self.tunnel) {
            (Some(service), _) => (&service.state.name, &service.plan.policy.name),
            (None, Some(tunnel)) => (&tunnel.books.service, &tunnel.books.policy),
            (None, None) => (NO_SERVICE, NO_SERVICE),
        }
    }

    pub(super) fn write_line(
        &self,
        facts: &Facts<'_>,
        receipt: &Receipt,
        took: Duration,
        upstream: Option<Duration>,
        refused: Option<&'static str>,
    ) {
        let client = self.origin.client;
        let asked = Asked { client, subject: facts.subject(), method: facts.method(), path: facts.path() };
        let cut = matches!(receipt.ending, Ending::ClientGone | Ending::CutOff | Ending::Rejected);
        let error = cut.then(|| receipt.ending.label());
        let sent = Sent { status: receipt.status, bytes: receipt.response_bytes, error };
        let id = self.id.read(facts);
        let (by, fault) = decided(self.last.as_ref().map(|(_, by)| *by), self.reason.as_ref());
        let (service, policy) = self.names();
        self.worker.shared.log.write(&crate::access_log::Line {
            request_id: id.as_ref(),
            service,
            node: self.last.as_ref().map(|(node, _)| node.spec.id.as_str()),
            policy,
            by,
            fault,
            attempts: self.exchange.attempts(),
            duration_us: micros(took),
            upstream_us: upstream.map(micros),
            refused,
            ..line(SystemTime::now() - took, &asked, &sent)
        });
    }
}
