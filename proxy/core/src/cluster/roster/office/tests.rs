use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_config::plan::AllDown;

use super::*;
use crate::cluster::health::Transition;
use crate::cluster::membership::Membership;
use crate::cluster::node::NodeSpec;
use crate::cluster::primary::Fall;
use crate::cluster::roster::{Incarnations, Rules};

const TAKEOVER: Duration = Duration::from_secs(2);
const RULES: Rules = Rules {
    checked: true,
    slow_start: None,
    all_down: AllDown::Fail,
    permits: None,
    eject: None,
    primary: Some(TAKEOVER),
};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn spec(id: &str, ordinal: u64) -> NodeSpec {
    NodeSpec {
        id: id.into(),
        ordinal: Some(ordinal),
        address: ([127, 0, 0, 1], 9000 + ordinal as u16).into(),
        weight: 1,
        zone: String::new(),
        labels: BTreeMap::new(),
    }
}

/// A service of two nodes that passed their checks.
fn pair() -> Roster {
    let mut roster = Roster::new(Incarnations::default(), vec![], BTreeSet::new(), 0);
    roster.configure(RULES, vec![spec("b", 2), spec("a", 1)], secs(0)).expect("nothing to clash with");
    for id in ["a", "b"] {
        turn(&mut roster, id, Transition::Up);
    }
    roster
}

fn turn(roster: &mut Roster, id: &str, to: Transition) {
    let life = roster.get(id).expect("it is there").node().incarnation;
    assert!(roster.turned(id, life, to, secs(0)));
}

/// What readers see once everything that is to be elected is.
fn seen(roster: &mut Roster, now: Duration) -> (Option<String>, u64) {
    while roster.elect(now).is_some() {}
    roster.publish(now);
    primary(roster.published())
}

fn primary(membership: &Arc<Membership>) -> (Option<String>, u64) {
    let id = membership.primary().and_then(|index| membership.get(index)).map(|member| member.node.spec.id.clone());
    (id, membership.epoch())
}

#[test]
fn readers_see_the_primary_and_its_epoch() {
    let mut roster = pair();
    assert_eq!(seen(&mut roster, secs(1)), (Some("a".into()), 1));
    turn(&mut roster, "a", Transition::Down);
    assert_eq!(seen(&mut roster, secs(5)), (None, 1));
    turn(&mut roster, "a", Transition::Up);
    assert_eq!(seen(&mut roster, secs(6)), (None, 1));
    roster.drain("a", true).expect("it is there");
    assert_eq!(seen(&mut roster, secs(7)), (Some("b".into()), 2));
    roster.drain("a", false).expect("it is there");
    let version = roster.published().version();
    assert_eq!(seen(&mut roster, secs(20)), (Some("b".into()), 2), "no flapping back");
    assert_eq!(roster.published().version(), version + 1, "the end of the drain alone");
}

#[test]
fn nobody_sees_a_primary_that_may_not_be_one_even_before_the_change_is_written() {
    let mut roster = pair();
    seen(&mut roster, secs(1));
    roster.drain("a", true).expect("it is there");
    let before = roster.election().clone();
    assert!(matches!(roster.elect(secs(2)), Some(Change::Deposed { why: Fall::Drained, .. })));
    roster.put_back(before);
    roster.publish(secs(2));
    assert_eq!(primary(roster.published()), (None, 1));
    assert_eq!(seen(&mut roster, secs(9)), (None, 1), "deposed once it is written, and the time runs from there");
    assert_eq!(seen(&mut roster, secs(11)), (Some("b".into()), 2));
}

#[test]
fn a_configuration_without_primary_ends_it_and_the_epoch_stays() {
    let mut roster = pair();
    seen(&mut roster, secs(1));
    let nodes = || vec![spec("b", 2), spec("a", 1)];
    roster.configure(Rules { primary: None, ..RULES }, nodes(), secs(2)).expect("no clash");
    assert_eq!(seen(&mut roster, secs(2)), (None, 1));
    roster.configure(RULES, nodes(), secs(3)).expect("no clash");
    assert_eq!(seen(&mut roster, secs(4)), (Some("a".into()), 2));
}

#[test]
fn what_was_written_down_goes_on() {
    let mut roster = pair();
    roster.put_back(Election::restored(41, Some("b".into()), TAKEOVER, secs(0)));
    assert_eq!(seen(&mut roster, secs(1)), (Some("b".into()), 41));
}
