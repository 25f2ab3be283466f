//! What a request waits for, and how a wait ends.

use std::time::Duration;

use super::{Action, Attempt, Exchange, LONGEST_PARK, Scene};
use crate::cluster::load::{InFlight, Permit};
use crate::facts::RequestFacts;
use crate::owners::Waiting;
use crate::pick::reason::Reason;
use crate::retry::FailureClass;

/// What ends a wait before its time is over.
#[derive(Debug)]
pub enum WaitsFor<'a> {
    /// A membership that is newer than this version, or, where that is said, one of the request's keys to change hands.
    Change(u64, Option<&'a Waiting>),
    /// A permit of the node that was picked ([`InFlight::poll`]).
    Permit(&'a InFlight),
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Wait {
    /// A membership newer than this, or a key that changes hands.
    Change(u64, Option<Box<Waiting>>),
    /// A permit for this attempt, since then.
    Permit(Box<Attempt>, Duration),
}

impl Exchange {
    /// What ends the wait that the last step asked for, if it asked for one.
    pub fn waits_for(&self) -> Option<WaitsFor<'_>> {
        self.waits.as_ref().map(|wait| match wait {
            Wait::Change(version, keys) => WaitsFor::Change(*version, keys.as_deref()),
            Wait::Permit(attempt, _) => WaitsFor::Permit(&attempt.in_flight),
        })
    }

    pub(super) fn wake<F: RequestFacts>(&mut self, scene: &Scene<'_, F>, now: Duration) -> Action {
        match self.waits.take() {
            Some(Wait::Change(version, keys))
                if scene.members.load().version() == version && keys.as_ref().is_none_or(|keys| !keys.is_over()) =>
            {
                self.wait(Wait::Change(version, keys), self.park_until, Reason::Parked, now)
            }
            Some(Wait::Permit(attempt, since)) => match attempt.in_flight.permit() {
                Permit::Held if !self.still_right(scene, now) => {
                    drop(attempt);
                    self.ask(scene, now)
                }
                Permit::Held => self.connect(Attempt { waited: Some(now.saturating_sub(since)), ..*attempt }),
                Permit::Waits => self.wait(Wait::Permit(attempt, since), self.queue_until, Reason::QueueTimeout, now),
                Permit::Away => {
                    drop(attempt);
                    self.withdraw(scene);
                    self.ask(scene, now)
                }
            },
            _ => self.ask(scene, now),
        }
    }

    pub(super) fn wait(&mut self, wait: Wait, until: Option<Duration>, too_late: Reason, now: Duration) -> Action {
        match until {
            Some(until) if now < until => {
                self.waits = Some(wait);
                Action::Wait { until }
            }
            _ => self.give_up(too_late),
        }
    }

    /// `keys`: ends the wait, too.
    pub(super) fn park(&mut self, version: u64, milliseconds: u32, keys: Option<Waiting>, now: Duration) -> Action {
        // A response is there already: passing it on serves the client better than waiting for another.
        if matches!(self.failure, Some(FailureClass::Status(_))) {
            return Action::PassOn;
        }
        let wanted = now + Duration::from_millis(milliseconds.into()).min(LONGEST_PARK);
        let until = *self.park_until.get_or_insert(wanted);
        self.wait(Wait::Change(version, keys.map(Box::new)), Some(until), Reason::Parked, now)
    }
}
