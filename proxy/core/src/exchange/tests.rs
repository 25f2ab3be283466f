use std::fmt::Write;

use pointsman_config::plan::{AllDown, KeySource, Limits, NoKey, Owners, RetryOn};
use proptest::prelude::*;

use super::*;
use crate::cluster::membership::Member;
use crate::cluster::membership::Standing::{self, Down, Up};
use crate::facts::Plain;
use crate::owners::OwnerTable;
use crate::pick::policy::{Fault, Needs, Policy, Verdict};
use crate::pick::scripted::{Scripted, membership, node};

mod owners;
mod properties;
mod queue;
mod stuck;
mod timeline;

/// A service of which a test turns every knob, and one request to it.
struct Stage {
    picker: Picker,
    owners: Option<(Arc<OwnerTable>, Owners)>,
    key: Option<KeyRule>,
    retry: Retry,
    budget: RetryBudget,
    limits: Limits,
    all_down: AllDown,
    members: MembershipCell,
    turn: AtomicU64,
    stuck: Option<Incarnation>,
    facts: Plain,
    exchange: Exchange,
    /// The last action, kept since it holds the in-flight guard.
    last: Option<Action>,
}

const EVERYTHING: [RetryOn; 4] = [RetryOn::Connect, RetryOn::Reset, RetryOn::Timeout, RetryOn::Status(503)];

impl Stage {
    fn new(policy: &Arc<Scripted>, method: &str, attempts: u32) -> Self {
        let policy: Arc<dyn Policy> = Arc::clone(policy) as _;
        Self {
            picker: Picker::new(policy, None),
            owners: None,
            key: None,
            retry: Retry { attempts, on: EVERYTHING.to_vec(), budget: None, timeout: None },
            budget: RetryBudget::new(),
            limits: Limits { connections_per_node: None, queue: 1, queue_timeout: Duration::from_millis(100) },
            all_down: AllDown::Fail,
            members: MembershipCell::default(),
            turn: AtomicU64::new(40),
            stuck: None,
            facts: Plain { method: method.into(), path: "/".into(), ..Plain::default() },
            exchange: Exchange::new(1),
            last: None,
        }
    }

    fn publish(&self, version: u64, nodes: &[(Arc<Node>, Standing)]) {
        self.members.publish(membership(version, nodes));
    }

    fn step(&mut self, event: Event, milliseconds: u64) -> &Action {
        let scene = Scene {
            picker: &self.picker,
            owners: self.owners.as_ref().map(|(table, plan)| Owning { table, plan }),
            key: self.key.as_ref(),
            places: &[],
            retry: &self.retry,
            budget: &self.budget,
            rate: None,
            limits: &self.limits,
            all_down: self.all_down,
            members: &self.members,
            turn: &self.turn,
            stuck: self.stuck,
            facts: &self.facts,
            worker: 0,
        };
        let action = self.exchange.step(&scene, event, Duration::from_millis(milliseconds));
        self.last.insert(action)
    }
}

fn failed(class: FailureClass) -> Event {
    Event::Failed(Failure { class, sent: class != FailureClass::Connect, replayable: true })
}

/// The first eligible node that was not tried.
fn first_free() -> Arc<Scripted> {
    Scripted::new(false, Needs::default(), |members, ask| {
        let free = members.eligible().iter().find(|index| !ask.tried.contains(index));
        Ok(Verdict::Node(*free.expect("asked only if there is one")))
    })
}

#[test]
fn in_flight_counts_from_the_verdict_until_the_attempt_is_dropped() {
    let n1 = node(1);
    let mut stage = Stage::new(&first_free(), "GET", 2);
    stage.publish(1, &[(Arc::clone(&n1), Up)]);
    stage.step(Event::Start, 0);
    assert_eq!(n1.load.in_flight(), 1);
    stage.last = None;
    assert_eq!(n1.load.in_flight(), 0);
}

#[test]
fn a_turn_is_taken_once_a_request_and_not_for_a_retry() {
    let policy = first_free();
    let mut stage = Stage::new(&policy, "GET", 3);
    stage.publish(1, &[(node(1), Up), (node(2), Up), (node(3), Up)]);
    stage.step(Event::Start, 0);
    stage.step(failed(FailureClass::Connect), 1);
    stage.step(failed(FailureClass::Reset), 2);
    assert_eq!(stage.turn.load(Ordering::Relaxed), 41);
    let asked = policy.asked.lock().expect("no panic");
    assert!(asked.iter().all(|ask| ask.turn == 40));
    assert_eq!(asked.iter().map(|ask| ask.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(asked[2].tried, [0, 1]);
}

#[test]
fn a_request_that_nobody_serves_uses_up_no_turn() {
    let refuse = || Ok(Verdict::Refuse { status: 400, reason: "no id".into() });
    let policy = Scripted::list(true, [refuse(), Ok(Verdict::Park(50)), Ok(Verdict::Node(0)), refuse()]);
    let mut stage = Stage::new(&policy, "GET", 1);
    stage.publish(1, &[(node(1), Up)]);
    stage.step(Event::Start, 0);
    assert_eq!(stage.turn.load(Ordering::Relaxed), 40, "refused");
    stage.exchange = Exchange::new(2);
    stage.step(Event::Start, 1);
    assert_eq!(stage.turn.load(Ordering::Relaxed), 40, "parked");
    stage.publish(2, &[(node(1), Up)]);
    stage.step(Event::Wake, 2);
    assert_eq!(stage.turn.load(Ordering::Relaxed), 41, "served after all");
    let asked = policy.asked.lock().expect("no panic");
    assert!(asked.iter().all(|ask| ask.turn == 40));
}

#[test]
fn a_turn_that_others_have_passed_is_not_given_back() {
    let turns = Arc::new(AtomicU64::new(0));
    let others = Arc::clone(&turns);
    let policy = Scripted::new(true, Needs::default(), move |_, _| {
        others.fetch_add(1, Ordering::Relaxed);
        Ok(Verdict::Park(50))
    });
    let mut stage = Stage::new(&policy, "GET", 1);
    stage.publish(1, &[(node(1), Up)]);
    let scene = Scene {
        picker: &stage.picker,
        owners: None,
        key: None,
        places: &[],
        retry: &stage.retry,
        budget: &stage.budget,
        rate: None,
        limits: &stage.limits,
        all_down: stage.all_down,
        members: &stage.members,
        turn: &turns,
        stuck: None,
        facts: &stage.facts,
        worker: 0,
    };
    stage.exchange.step(&scene, Event::Start, Duration::ZERO);
    assert_eq!(turns.load(Ordering::Relaxed), 2, "one of the request, one of another worker");
}

#[test]
fn tried_nodes_are_mapped_to_the_membership_that_is_asked() {
    let policy = first_free();
    let mut stage = Stage::new(&policy, "GET", 2);
    stage.publish(1, &[(node(5), Up), (node(6), Up)]);
    stage.step(Event::Start, 0);
    stage.publish(2, &[(node(1), Up), (node(5), Up), (node(6), Up)]);
    stage.step(failed(FailureClass::Connect), 1);
    assert_eq!(policy.asked.lock().expect("no panic")[1].tried, [1]);
}

#[test]
fn only_what_the_policy_needs_is_handed_over() {
    let needs = |key, headers: &[&str]| Needs {
        key,
        headers: headers.iter().map(ToString::to_string).collect(),
        ..Needs::default()
    };
    for (needs, key, hash, headers) in [
        (needs(KeyNeed::None, &[]), None, None, None),
        (needs(KeyNeed::Hash, &[]), None, Some(key::stable_hash("7")), None),
        (needs(KeyNeed::Number, &[]), Some("7"), Some(key::stable_hash("7")), None),
        (needs(KeyNeed::Text, &["x-a", "x-b"]), Some("7"), Some(key::stable_hash("7")), Some([None, Some("b")])),
    ] {
        let policy = Scripted::new(false, needs, |_, _| Ok(Verdict::Node(0)));
        let mut stage = Stage::new(&policy, "GET", 1);
        stage.key = Some(KeyRule::of(KeySource::Path(1)));
        stage.facts.path = "/orders/7".into();
        stage.facts.headers = vec![("x-b".into(), "b".into())];
        stage.publish(1, &[(node(1), Up)]);
        stage.step(Event::Start, 0);
        let asked = policy.asked.lock().expect("no panic");
        assert_eq!(asked[0].key.as_deref(), key);
        assert_eq!(asked[0].key_hash, hash);
        assert_eq!(asked[0].headers, headers.map(|list| list.map(|value| value.map(Into::into)).to_vec()));
    }
}

#[test]
fn a_request_without_a_usable_key_is_refused_where_the_rule_says_so_and_a_key_is_needed() {
    for (need, outcome, refused) in [
        (KeyNeed::Hash, NoKey::Refuse, true),
        (KeyNeed::Hash, NoKey::NoKey, false),
        (KeyNeed::None, NoKey::Refuse, false),
    ] {
        let needs = Needs { key: need, ..Needs::default() };
        let mut stage = Stage::new(&Scripted::new(false, needs, |_, _| Ok(Verdict::Node(0))), "GET", 1);
        let mut rule = KeyRule::of(KeySource::Header("x-id".into()));
        rule.otherwise.missing = outcome;
        stage.key = Some(rule);
        stage.publish(1, &[(node(1), Up)]);
        match stage.step(Event::Start, 0) {
            Action::Answer(Reason::Key(Trouble::Missing)) => assert!(refused, "{need:?} {outcome:?}"),
            Action::Connect(_) => assert!(!refused, "{need:?} {outcome:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(stage.turn.load(Ordering::Relaxed), 40 + u64::from(!refused));
    }
}

#[test]
fn where_nobody_is_up_reads_try_their_luck_and_writes_only_if_said() {
    for (all_down, method, served) in [
        (AllDown::TryAny, "GET", true),
        (AllDown::TryAny, "POST", false),
        (AllDown::TryAny, "DELETE", false),
        (AllDown::TryAnyWrites, "POST", true),
    ] {
        let mut stage = Stage::new(&first_free(), method, 2);
        stage.all_down = all_down;
        let nodes = [Member { node: node(1), standing: Standing::Degraded, share: 1000 }];
        stage.members.publish(Arc::new(Membership::new(1, 1, nodes.to_vec(), None).with_desperate(true)));
        let action = stage.step(Event::Start, 0);
        match action {
            Action::Connect(_) => assert!(served, "{all_down:?} {method}"),
            Action::Answer(Reason::NoNode) => assert!(!served, "{all_down:?} {method}"),
            other => panic!("{other:?}"),
        }
    }
}
