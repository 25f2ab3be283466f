//! A request's account: under whose names it is counted, and its line in the access log.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Carrier, Trip};
use crate::access_log::Line;
use crate::metrics::{NO_SERVICE, ServiceMetrics};
use crate::serve::entry::{Asked, Sent, decided, line, micros};

impl Trip {
    pub(super) fn metrics(&self) -> Option<&Arc<ServiceMetrics>> {
        match &self.carrier {
            Carrier::Nobody => None,
            Carrier::Service(service) => Some(&service.metrics),
            Carrier::Tunnel(books) => Some(&books.metrics),
        }
    }

    /// Closes the books: counts the request, gives back the node's in-flight count. `unrouted` counts what no route
    /// takes.
    pub(in crate::serve) fn close(&mut self, status: u16, unrouted: &ServiceMetrics) {
        self.note_answer();
        self.attempt = None;
        self.pass = None;
        let metrics = self.metrics().map_or(unrouted, |metrics| metrics);
        metrics.request(status, self.started.elapsed());
        if let Some(label) = self.refused {
            metrics.refused(label);
        }
    }

    /// The line of the access log.
    pub(in crate::serve) fn line<'a>(&'a self, asked: &Asked<'a>, sent: &Sent<'a>) -> Line<'a> {
        let (service, policy) = match &self.carrier {
            Carrier::Nobody => (NO_SERVICE, NO_SERVICE),
            Carrier::Service(service) => (&*service.state.name, service.plan.policy.name.as_str()),
            Carrier::Tunnel(books) => (&*books.service, books.policy.as_str()),
        };
        let took = self.started.elapsed();
        let (by, fault) = decided(self.last.as_ref().map(|(_, by)| *by), self.reason.as_ref());
        Line {
            request_id: self.id.to_str().unwrap_or_default(),
            service,
            node: self.last.as_ref().map(|(node, _)| node.spec.id.as_str()),
            policy,
            by,
            fault,
            attempts: self.exchange.attempts(),
            duration_us: micros(took),
            upstream_us: self.head_after.map(micros),
            refused: self.refused,
            ..line(SystemTime::now() - took, asked, sent)
        }
    }
}
