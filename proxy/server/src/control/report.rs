//! A service as operators see it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_core::cluster::membership::{Member, Standing};
use pointsman_core::cluster::node::Source;
use pointsman_core::cluster::roster::Entry;

use super::batch::label;
use super::service::Service;
use crate::world::control::{NodeReport, ServiceReport};

impl Service {
    /// `None`: the configuration does not name it.
    pub(super) fn report(&self, now: Duration, writable: bool) -> Option<ServiceReport> {
        let plan = self.plan.as_ref()?;
        let published = self.roster.published();
        Some(ServiceReport {
            name: self.name.to_string(),
            policy: plan.policy.name.clone(),
            version: published.version(),
            high_water: self.roster.high_water(),
            primary: self.primary_report(writable),
            nodes: published.members().iter().map(|member| self.node_report(member, now)).collect(),
        })
    }

    fn node_report(&self, member: &Member, now: Duration) -> NodeReport {
        let node = &member.node;
        let spec = &node.spec;
        let checking = member.standing == Standing::Down && self.awaits_check(&spec.id);
        let entry = self.roster.get(&spec.id);
        let failure = entry.and_then(|entry| entry.failure());
        let ejected = entry.and_then(Entry::ejected_until);
        let lease = self.leases.get(&spec.id).map(|lease| lease.until.saturating_sub(now));
        NodeReport {
            id: spec.id.clone(),
            ordinal: spec.ordinal,
            address: spec.address.to_string(),
            weight: spec.weight,
            zone: spec.zone.clone(),
            labels: spec.labels.clone(),
            source: match node.source {
                Source::Static => "static",
                Source::Joined => "joined",
            },
            standing: if checking { "checking" } else { label(member.standing) },
            reason: ejected.map(|_| "ejected"),
            ejected_ms: ejected.map(|until| millis(until.saturating_sub(now))),
            incarnation: node.incarnation.0,
            in_flight: node.load.in_flight(),
            queued: node.load.queued(),
            share: f64::from(member.share) / 1000.0,
            last_failure: failure.map(|failure| failure.reason.to_string()),
            last_failure_at_ms: failure.map(|failure| wall_ms(self.failed_at(&spec.id).unwrap_or(failure.at), now)),
            lease_ms: lease.map(millis),
            load: self.loads.get(&spec.id).cloned(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A moment of the monotonic clock in milliseconds since 1970, for people.
fn wall_ms(at: Duration, now: Duration) -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(wall.saturating_sub(now.saturating_sub(at)))
}
