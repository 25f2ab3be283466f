//! One request from its head to its last byte, without I/O: `step(event, now) -> action`.
//!
//! Both lanes drive the same exchange, so a feature is written once. Waiting is an action, not an await.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pointsman_config::plan::{AllDown, KeyRule, Limits, Place, Retry};
use smallvec::SmallVec;

use crate::cluster::cell::MembershipCell;
use crate::cluster::load::{InFlight, Permit};
use crate::cluster::membership::{Member, Membership};
use crate::cluster::node::{Incarnation, Node};
use crate::facts::{self, RequestFacts, is_idempotent, is_safe};
use crate::key::{self, Reading, Trouble};
use crate::owners::Owner;
use crate::pick::picker::{By, Decision, Picker};
use crate::pick::policy::{Ask, KeyNeed};
use crate::rate::RateLimiter;
use crate::retry::{self, RetryBudget};

mod owning;
mod pause;

pub use owning::Owning;
use pause::Wait;
pub use pause::WaitsFor;

pub use crate::pick::reason::Reason;
pub use crate::retry::{Failure, FailureClass};

mod ahead;

/// However long a policy wants to wait: a client gives up after about as long, and nobody is served by waiting on.
const LONGEST_PARK: Duration = Duration::from_mins(1);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The head was read.
    Start,
    /// What was waited for has come ([`Exchange::waits_for`]), or the time to wait is over.
    Wake,
    /// The attempt failed.
    Failed(Failure),
}

/// One attempt at one node.
#[derive(Debug)]
pub struct Attempt {
    /// Where to.
    pub node: Arc<Node>,
    /// Keeps the node's in-flight count until the response body is through.
    pub in_flight: InFlight,
    /// 1 for the first.
    pub number: u32,
    /// The membership that was asked.
    pub version: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Who decided.
    pub by: By,
    /// How long it waited for a permit, where it had to.
    pub waited: Option<Duration>,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Action {
    /// Connect to this node and send the request.
    Connect(Attempt),
    /// Wait for what [`Exchange::waits_for`] says; then step with [`Event::Wake`].
    Wait {
        /// Time at which to stop waiting, on the clock of `now`.
        until: Duration,
    },
    /// Pass on the response that the last attempt brought (a status that is not, or may not be, tried again).
    PassOn,
    /// Answer this.
    Answer(Reason),
}

/// What an exchange needs to see of its service and its request. Borrowed anew for each step, so that an exchange
/// holds on to nothing while it waits.
pub struct Scene<'a, F> {
    /// Asks the policy.
    pub picker: &'a Picker,
    /// Whom keys belong to, where the service keeps owners.
    pub owners: Option<Owning<'a>>,
    /// How the key is pulled out.
    pub key: Option<&'a KeyRule>,
    /// The places in bodies that rules name.
    pub places: &'a [Place],
    /// What is tried again.
    pub retry: &'a Retry,
    /// Bounds retries.
    pub budget: &'a RetryBudget,
    /// How many requests a key may make.
    pub rate: Option<&'a RateLimiter>,
    /// How many may wait for a permit of a node, and how long.
    pub limits: &'a Limits,
    /// What happens when no node is up.
    pub all_down: AllDown,
    /// The service's nodes now.
    pub members: &'a MembershipCell,
    /// The service's turn.
    pub turn: &'a AtomicU64,
    /// The node that the client's cookie names, where it may be believed.
    pub stuck: Option<Incarnation>,
    /// The request.
    pub facts: &'a F,
    /// Which worker asks.
    pub worker: usize,
}

/// One request under way.
///
/// Holds: never the same incarnation twice; never more attempts than the rule; a request that is not idempotent is
/// sent at most once; every chain of steps ends, since each one uses up an attempt or the time to wait; where a key of it has
/// an owner that may take it, nobody else is sent it.
#[derive(Debug)]
pub struct Exchange {
    /// None before the first question, and after one that nobody was to serve.
    turn: Option<u64>,
    random: u64,
    attempts: u32,
    tried: SmallVec<[Incarnation; 2]>,
    waits: Option<Wait>,
    /// When to stop being parked, and when to stop waiting for permits. Each is counted once for the whole request: a
    /// membership that keeps changing must not keep a client waiting for ever.
    park_until: Option<Duration>,
    queue_until: Option<Duration>,
    failure: Option<FailureClass>,
    /// Whether it is within its rate, once that was counted.
    admitted: Option<Result<(), Duration>>,
    /// Whose the request's key is, where it goes to the key's owner.
    owner: Option<Owner>,
    /// What this request has made somebody's.
    claimed: Option<owning::Claimed>,
    /// Whether a node may know of the request.
    sent: bool,
}

impl Exchange {
    /// `random`: uniformly random bits, from which those of each attempt are drawn.
    pub fn new(random: u64) -> Self {
        Self {
            turn: None,
            random,
            attempts: 0,
            tried: SmallVec::new(),
            waits: None,
            park_until: None,
            queue_until: None,
            failure: None,
            admitted: None,
            owner: None,
            claimed: None,
            sent: false,
        }
    }

    /// Attempts made so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The epoch of the owner that the request goes to, if it goes to one.
    pub fn owner_epoch(&self) -> Option<u16> {
        self.owner.map(|owner| owner.epoch)
    }

    /// What to do next. Whoever drives it asks [`Exchange::reader`] before. The first event is [`Event::Start`]; each later one answers the action before.
    pub fn step<F: RequestFacts>(&mut self, scene: &Scene<'_, F>, event: Event, now: Duration) -> Action {
        let action = self.decide_on(scene, event, now);
        if matches!(action, Action::Answer(_)) {
            self.withdraw(scene);
        }
        action
    }

    fn decide_on<F: RequestFacts>(&mut self, scene: &Scene<'_, F>, event: Event, now: Duration) -> Action {
        match event {
            Event::Start => {
                if let Err(wait) = self.admit(scene, now) {
                    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                    return Action::Answer(Reason::RateLimited {
                        retry_after: u32::try_from(seconds).unwrap_or(u32::MAX),
                    });
                }
                scene.budget.request(now);
                self.ask(scene, now)
            }
            Event::Wake => self.wake(scene, now),
            Event::Failed(failure) => {
                self.failure = Some(failure.class);
                self.sent |= failure.sent;
                self.withdraw(scene);
                let idempotent = is_idempotent(scene.facts.method());
                if retry::may(scene.retry, scene.budget, failure, idempotent, self.attempts, now) {
                    self.ask(scene, now)
                } else {
                    self.give_up(Reason::NoNode)
                }
            }
        }
    }

    fn ask<F: RequestFacts>(&mut self, scene: &Scene<'_, F>, now: Duration) -> Action {
        if let Some(owning) = scene.owners {
            return self.ask_owner(scene, owning, now);
        }
        let membership = scene.members.load();
        if !open(scene, &membership) {
            return self.give_up(Reason::NoNode);
        }
        match self.question(scene, &membership, None, now) {
            Decision::Node { index, by, .. } => match membership.get(index) {
                Some(member) => self.enter(&member.node, &membership, by, scene.limits, now),
                None => self.give_up(Reason::NoNode),
            },
            Decision::Park(milliseconds) => self.park(membership.version(), milliseconds, None, now),
            Decision::Refuse(reason) => self.give_up(reason),
        }
    }

    /// Asks the policy. `owner`: index of the key's, where it is to know.
    fn question<F: RequestFacts>(
        &mut self,
        scene: &Scene<'_, F>,
        membership: &Arc<Membership>,
        owner: Option<u32>,
        now: Duration,
    ) -> Decision {
        let turn = *self.turn.get_or_insert_with(|| scene.turn.fetch_add(1, Ordering::Relaxed));
        let decision = self.decide(turn, scene, membership, owner, now);
        if !matches!(decision, Decision::Node { .. }) {
            self.give_back(turn, scene.turn);
        }
        decision
    }

    /// A request that nobody is to serve, or not yet, uses up no turn: else the node whose turn it was misses one. Where
    /// another worker has taken the next turn meanwhile it is too late; a parked request keeps its own then.
    fn give_back(&mut self, turn: u64, turns: &AtomicU64) {
        if self.attempts == 0
            && turns.compare_exchange(turn.wrapping_add(1), turn, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.turn = None;
        }
    }

    fn decide<F: RequestFacts>(
        &self,
        turn: u64,
        scene: &Scene<'_, F>,
        membership: &Arc<Membership>,
        owner: Option<u32>,
        now: Duration,
    ) -> Decision {
        let needs = scene.picker.needs();
        let key = match scene.key().map_or(Reading::NoKey, |rule| key::read(rule, scene.facts)) {
            Reading::Key(key) => Some(key),
            Reading::NoKey => None,
            Reading::Refuse(trouble) => return Decision::Refuse(Reason::Key(trouble)),
            // The body is read before the first step; where nobody did, no key is in it.
            Reading::Body => return Decision::Refuse(Reason::Key(Trouble::Missing)),
        };
        let headers: SmallVec<[Option<&str>; 4]> =
            needs.headers.iter().map(|name| facts::named(scene.facts, name)).collect();
        let tried: SmallVec<[u32; 4]> = self.tried.iter().filter_map(|&life| membership.index_of(life)).collect();
        let ask = Ask {
            turn,
            random: mix(self.random.wrapping_add(self.attempts.into())),
            now_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            key_hash: key.as_deref().map(key::stable_hash),
            key: key.as_deref().filter(|_| needs.key >= KeyNeed::Text),
            owner: owner.or_else(|| scene.stuck.and_then(|life| taking(membership, life))),
            headers: (!needs.headers.is_empty()).then_some(&headers[..]),
            attempt: self.attempts + 1,
            tried: &tried,
        };
        scene.picker.pick(scene.worker, membership, &ask)
    }

    /// Takes a permit of the node, or a place in its line.
    fn enter(&mut self, node: &Arc<Node>, asked: &Membership, by: By, limits: &Limits, now: Duration) -> Action {
        let Some(in_flight) = node.load.enter(limits.queue) else { return self.give_up(Reason::QueueFull) };
        let number = self.attempts + 1;
        let (version, epoch) = (asked.version(), asked.epoch());
        let attempt = Attempt { node: Arc::clone(node), in_flight, number, version, epoch, by, waited: None };
        if attempt.in_flight.permit() == Permit::Held {
            return self.connect(attempt);
        }
        if matches!(self.failure, Some(FailureClass::Status(_))) {
            return Action::PassOn;
        }
        let until = *self.queue_until.get_or_insert(now + limits.queue_timeout);
        self.wait(Wait::Permit(Box::new(attempt), now), Some(until), Reason::QueueTimeout, now)
    }

    fn connect(&mut self, attempt: Attempt) -> Action {
        self.attempts = attempt.number;
        self.tried.push(attempt.node.incarnation);
        Action::Connect(attempt)
    }

    /// The client hears of the failure that happened, not of why there was no further attempt.
    fn give_up(&self, reason: Reason) -> Action {
        match self.failure {
            None => Action::Answer(reason),
            Some(FailureClass::Status(_)) => Action::PassOn,
            Some(FailureClass::Connect) => Action::Answer(Reason::Connect),
            Some(FailureClass::Reset) => Action::Answer(Reason::Reset),
            Some(FailureClass::Timeout) => Action::Answer(Reason::Timeout),
            Some(FailureClass::Malformed) => Action::Answer(Reason::Malformed),
        }
    }
}

/// Whether the nodes that may be picked may take this request. Nobody knows what a node that fails its checks does with
/// one that may change something.
fn open<F: RequestFacts>(scene: &Scene<'_, F>, membership: &Membership) -> bool {
    !membership.desperate() || scene.all_down == AllDown::TryAnyWrites || is_safe(scene.facts.method())
}

/// Where an incarnation stands, if it may take requests.
fn taking(membership: &Membership, life: Incarnation) -> Option<u32> {
    let index = membership.index_of(life)?;
    membership.get(index).is_some_and(Member::eligible).then_some(index)
}

/// `SplitMix64`'s finaliser (Steele, Lea and Flood 2014): neighbouring inputs give unrelated bits.
fn mix(input: u64) -> u64 {
    let z = input.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
