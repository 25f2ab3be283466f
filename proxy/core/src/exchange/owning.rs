//! Where a service keeps owners, whoever owns the request's key is asked for before the policy is.
//!
//! The membership is loaded after the owner was looked up, and not before: whoever claimed the key had seen the membership
//! in which the owner stands, and so does whoever finds the claim. Otherwise a node that has just joined would look gone.

use std::sync::Arc;
use std::time::Duration;

use pointsman_config::plan::{KeyRule, Learn, OnGone, Owners};
use smallvec::SmallVec;

use super::{Action, Exchange, Scene, open};
use crate::cluster::membership::{Member, Membership};
use crate::facts::RequestFacts;
use crate::key::{self, Key, Reading, Trouble};
use crate::owners::decide::{Course, Rules};
use crate::owners::{Claim, LONGEST_KEY, Owner, OwnerTable};
use crate::pick::picker::{By, Decision};
use crate::pick::policy::Fault;
use crate::pick::reason::Reason;

/// What a service that keeps owners adds to a scene.
#[derive(Debug, Clone, Copy)]
pub struct Owning<'a> {
    /// Who owns what.
    pub table: &'a Arc<OwnerTable>,
    /// What is looked up, what is learnt, and what becomes of a request whose owner is not there.
    pub plan: &'a Owners,
}

/// How often a request follows who was faster to claim or move its key. Each time that is somebody else, so more than a few
/// are a sign of something that never settles.
const RACES: u32 = 8;

/// Keys that a request has made somebody's, for an attempt that is to follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed {
    owner: Owner,
    /// Which of the keys that it brings: a bit each.
    keys: u64,
}

type Keys<'f> = SmallVec<[Key<'f>; 4]>;

/// What was looked up.
struct Look<'f> {
    /// The keys that were read, in the order of the rules; where an owner was found, up to the one that has it.
    keys: Keys<'f>,
    found: Option<Owner>,
}

impl Look<'_> {
    /// The key that has an owner.
    fn owned(&self) -> Option<(&str, Owner)> {
        self.found.and_then(|owner| self.keys.last().map(|key| (&**key, owner)))
    }

    /// Each key with the owner that was seen.
    fn seen(&self) -> impl Iterator<Item = (&str, Option<Owner>)> {
        let last = self.keys.len().saturating_sub(1);
        self.keys.iter().enumerate().map(move |(at, key)| (&**key, self.found.filter(|_| at == last)))
    }
}

/// What became of the keys that a request brings.
enum Learnt {
    /// They are known, as this owner's where the request has a key that is looked up and learnt; with those that were
    /// nobody's before.
    Known(Option<Owner>, Option<Claimed>),
    /// Somebody was faster: it is theirs.
    Theirs,
    /// There was no room.
    Never,
}

/// What a policy has against an owner's being asked.
enum Objection {
    Refused(Action),
    /// For so many milliseconds.
    Waits(u32),
}

impl Owning<'_> {
    fn look(self, facts: &impl RequestFacts, now: Duration) -> Result<Look<'_>, Trouble> {
        let mut look = Look { keys: Keys::new(), found: None };
        for rule in &self.plan.find {
            let Some(key) = read(rule, facts)? else { continue };
            look.found = self.table.find(&key, now);
            look.keys.push(key);
            if look.found.is_some() {
                break;
            }
        }
        Ok(look)
    }

    /// Keys that are learnt from the request.
    fn brought(self, facts: &impl RequestFacts) -> Result<Keys<'_>, Trouble> {
        let rules = self.plan.learn.iter().filter_map(Learn::of_request);
        rules.filter_map(|rule| read(rule, facts).transpose()).collect()
    }

    /// The request goes to a node because a key of it is this owner's: the others that it brings are, too.
    fn share(self, known: &str, owner: Owner, brought: &Keys<'_>, now: Duration) -> Result<(), Reason> {
        let mut others = brought.iter().filter(|key| ***key != *known);
        let refused = others.any(|key| self.table.share(key, owner, now) == Claim::Refused);
        if refused { Err(Reason::OwnerUnknown) } else { Ok(()) }
    }

    /// The request goes to this member, which `index` is in `members`, because no owner that is there was found.
    fn claim(
        self,
        look: &Look<'_>,
        brought: &Keys<'_>,
        (members, index, member): (&Membership, u32, &Member),
        now: Duration,
    ) -> Learnt {
        let (id, life) = (member.node.spec.id.as_str(), member.node.incarnation);
        let is_member = |owner: Owner| Rules::from(self.plan).index_in(self.table, owner, members) == Some(index);
        if let Some((key, gone)) = look.owned() {
            let owner = match self.table.take_over(key, gone, id, life, now) {
                Claim::New(owner) => owner,
                Claim::Held(owner) if is_member(owner) => owner,
                Claim::Held(_) => return Learnt::Theirs,
                Claim::Refused => return Learnt::Never,
            };
            for other in brought.iter().filter(|other| ***other != *key) {
                match self.table.share(other, owner, now) {
                    // What a request brings stays together.
                    Claim::Held(held) if held.life == gone.life => {
                        self.table.take_over(other, held, id, life, now);
                    }
                    Claim::Refused => return Learnt::Never,
                    Claim::Held(_) | Claim::New(_) => {}
                }
            }
            return Learnt::Known(Some(owner), None);
        }
        // First what is looked up first: whose that is decides for everybody who brings it, so whoever was faster with it is
        // followed before anything else is claimed.
        let first = look.keys.iter().filter(|key| brought.contains(key));
        let then = brought.iter().filter(|key| !look.keys.contains(key));
        let (mut ours, mut claimed) = (None, None::<Claimed>);
        for (key, decides) in first.map(|key| (key, true)).chain(then.map(|key| (key, false))) {
            match self.table.claim(key, id, life, now) {
                Claim::New(owner) => {
                    ours = ours.or(decides.then_some(owner));
                    let at = brought.iter().position(|known| known == key).and_then(|at| u32::try_from(at).ok());
                    let key = at.and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0);
                    claimed = Some(Claimed { owner, keys: claimed.map_or(0, |claimed| claimed.keys) | key });
                }
                Claim::Held(owner) if decides && is_member(owner) => ours = ours.or(Some(owner)),
                Claim::Held(_) if decides && ours.is_none() => return Learnt::Theirs,
                Claim::Refused => return Learnt::Never,
                Claim::Held(_) => {}
            }
        }
        Learnt::Known(ours, claimed)
    }
}

impl Exchange {
    pub(super) fn ask_owner<F: RequestFacts>(
        &mut self,
        scene: &Scene<'_, F>,
        owning: Owning<'_>,
        now: Duration,
    ) -> Action {
        for _ in 0..RACES {
            self.owner = None;
            let read = owning.look(scene.facts, now).and_then(|look| Ok((look, owning.brought(scene.facts)?)));
            let (look, brought) = match read {
                Ok(read) => read,
                Err(trouble) => return self.give_up(Reason::Key(trouble)),
            };
            let members = scene.members.load();
            if let Some(action) = self.follow(scene, owning, &members, (&look, &brought), now) {
                return action;
            }
        }
        self.give_up(Reason::OwnerUnknown)
    }

    /// `None`: somebody has changed the owner meanwhile.
    fn follow<F: RequestFacts>(
        &mut self,
        scene: &Scene<'_, F>,
        owning: Owning<'_>,
        members: &Arc<Membership>,
        (look, brought): (&Look<'_>, &Keys<'_>),
        now: Duration,
    ) -> Option<Action> {
        let open = open(scene, members);
        if !open && look.found.is_none() {
            return Some(self.give_up(Reason::NoNode));
        }
        // Without any key its rule has said that the policy decides.
        let course = if look.keys.is_empty() {
            Course::Policy
        } else {
            Rules::from(owning.plan).course(owning.table, look.found, members, open)
        };
        let (index, by) = match course {
            Course::Unknown => return Some(self.give_up(Reason::OwnerUnknown)),
            Course::Gone => return Some(self.give_up(Reason::OwnerGone)),
            Course::Park => return self.await_owner(owning, look, members, now),
            Course::Policy if !open => return Some(self.give_up(Reason::NoNode)),
            Course::Policy => match self.question(scene, members, None, now) {
                Decision::Node { index, by, .. } => (index, by),
                Decision::Park(milliseconds) => {
                    let keys = owning.table.wait(look.seen(), now)?;
                    return Some(self.park(members.version(), milliseconds, Some(keys), now));
                }
                Decision::Refuse(reason) => return Some(self.give_up(reason)),
            },
            Course::Owner(index) | Course::Primary(index) if self.was_tried(members, index) => {
                return self.stuck(owning, look, members, now);
            }
            Course::Owner(index) => match self.agree(scene, members, index, now) {
                Ok(by) => (index, by),
                Err(Objection::Refused(action)) => return Some(action),
                Err(Objection::Waits(milliseconds)) => {
                    let keys = owning.table.wait(look.seen(), now)?;
                    return Some(self.park(members.version(), milliseconds, Some(keys), now));
                }
            },
            Course::Primary(index) => (index, By::Primary),
        };
        let member = members.get(index)?;
        let learnt = match (course, look.owned()) {
            // A primary that stands in for an owner does not get its keys.
            (Course::Owner(_) | Course::Primary(_), Some((key, owner))) => {
                let sent_to_it = matches!(course, Course::Owner(_)).then_some(owner);
                owning.share(key, owner, brought, now).map_or(Learnt::Never, |()| Learnt::Known(sent_to_it, None))
            }
            _ => owning.claim(look, brought, (members, index, member), now),
        };
        match learnt {
            Learnt::Known(owner, claimed) => (self.owner, self.claimed) = (owner, claimed),
            Learnt::Theirs => return None,
            Learnt::Never => return Some(self.give_up(Reason::OwnerUnknown)),
        }
        Some(self.enter(&member.node, members, by, scene.limits, now))
    }

    /// What the request has claimed is nobody's again, unless a node may have heard of it, or another request of the claim.
    pub(super) fn withdraw<F: RequestFacts>(&mut self, scene: &Scene<'_, F>) {
        let claimed = self.claimed.take().filter(|_| !self.sent);
        if let Some((Claimed { owner, keys }, owning)) = claimed.zip(scene.owners) {
            let brought = owning.brought(scene.facts).unwrap_or_default();
            for (_, key) in brought.iter().take(64).enumerate().filter(|(at, _)| keys >> at & 1 == 1) {
                owning.table.withdraw(key, owner);
            }
        }
    }

    fn was_tried(&self, members: &Membership, index: u32) -> bool {
        members.get(index).is_some_and(|member| self.tried.contains(&member.node.incarnation))
    }

    /// An attempt at it failed, and it is said to be there all the same: nobody else may serve the request before that
    /// changes.
    fn stuck(&mut self, owning: Owning<'_>, look: &Look<'_>, members: &Membership, now: Duration) -> Option<Action> {
        match owning.plan.on_gone {
            OnGone::Refuse => Some(self.give_up(Reason::OwnerGone)),
            OnGone::Primary | OnGone::Policy | OnGone::Park => self.await_owner(owning, look, members, now),
        }
    }

    fn await_owner(
        &mut self,
        owning: Owning<'_>,
        look: &Look<'_>,
        members: &Membership,
        now: Duration,
    ) -> Option<Action> {
        let keys = owning.table.wait(look.seen(), now)?;
        let milliseconds = u32::try_from(owning.plan.park.as_millis()).unwrap_or(u32::MAX);
        Some(self.park(members.version(), milliseconds, Some(keys), now))
    }

    /// A policy that wants to know the owner is asked, and may refuse the request or have it wait; it cannot send it
    /// elsewhere.
    fn agree<F: RequestFacts>(
        &mut self,
        scene: &Scene<'_, F>,
        members: &Arc<Membership>,
        owner: u32,
        now: Duration,
    ) -> Result<By, Objection> {
        if !scene.picker.needs().owner {
            return Ok(By::Owner);
        }
        match self.question(scene, members, Some(owner), now) {
            Decision::Node { index, by, .. } if index == owner => Ok(by),
            Decision::Node { by: By::Fallback(fault), .. } | Decision::Refuse(Reason::Fault(fault)) => {
                Ok(By::Fallback(fault))
            }
            Decision::Park(milliseconds) => Err(Objection::Waits(milliseconds)),
            Decision::Refuse(reason @ (Reason::Policy { .. } | Reason::Key(_))) => {
                Err(Objection::Refused(self.give_up(reason)))
            }
            Decision::Node { .. } | Decision::Refuse(_) => {
                scene.picker.policy().blame(Fault::Strays);
                Ok(By::Fallback(Fault::Strays))
            }
        }
    }

    /// Whether a permit that came after a wait is one of the right node still: others may have learnt or moved the key, and an
    /// owner that was gone may be back.
    pub(super) fn still_right<F: RequestFacts>(&self, scene: &Scene<'_, F>, now: Duration) -> bool {
        let Some(owning) = scene.owners else { return true };
        let Ok(Look { found, .. }) = owning.look(scene.facts, now) else { return false };
        match (found, self.owner) {
            (None, None) => true,
            (Some(found), Some(owner)) => (found.life, found.epoch) == (owner.life, owner.epoch),
            (Some(_), None) => {
                let members = scene.members.load();
                let course = Rules::from(owning.plan).course(owning.table, found, &members, open(scene, &members));
                !matches!(course, Course::Owner(_))
            }
            (None, Some(_)) => false,
        }
    }
}

/// A key that is too long to be learnt is as good as malformed.
fn read<'f>(rule: &KeyRule, facts: &'f impl RequestFacts) -> Result<Option<Key<'f>>, Trouble> {
    match key::read(rule, facts) {
        Reading::Key(key) if key.len() > LONGEST_KEY => Err(Trouble::Malformed),
        Reading::Key(key) => Ok(Some(key)),
        Reading::NoKey => Ok(None),
        Reading::Refuse(trouble) => Err(trouble),
        // Whoever drives the exchange reads the body before the first step; where there is none, no key is in it.
        Reading::Body => Err(Trouble::Missing),
    }
}
