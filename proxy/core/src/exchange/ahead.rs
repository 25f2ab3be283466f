//! What has to be known of a request before anybody is asked about it.

use std::time::Duration;

use pointsman_config::plan::{KeyRule, Learn};

use super::{Exchange, Scene};
use crate::facts::RequestFacts;
use crate::key::body::BodyReader;
use crate::pick::policy::KeyNeed;

impl<'a, F> Scene<'a, F> {
    /// The rule of the key, where the policy wants one.
    pub(super) fn key(&self) -> Option<&'a KeyRule> {
        self.key.filter(|_| self.picker.needs().key != KeyNeed::None)
    }

    /// Every rule that is asked about this request.
    fn rules(&self) -> impl Iterator<Item = &'a KeyRule> {
        let owners = self.owners.map(|owning| owning.plan);
        let find = owners.into_iter().flat_map(|owners| &owners.find);
        let learn = owners.into_iter().flat_map(|owners| &owners.learn).filter_map(Learn::of_request);
        self.key().into_iter().chain(find).chain(learn)
    }
}

impl Exchange {
    /// What reads the body for the rules that are asked; `None`: the head decides, and nothing of the body has to be looked
    /// at. Asked once, before [`super::Event::Start`]; from then on the facts of the scene answer what was read
    /// ([`crate::key::body::WithBody`]). A request over its rate has its body left unread.
    pub fn reader<F: RequestFacts>(&mut self, scene: &Scene<'_, F>, now: Duration) -> Option<BodyReader> {
        if scene.places.is_empty() || self.admit(scene, now).is_err() {
            return None;
        }
        BodyReader::wanted(scene.places, scene.rules(), scene.facts)
    }

    /// Counts the request against its rate, once. The error is after how long the next is granted.
    pub(super) fn admit<F: RequestFacts>(&mut self, scene: &Scene<'_, F>, now: Duration) -> Result<(), Duration> {
        *self.admitted.get_or_insert_with(|| scene.rate.map_or(Ok(()), |rate| rate.admit(scene.facts, now)))
    }
}
