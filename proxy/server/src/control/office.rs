//! Primaries: elected after every batch of changes and at every tick, written down, and only then shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_core::cluster::primary::{Change, Election, Fall, Holder};
use pointsman_registry as registry;

use super::desk::Desk;
use super::service::Service;
use crate::world::control::{PrimaryReport, Vacancy};

/// What is known of a service's office beside the election itself.
#[derive(Debug, Default)]
pub(super) struct Office {
    /// As the registry kept it, until a configuration wants a primary.
    kept: Option<registry::Office>,
    /// When the primary was elected, in milliseconds since 1970.
    since_ms: u64,
    /// Why there is none since.
    fell: Option<(String, Fall)>,
}

/// What became of one service's office in a round.
struct Round {
    service: String,
    before: Election,
    changes: Vec<Change>,
}

impl Desk {
    /// Elects where there is somebody to elect, and shows readers of every service what has changed since the last time.
    pub(super) fn show(&mut self, now: Duration) {
        let changed = self.elect(now);
        self.services.values_mut().for_each(|service| service.publish(now));
        for (service, change) in changed {
            self.tell_of_primary(&service, &change);
        }
    }

    /// Everybody's elections, written with one sync. Where that fails nothing of it has happened: who may not be primary
    /// is shown to nobody all the same, and the next is elected once it can be written.
    fn elect(&mut self, now: Duration) -> Vec<(String, Change)> {
        if !self.storage.is_writable(now) {
            return Vec::new();
        }
        let mut rounds = Vec::new();
        for service in self.services.values_mut() {
            let before = service.roster.election().clone();
            let changes: Vec<Change> = std::iter::from_fn(|| service.roster.elect(now)).collect();
            if !changes.is_empty() {
                rounds.push(Round { service: service.name.to_string(), before, changes });
            }
        }
        if rounds.is_empty() {
            return Vec::new();
        }
        let wall = wall_ms();
        let all = || rounds.iter().flat_map(|round| round.changes.iter().map(|change| (round.service.clone(), change)));
        let written = all().filter_map(|(service, change)| record(service, change, wall)).collect();
        if self.storage.commit(written, now).is_err() {
            for Round { service, before, .. } in rounds {
                if let Some(service) = self.services.get_mut(&service) {
                    service.roster.put_back(before);
                }
            }
            return Vec::new();
        }
        for (service, change) in all() {
            if let Some(service) = self.services.get_mut(&service) {
                service.office.turn(change, wall);
            }
        }
        let named =
            |Round { service, changes, .. }| changes.into_iter().map(move |change| (String::clone(&service), change));
        rounds.into_iter().flat_map(named).collect()
    }

    fn tell_of_primary(&self, service: &str, change: &Change) {
        let (kind, holder, epoch, why, message) = match change {
            Change::Elected { holder, epoch, resumed: false } => {
                let message = format!("node `{}` is the primary, in epoch {epoch}", holder.id);
                ("primary-elected", holder, epoch, "elected", message)
            }
            Change::Elected { holder, epoch, resumed: true } => {
                let message = format!("node `{}` still is the primary, in epoch {epoch}", holder.id);
                ("primary-elected", holder, epoch, "resumed", message)
            }
            Change::Deposed { holder, epoch, why } => {
                let message = format!("node `{}` is no longer the primary: {}", holder.id, sentence(*why));
                ("primary-deposed", holder, epoch, word(*why), message)
            }
        };
        self.metrics.primaries().changed(service, why);
        self.bus.tell_of_primary(kind, service, &holder.id, (*epoch, why), message);
    }
}

impl Service {
    /// The office as the registry has it, which holds once a configuration wants a primary.
    pub(super) fn keep_office(&mut self, kept: &registry::Office) {
        self.office.kept = (kept.epoch > 0).then(|| kept.clone());
    }

    /// A configuration is in force that wants a primary, or none (`takeover_after`).
    pub(super) fn take_office(&mut self, takeover_after: Option<Duration>, now: Duration) {
        let Some(takeover_after) = takeover_after else { return };
        if let Some(registry::Office { epoch, primary, since_ms }) = self.office.kept.take() {
            self.office.since_ms = since_ms;
            self.roster.put_back(Election::restored(epoch, primary, takeover_after, now));
        }
    }

    /// Brings the office in line with what another process may have written.
    pub(super) fn agree_on_office(&mut self, kept: &registry::Office, now: Duration) {
        if self.office.kept.is_some() {
            // No configuration has wanted a primary here; one may have there.
            return self.keep_office(kept);
        }
        let election = self.roster.election();
        let ours = (election.epoch(), election.holder().map(|holder| holder.id.as_str()).or(election.expected()));
        if ours == (kept.epoch, kept.primary.as_deref()) {
            return;
        }
        self.keep_office(kept);
        self.take_office(self.plan.as_ref().and_then(|plan| plan.primary).map(|primary| primary.takeover_after), now);
    }

    /// The office as operators see it. `None`: the service elects none.
    pub(super) fn primary_report(&self, writable: bool) -> Option<PrimaryReport> {
        let rule = self.plan.as_ref()?.primary?;
        let (published, election) = (self.roster.published(), self.roster.election());
        let member = published.primary().and_then(|index| published.get(index));
        let node = member.map(|member| (member.node.spec.id.clone(), member.node.spec.address.to_string()));
        let vacancy = node.is_none().then(|| self.vacancy(election, rule.takeover_after, writable));
        let since_ms = node.is_some().then_some(self.office.since_ms);
        Some(PrimaryReport { node, epoch: published.epoch(), since_ms, vacancy })
    }

    fn vacancy(&self, election: &Election, takeover_after: Duration, writable: bool) -> Vacancy {
        let next = format!("the next is elected {takeover_after:?} after that, if a node is up");
        match (&self.office.fell, election.expected()) {
            _ if !writable => Vacancy {
                why: "unwritable",
                detail: "the registry cannot be written, and an epoch is not given before it is on disk".into(),
            },
            (_, Some(id)) => {
                let detail =
                    format!("node `{id}` was it when the proxy started, and has {takeover_after:?} to pass a check");
                Vacancy { why: "restart", detail }
            }
            (Some((id, why)), None) => {
                Vacancy { why: word(*why), detail: format!("node `{id}` was it: {}; {next}", sentence(*why)) }
            }
            (None, None) if election.epoch() > 0 => {
                Vacancy { why: "restart", detail: format!("the proxy started, and nobody was it; {next}") }
            }
            (None, None) => Vacancy { why: "first", detail: "no node is up yet".into() },
        }
    }
}

impl Office {
    fn turn(&mut self, change: &Change, wall_ms: u64) {
        match change {
            Change::Elected { resumed, .. } => {
                self.fell = None;
                if !resumed {
                    self.since_ms = wall_ms;
                }
            }
            Change::Deposed { holder: Holder { id, .. }, why, .. } => self.fell = Some((id.clone(), *why)),
        }
    }
}

/// What is written of a change; one who goes on stands there already.
fn record(service: String, change: &Change, wall_ms: u64) -> Option<registry::Change> {
    let (epoch, primary, since_ms) = match change {
        Change::Elected { resumed: true, .. } => return None,
        Change::Elected { holder, epoch, .. } => (*epoch, Some(holder.id.clone()), wall_ms),
        Change::Deposed { epoch, .. } => (*epoch, None, 0),
    };
    Some(registry::Change::Primary { service, office: registry::Office { epoch, primary, since_ms } })
}

/// In metrics and events.
fn word(why: Fall) -> &'static str {
    match why {
        Fall::Gone => "gone",
        Fall::Drained => "drained",
        Fall::Down => "down",
        Fall::Reborn => "reborn",
        Fall::Abolished => "abolished",
    }
}

fn sentence(why: Fall) -> &'static str {
    match why {
        Fall::Gone => "it left, or its lease lapsed",
        Fall::Drained => "it was drained",
        Fall::Down => "it failed its checks",
        Fall::Reborn => "it came back as another process, or at another address",
        Fall::Abolished => "the configuration wants none any more",
    }
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
