//! A service that keeps owners: a request goes to who owns its key, or where the settings say, and never astray.

use pointsman_config::plan::{BoundTo, ClaimMode, Learn, Mark, OnGone, OnUnknown};

use super::timeline::Timeline;
use super::*;
use crate::cluster::load::NodeLoad;
use crate::cluster::membership::Standing::{Degraded, Draining};
use crate::owners::Claim;

mod astray;

fn header(name: &str) -> KeyRule {
    KeyRule::of(KeySource::Header(name.into()))
}

fn rules(on_unknown: OnUnknown, on_gone: OnGone) -> Owners {
    Owners {
        claim: ClaimMode::Behind,
        find: vec![header("x-old"), header("x-id")],
        learn: vec![Learn::Request(header("x-id"))],
        release: None,
        places: Vec::new(),
        on_unknown,
        on_gone,
        bound_to: BoundTo::Node,
        park: Duration::from_millis(500),
        ttl: Duration::from_secs(600),
        capacity: 1_000,
        mark: Mark::default(),
    }
}

fn table() -> Arc<OwnerTable> {
    Arc::new(OwnerTable::new(1_000, Duration::from_secs(600)))
}

/// Three nodes that are up, and a request with this id.
fn keeping(policy: &Arc<Scripted>, method: &str, plan: Owners, id: &str) -> Timeline {
    let mut stage = Stage::new(policy, method, 3);
    stage.owners = Some((table(), plan));
    stage.facts.headers = vec![("x-id".into(), id.into())];
    stage.publish(1, &[(node(1), Up), (node(2), Up), (node(3), Up)]);
    Timeline::new(stage)
}

fn fixed(index: u32) -> Arc<Scripted> {
    Scripted::new(false, Needs::default(), move |_, _| Ok(Verdict::Node(index)))
}

impl Timeline {
    fn table(&self) -> Arc<OwnerTable> {
        Arc::clone(&self.stage.owners.as_ref().expect("owners").0)
    }

    fn claim(&self, key: &str, number: u64) {
        let id = format!("n{number}");
        assert!(matches!(self.table().claim(key, &id, Incarnation(number), Duration::ZERO), Claim::New(_)));
    }

    fn owner(&self, key: &str) -> Option<(String, u16)> {
        let table = self.table();
        table.peek(key, Duration::ZERO).map(|owner| (table.life(owner).node.to_string(), owner.epoch))
    }

    /// The next request, with these fields.
    fn next(&mut self, headers: &[(&str, &str)]) -> &mut Self {
        self.stage.facts.headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.stage.exchange = Exchange::new(7);
        self
    }
}

fn owned(node: &str, epoch: u16) -> Option<(String, u16)> {
    Some((node.into(), epoch))
}

#[test]
fn who_is_picked_for_a_new_key_owns_it_and_the_policy_is_not_asked_again() {
    let policy = fixed(1);
    let mut timeline = keeping(&policy, "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
    timeline.then(0, Event::Start);
    assert_eq!((timeline.owner("a"), timeline.stage.exchange.owner_epoch()), (owned("n2", 0), Some(0)));
    timeline.next(&[("x-id", "a")]).then(1, Event::Start);
    timeline.next(&[]).then(2, Event::Start);
    assert_eq!(timeline.stage.exchange.owner_epoch(), None);
    timeline.reads(
        "0 > start > connect n2 v1 #1 Policy
         1 > start > connect n2 v1 #1 Owner
         2 > start > connect n2 v1 #1 Policy",
    );
    assert_eq!(policy.asked.lock().expect("no panic").len(), 2);
    assert_eq!(timeline.stage.turn.load(Ordering::Relaxed), 42, "an owner takes no turn");
}

#[test]
fn a_replacement_goes_where_its_order_is_and_its_id_stays_there() {
    let mut timeline = keeping(&fixed(0), "POST", rules(OnUnknown::Refuse, OnGone::Refuse), "second");
    timeline.claim("first", 3);
    timeline.next(&[("x-old", "first"), ("x-id", "second")]).then(0, Event::Start);
    timeline.next(&[("x-id", "second")]).then(1, Event::Start);
    timeline.next(&[("x-old", "nobody's"), ("x-id", "third")]).then(2, Event::Start);
    timeline.reads(
        "0 > start > connect n3 v1 #1 Owner
         1 > start > connect n3 v1 #1 Owner
         2 > start > answer OwnerUnknown",
    );
    assert_eq!((timeline.owner("second"), timeline.owner("third")), (owned("n3", 0), None));
}

#[test]
fn who_loses_a_race_follows_the_winner() {
    let raced = table();
    let faster = Arc::clone(&raced);
    // Another worker claims the key between the lookup and the claim.
    let policy = Scripted::new(false, Needs::default(), move |_, _| {
        faster.claim("a", "n3", Incarnation(3), Duration::ZERO);
        Ok(Verdict::Node(0))
    });
    let mut timeline = keeping(&policy, "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
    timeline.stage.owners.as_mut().expect("owners").0 = raced;
    timeline.then(0, Event::Start).reads("0 > start > connect n3 v1 #1 Owner");
}

#[test]
fn a_key_without_an_owner_is_treated_as_the_settings_say() {
    for (on_unknown, expected) in [
        (OnUnknown::Hash, "0 > start > connect n1 v1 #1 Policy"),
        (OnUnknown::Primary, "0 > start > connect n2 v1 #1 Primary"),
        (OnUnknown::Park, "0 > start > park v1 until 500"),
        (OnUnknown::Refuse, "0 > start > answer OwnerUnknown"),
    ] {
        let mut timeline = keeping(&fixed(0), "POST", rules(on_unknown, OnGone::Refuse), "a");
        timeline.stage.members.publish(Arc::new(three(Up, Some(1))));
        timeline.then(0, Event::Start).reads(expected);
        let owner = match on_unknown {
            OnUnknown::Hash => owned("n1", 0),
            OnUnknown::Primary => owned("n2", 0),
            OnUnknown::Park | OnUnknown::Refuse => None,
        };
        assert_eq!(timeline.owner("a"), owner, "{on_unknown:?}");
    }
}

/// n1 with this standing, n2 and n3 up.
fn three(first: Standing, primary: Option<u32>) -> Membership {
    let member = |(number, standing)| Member { node: node(number), standing, share: 1000 };
    Membership::new(1, 1, [(1, first), (2, Up), (3, Up)].map(member).to_vec(), primary)
}

#[test]
fn a_key_whose_owner_is_gone_is_treated_as_the_settings_say() {
    for standing in [Draining, Down] {
        for (on_gone, expected, owner) in [
            (OnGone::Primary, "0 > start > connect n3 v1 #1 Primary", owned("n1", 0)),
            (OnGone::Policy, "0 > start > connect n2 v1 #1 Policy", owned("n2", 1)),
            (OnGone::Park, "0 > start > park v1 until 500", owned("n1", 0)),
            (OnGone::Refuse, "0 > start > answer OwnerGone", owned("n1", 0)),
        ] {
            let mut timeline = keeping(&fixed(1), "POST", rules(OnUnknown::Hash, on_gone), "a");
            timeline.claim("a", 1);
            timeline.stage.members.publish(Arc::new(three(standing, Some(2))));
            timeline.then(0, Event::Start).reads(expected);
            assert_eq!(timeline.owner("a"), owner, "{on_gone:?}");
            let epoch = (on_gone == OnGone::Policy).then_some(1);
            assert_eq!(timeline.stage.exchange.owner_epoch(), epoch, "a stand-in is no owner");
        }
    }
}

#[test]
fn a_failed_attempt_at_an_owner_goes_nowhere_else_while_the_owner_is_there() {
    let connect = failed(FailureClass::Connect);
    let mut refused = keeping(&fixed(0), "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
    refused.claim("a", 1);
    refused.then(0, Event::Start).then(1, connect);
    refused.reads("0 > start > connect n1 v1 #1 Owner\n1 > Connect > answer Connect");

    let mut moved = keeping(&fixed(1), "POST", rules(OnUnknown::Hash, OnGone::Policy), "a");
    moved.claim("a", 1);
    moved.then(0, Event::Start).then(1, connect).then(20, Event::Wake);
    moved.stage.publish(2, &[(node(1), Down), (node(2), Up), (node(3), Up)]);
    moved.then(50, Event::Wake);
    moved.reads(
        "0 > start > connect n1 v1 #1 Owner
         1 > Connect > park v1 until 501
         20 > wake > park v1 until 501
         50 > wake > connect n2 v2 #2 Policy",
    );
    assert_eq!(moved.owner("a"), owned("n2", 1));

    let mut late = keeping(&fixed(1), "POST", rules(OnUnknown::Hash, OnGone::Primary), "a");
    late.claim("a", 1);
    late.then(0, Event::Start).then(1, connect).then(501, Event::Wake);
    late.reads(
        "0 > start > connect n1 v1 #1 Owner
         1 > Connect > park v1 until 501
         501 > wake > answer Connect",
    );

    let mut answered = keeping(&fixed(1), "GET", rules(OnUnknown::Hash, OnGone::Policy), "a");
    answered.claim("a", 1);
    answered.then(0, Event::Start).then(1, failed(FailureClass::Status(503)));
    answered.reads("0 > start > connect n1 v1 #1 Owner\n1 > Status(503) > pass on");

    let mut sent = keeping(&fixed(1), "POST", rules(OnUnknown::Hash, OnGone::Policy), "a");
    sent.claim("a", 1);
    sent.then(0, Event::Start).then(1, failed(FailureClass::Reset));
    sent.reads("0 > start > connect n1 v1 #1 Owner\n1 > Reset > answer Reset");
}

#[test]
fn a_parked_request_goes_on_once_its_owner_is_learnt_or_back() {
    let mut learnt = keeping(&fixed(0), "POST", rules(OnUnknown::Park, OnGone::Park), "a");
    learnt.then(0, Event::Start);
    learnt.claim("another", 3);
    learnt.then(10, Event::Wake);
    learnt.claim("a", 3);
    learnt.then(20, Event::Wake);
    learnt.reads(
        "0 > start > park v1 until 500
         10 > wake > park v1 until 500
         20 > wake > connect n3 v1 #1 Owner",
    );

    let mut back = keeping(&fixed(0), "POST", rules(OnUnknown::Park, OnGone::Park), "a");
    back.claim("a", 2);
    back.stage.publish(2, &[(node(1), Up), (node(3), Up)]);
    back.then(0, Event::Start);
    // n2 is another life now, at another place in the list.
    let again = Arc::new(Node { incarnation: Incarnation(9), ..Node::clone(&node(2)) });
    back.stage.publish(3, &[(again, Up), (node(1), Up)]);
    back.then(30, Event::Wake);
    back.reads("0 > start > park v2 until 500\n30 > wake > connect n2 v3 #1 Owner");

    let mut given = keeping(&fixed(0), "POST", rules(OnUnknown::Park, OnGone::Park), "a");
    given.claim("a", 8);
    given.then(0, Event::Start);
    assert_eq!(given.table().reassign_all("n8", "n1", Incarnation(1)), 1);
    given.then(40, Event::Wake).then(41, failed(FailureClass::Connect)).then(500, Event::Wake);
    given.reads(
        "0 > start > park v1 until 500
         40 > wake > connect n1 v1 #1 Owner
         41 > Connect > park v1 until 500
         500 > wake > answer Connect",
    );
}

#[test]
fn a_permit_that_came_after_the_key_had_moved_is_given_back() {
    let load = Arc::new(NodeLoad::with_permits(Some(1)));
    let n1 = Arc::new(Node { load, ..Node::clone(&node(1)) });
    let mut timeline = keeping(&fixed(0), "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
    timeline.claim("a", 1);
    timeline.stage.publish(2, &[(Arc::clone(&n1), Up), (node(2), Up)]);
    let held = n1.load.enter(0);
    timeline.then(0, Event::Start);
    timeline.table().reassign("a", "n2", Incarnation(2), Duration::ZERO);
    drop(held);
    timeline.then(10, Event::Wake).reads("0 > start > queue until 100\n10 > wake > connect n2 v2 #1 Owner");
    assert_eq!(n1.load.in_flight(), 0);
}

#[test]
fn a_permit_of_a_stand_in_is_given_back_when_the_owner_is_there_again() {
    for (standing, expected) in [
        (Up, "0 > start > queue until 100\n10 > wake > connect n1 v1 #1 Owner"),
        (Down, "0 > start > queue until 100\n10 > wake > connect n2 v1 #1 Primary"),
    ] {
        let load = Arc::new(NodeLoad::with_permits(Some(1)));
        let n2 = Arc::new(Node { load, ..Node::clone(&node(2)) });
        let members = |first| {
            let member = |(node, standing)| Member { node, standing, share: 1000 };
            let nodes = [(node(1), first), (Arc::clone(&n2), Up)];
            Arc::new(Membership::new(1, 1, nodes.map(member).to_vec(), Some(1)))
        };
        let mut timeline = keeping(&fixed(0), "POST", rules(OnUnknown::Hash, OnGone::Primary), "a");
        timeline.claim("a", 1);
        timeline.stage.members.publish(members(Down));
        let held = n2.load.enter(0);
        timeline.then(0, Event::Start);
        timeline.stage.members.publish(members(standing));
        drop(held);
        timeline.then(10, Event::Wake).reads(expected);
    }
}

#[test]
fn a_policy_that_knows_the_owner_cannot_send_its_requests_elsewhere() {
    let needs = Needs { owner: true, ..Needs::default() };
    let mut verdicts = [
        Ok(Verdict::Only(1)),
        Ok(Verdict::Node(0)),
        Err(Fault::Trap),
        Ok(Verdict::Only(9)),
        Ok(Verdict::Refuse { status: 400, reason: "closed".into() }),
        Ok(Verdict::Park(30)),
    ]
    .into_iter();
    let policy = Scripted::new(true, needs, move |_, ask| {
        assert_eq!(ask.owner, Some(1));
        verdicts.next().expect("asked once too often")
    });
    let mut timeline = keeping(&policy, "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
    timeline.claim("a", 2);
    for at in 0..6 {
        timeline.next(&[("x-id", "a")]).then(at, Event::Start);
    }
    timeline.reads(
        "0 > start > connect n2 v1 #1 Policy
         1 > start > connect n2 v1 #1 Fallback(Strays)
         2 > start > connect n2 v1 #1 Fallback(Trap)
         3 > start > connect n2 v1 #1 Fallback(Stranger)
         4 > start > answer Policy { status: 400, reason: \"closed\" }
         5 > start > park v1 until 35",
    );
    assert_eq!(*policy.blamed.lock().expect("no panic"), [Fault::Strays, Fault::Stranger]);
}

#[test]
fn a_write_is_no_guess_even_for_its_owner() {
    let mut timeline = keeping(&fixed(0), "POST", rules(OnUnknown::Hash, OnGone::Park), "a");
    timeline.claim("a", 1);
    timeline.stage.members.publish(Arc::new(three(Degraded, None).with_desperate(true)));
    timeline.then(0, Event::Start);
    timeline.next(&[("x-id", "new")]).then(1, Event::Start);
    timeline.reads("0 > start > park v1 until 500\n1 > start > answer NoNode");
}

/// Whoever could not be reached has never heard of the order, so it is whose the request goes to next.
#[test]
fn a_new_key_goes_with_its_request_when_a_node_cannot_be_reached() {
    let policy = Scripted::new(false, Needs::default(), |_, ask| Ok(Verdict::Node(ask.tried.len() as u32)));
    for on_gone in [OnGone::Refuse, OnGone::Park] {
        let mut timeline = keeping(&policy, "POST", rules(OnUnknown::Hash, on_gone), "a");
        timeline.then(0, Event::Start).then(1, failed(FailureClass::Connect));
        timeline.reads(
            "0 > start > connect n1 v1 #1 Policy
             1 > Connect > connect n2 v1 #2 Policy",
        );
        assert_eq!((timeline.owner("a"), timeline.stage.exchange.owner_epoch()), (owned("n2", 0), Some(0)));
    }
    // The same where the key is looked up by another rule than it is learnt by.
    let mut plan = rules(OnUnknown::Hash, OnGone::Refuse);
    plan.find = vec![header("x-old")];
    let mut timeline = keeping(&policy, "POST", plan, "a");
    timeline.next(&[("x-id", "a"), ("x-old", "nobody's")]).then(0, Event::Start);
    timeline.then(1, failed(FailureClass::Connect));
    assert_eq!(timeline.owner("a"), owned("n2", 0));
}

#[test]
fn a_new_key_is_nobodys_when_no_node_could_be_reached() {
    let policy = Scripted::new(false, Needs::default(), |_, ask| Ok(Verdict::Node(ask.tried.len() as u32)));
    let mut plan = rules(OnUnknown::Hash, OnGone::Refuse);
    plan.learn.push(Learn::Request(header("x-account")));
    let mut timeline = keeping(&policy, "POST", plan, "a");
    timeline.claim("mine", 1);
    timeline.next(&[("x-id", "a"), ("x-account", "mine")]).then(0, Event::Start);
    assert_eq!(timeline.owner("a"), owned("n1", 0));
    (1..=3).for_each(|at| {
        timeline.then(at, failed(FailureClass::Connect));
    });
    assert_eq!(timeline.owner("a"), None);
    assert_eq!(timeline.owner("mine"), owned("n1", 0), "somebody else's claim stays");
}

/// It may have the order.
#[test]
fn a_new_key_stays_with_a_node_that_may_have_heard_of_it() {
    let mut timeline = keeping(&fixed(0), "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
    timeline.then(0, Event::Start);
    timeline.then(1, failed(FailureClass::Reset));
    assert_eq!(timeline.owner("a"), owned("n1", 0));
}

/// Another request has gone by the claim, and may have been served.
#[test]
fn a_claim_that_somebody_has_followed_stays() {
    let policy = Scripted::new(false, Needs::default(), |_, ask| Ok(Verdict::Node(ask.tried.len() as u32)));
    for follow in [true, false] {
        let mut timeline = keeping(&policy, "POST", rules(OnUnknown::Hash, OnGone::Refuse), "a");
        timeline.then(0, Event::Start);
        let followed = if follow {
            timeline.table().find("a", Duration::ZERO).is_some()
        } else {
            matches!(timeline.table().claim("a", "n3", Incarnation(3), Duration::ZERO), Claim::Held(_))
        };
        assert!(followed);
        timeline.then(1, failed(FailureClass::Connect));
        timeline.reads("0 > start > connect n1 v1 #1 Policy\n1 > Connect > answer Connect");
        assert_eq!(timeline.owner("a"), owned("n1", 0));
    }
}

/// A key whose owner is gone stays known, whoever could not be reached in its place.
#[test]
fn a_key_that_moves_is_not_forgotten_when_a_node_cannot_be_reached() {
    let policy = Scripted::new(false, Needs::default(), |_, ask| Ok(Verdict::Node(ask.tried.len() as u32)));
    let mut timeline = keeping(&policy, "POST", rules(OnUnknown::Refuse, OnGone::Policy), "a");
    timeline.claim("a", 9);
    timeline.then(0, Event::Start).then(1, failed(FailureClass::Connect));
    timeline.reads("0 > start > connect n1 v1 #1 Policy\n1 > Connect > park v1 until 501");
    assert_eq!(timeline.owner("a"), owned("n1", 1));
}
