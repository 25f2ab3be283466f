use super::*;
use crate::cluster::membership::Standing;

const T0: Duration = Duration::ZERO;
const UNCHECKED: Rules =
    Rules { checked: false, slow_start: None, all_down: AllDown::Fail, permits: None, eject: None, primary: None };
const CHECKED: Rules = Rules { checked: true, ..UNCHECKED };

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn spec(id: &str, ordinal: u64, port: u16) -> NodeSpec {
    NodeSpec {
        id: id.to_owned(),
        ordinal: (ordinal > 0).then_some(ordinal),
        address: ([127, 0, 0, 1], port).into(),
        weight: 1,
        zone: String::new(),
        labels: BTreeMap::default(),
    }
}

fn roster(rules: Rules, nodes: &[NodeSpec]) -> Roster {
    let mut roster = Roster::new(Incarnations::default(), vec![], BTreeSet::new(), 0);
    roster.configure(rules, nodes.to_vec(), T0).expect("no clash");
    roster
}

fn turn(roster: &mut Roster, id: &str, to: Transition, now: Duration) {
    let incarnation = roster.get(id).expect("there").node().incarnation;
    assert!(roster.turned(id, incarnation, to, now));
}

/// Id, standing and share of each member, in order.
fn seen(roster: &mut Roster, now: Duration) -> Vec<(String, Standing, u16)> {
    roster.publish(now);
    let members = roster.published().members();
    members.iter().map(|m| (m.node.spec.id.clone(), m.standing, m.share)).collect()
}

fn standing(roster: &mut Roster, id: &str) -> Standing {
    seen(roster, T0).into_iter().find(|(i, ..)| i == id).expect("a member").1
}

#[test]
fn members_stand_in_order_of_ordinal_then_id() {
    let mut roster = roster(UNCHECKED, &[spec("z", 0, 1), spec("b", 2, 2), spec("c", 1, 3), spec("a", 0, 4)]);
    let ids: Vec<String> = seen(&mut roster, T0).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["c", "b", "a", "z"]);
}

#[test]
fn a_static_node_without_checks_is_up_and_any_other_waits_for_its_first() {
    let mut open = roster(UNCHECKED, &[spec("a", 1, 1)]);
    assert_eq!(standing(&mut open, "a"), Standing::Up);
    open.join(spec("j", 2, 2), T0).expect("joined");
    assert_eq!(standing(&mut open, "j"), Standing::Down);
    turn(&mut open, "j", Transition::Up, T0);
    assert_eq!(standing(&mut open, "j"), Standing::Up);
    assert_eq!(standing(&mut roster(CHECKED, &[spec("a", 1, 1)]), "a"), Standing::Down);
}

#[test]
fn versions_rise_by_one_and_only_for_what_can_be_seen() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    let first = roster.publish(T0).expect("first");
    assert_eq!((first.version(), first.roster()), (1, 1));
    assert!(roster.publish(T0).is_none());
    turn(&mut roster, "a", Transition::Down, T0);
    let second = roster.publish(T0).expect("down");
    assert_eq!((second.version(), second.roster()), (2, 1));
    // Down and up again within one batch: nothing to see.
    turn(&mut roster, "a", Transition::Up, T0);
    turn(&mut roster, "a", Transition::Down, T0);
    assert!(roster.publish(T0).is_none());
    roster.join(spec("j", 0, 2), T0).expect("joined");
    let third = roster.publish(T0).expect("joined");
    assert_eq!((third.version(), third.roster()), (3, 3));
}

#[test]
fn an_empty_service_has_a_first_version_too() {
    let mut roster = roster(CHECKED, &[]);
    assert_eq!(roster.publish(T0).map(|m| m.version()), Some(1));
}

#[test]
fn an_ordinal_belongs_to_one_node() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    let taken = |ordinal, by: &str| Err(Denial::OrdinalTaken { ordinal, by: by.to_owned() });
    assert_eq!(roster.join(spec("j", 1, 2), T0), taken(1, "a"));
    roster.join(spec("j", 2, 2), T0).expect("free");
    assert_eq!(roster.join(spec("k", 2, 3), T0), taken(2, "j"));
    assert_eq!(roster.join(spec("j", 3, 2), T0), Ok(Join::Described));
    roster.join(spec("k", 2, 3), T0).expect("free again");
    // Nodes without one never clash.
    roster.join(spec("m", 0, 4), T0).expect("none");
    roster.join(spec("n", 0, 5), T0).expect("none");
}

#[test]
fn a_static_node_is_not_the_registrys_to_change() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    assert_eq!(roster.join(spec("a", 1, 1), T0), Err(Denial::Static));
    assert_eq!(roster.leave("a"), Err(Denial::Static));
    assert_eq!(roster.leave("b"), Err(Denial::NoNode));
    assert!(!roster.lapse("a"));
}

#[test]
fn another_address_is_another_life_and_another_weight_is_not() {
    let mut roster = roster(UNCHECKED, &[]);
    roster.join(spec("j", 1, 1), T0).expect("joined");
    turn(&mut roster, "j", Transition::Up, T0);
    let first = Arc::clone(roster.get("j").expect("there").node());
    let guard = first.load.enter(0);
    assert_eq!(roster.join(spec("j", 1, 1), T0), Ok(Join::Same));
    assert_eq!(roster.join(NodeSpec { weight: 9, ..spec("j", 1, 1) }, T0), Ok(Join::Described));
    let described = Arc::clone(roster.get("j").expect("there").node());
    assert_eq!((described.incarnation, described.load.in_flight()), (first.incarnation, 1));
    assert_eq!(standing(&mut roster, "j"), Standing::Up);
    assert_eq!(roster.join(spec("j", 1, 2), T0), Ok(Join::Moved));
    let moved = Arc::clone(roster.get("j").expect("there").node());
    assert!(moved.incarnation > first.incarnation);
    assert_eq!(moved.load.in_flight(), 0);
    assert_eq!(standing(&mut roster, "j"), Standing::Down);
    // News of the life that is over is dropped.
    assert!(!roster.turned("j", first.incarnation, Transition::Up, T0));
    drop(guard);
}

#[test]
fn a_node_that_comes_back_is_a_new_life() {
    let mut roster = roster(UNCHECKED, &[]);
    roster.join(spec("j", 1, 1), T0).expect("joined");
    let first = roster.get("j").expect("there").node().incarnation;
    roster.leave("j").expect("left");
    roster.join(spec("j", 1, 1), T0).expect("back");
    assert!(roster.get("j").expect("there").node().incarnation > first);
    assert_eq!(standing(&mut roster, "j"), Standing::Down);
}

#[test]
fn a_drain_outlives_reloads_and_lapses_and_ends_when_the_node_leaves() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    assert_eq!(roster.drain("nobody", true), Err(Denial::NoNode));
    assert_eq!(roster.drain("a", true), Ok(true));
    assert_eq!(roster.drain("a", true), Ok(false));
    roster.configure(UNCHECKED, vec![spec("a", 1, 9)], T0).expect("no clash");
    assert_eq!(standing(&mut roster, "a"), Standing::Draining);
    assert_eq!(roster.drain("a", false), Ok(true));
    assert_eq!(standing(&mut roster, "a"), Standing::Up);

    roster.join(spec("j", 2, 2), T0).expect("joined");
    roster.drain("j", true).expect("there");
    assert!(roster.lapse("j"));
    roster.join(spec("j", 2, 2), T0).expect("back");
    assert_eq!(standing(&mut roster, "j"), Standing::Draining);
    roster.leave("j").expect("there");
    roster.join(spec("j", 2, 2), T0).expect("back");
    assert_eq!(standing(&mut roster, "j"), Standing::Down);
}

#[test]
fn a_reload_keeps_what_it_does_not_change() {
    let mut roster = roster(CHECKED, &[spec("a", 1, 1), spec("b", 2, 2)]);
    turn(&mut roster, "a", Transition::Up, T0);
    let life = roster.get("a").expect("there").node().incarnation;
    roster.configure(CHECKED, vec![spec("a", 1, 1), spec("c", 2, 3)], secs(1)).expect("no clash");
    assert_eq!(roster.get("a").expect("there").node().incarnation, life);
    assert_eq!(standing(&mut roster, "a"), Standing::Up);
    assert!(roster.get("b").is_none());
    assert_eq!(standing(&mut roster, "c"), Standing::Down);
    // Two nodes may swap their ordinals.
    roster.configure(CHECKED, vec![spec("a", 2, 1), spec("c", 1, 3)], secs(2)).expect("no clash");
    let ids: Vec<String> = seen(&mut roster, secs(2)).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["c", "a"]);
    assert_eq!(roster.get("a").expect("there").node().incarnation, life);
}

#[test]
fn a_configuration_that_clashes_changes_nothing() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    roster.join(spec("j", 7, 2), T0).expect("joined");
    let before = seen(&mut roster, T0);
    let clashes = roster.configure(UNCHECKED, vec![spec("j", 1, 3), spec("x", 7, 4)], T0).expect_err("clashes");
    let clash = |node: &str, taken| Conflict { node: node.to_owned(), joined: "j".to_owned(), taken };
    assert_eq!(clashes, [clash("j", Taken::Id), clash("x", Taken::Ordinal(7))]);
    assert_eq!(seen(&mut roster, T0), before);
}

#[test]
fn with_nobody_up_try_any_presents_those_that_may_be_tried() {
    let rules = Rules { all_down: AllDown::TryAny, ..CHECKED };
    let mut roster = roster(rules, &[spec("a", 1, 1), spec("b", 2, 2), spec("d", 3, 3)]);
    for id in ["new", "old"] {
        roster.join(spec(id, 0, 9), T0).expect("joined");
    }
    roster.drain("d", true).expect("there");
    assert!(seen(&mut roster, T0).iter().all(|(_, s, _)| matches!(s, Standing::Down | Standing::Draining)));
    turn(&mut roster, "a", Transition::Up, T0);
    turn(&mut roster, "old", Transition::Up, T0);
    for id in ["b", "old", "new"] {
        turn(&mut roster, id, Transition::Down, T0);
    }
    assert_eq!(standing(&mut roster, "b"), Standing::Down);
    turn(&mut roster, "a", Transition::Down, T0);
    assert_eq!(standing(&mut roster, "a"), Standing::Degraded);
    assert!(roster.published().desperate(), "those are guesses");
    assert_eq!(standing(&mut roster, "b"), Standing::Degraded);
    assert_eq!(standing(&mut roster, "d"), Standing::Draining);
    assert_eq!(standing(&mut roster, "old"), Standing::Degraded);
    // It never passed a check, and nobody but itself says that it is there.
    assert_eq!(standing(&mut roster, "new"), Standing::Down);
    turn(&mut roster, "b", Transition::Up, T0);
    assert_eq!(standing(&mut roster, "a"), Standing::Down);
    assert!(!roster.published().desperate());
}

#[test]
fn a_node_that_comes_up_warms_up_in_ten_steps() {
    let rules = Rules { slow_start: Some(Ramp { window: secs(10), floor: 100 }), ..CHECKED };
    let mut roster = roster(rules, &[spec("a", 1, 1)]);
    turn(&mut roster, "a", Transition::Up, secs(100));
    let mut shares = vec![seen(&mut roster, secs(100))[0].2];
    let mut now = Duration::from_millis(100_000);
    while now < secs(120) {
        now += Duration::from_millis(50);
        roster.tick(now);
        if let Some(next) = roster.publish(now) {
            shares.push(next.members()[0].share);
        }
    }
    assert_eq!(shares, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
    let low = Rules { slow_start: Some(Ramp { floor: 10, ..rules.slow_start.expect("a ramp") }), ..CHECKED };
    roster.configure(low, vec![spec("a", 1, 1)], secs(150)).expect("no clash");
    turn(&mut roster, "a", Transition::Down, secs(150));
    turn(&mut roster, "a", Transition::Up, secs(150));
    let low = [150, 151, 158, 159].map(|now| {
        roster.tick(secs(now));
        seen(&mut roster, secs(now))[0].2
    });
    assert_eq!(low, [10, 120, 890, 1000]);
    roster.configure(rules, vec![spec("a", 1, 1)], secs(160)).expect("no clash");
    // A reload in the middle does not start it again.
    turn(&mut roster, "a", Transition::Down, secs(200));
    turn(&mut roster, "a", Transition::Up, secs(200));
    roster.configure(rules, vec![spec("a", 1, 1)], secs(205)).expect("no clash");
    assert_eq!(seen(&mut roster, secs(205))[0].2, 600);
}

#[test]
fn what_could_not_be_written_is_taken_back() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    roster.join(spec("j", 2, 2), T0).expect("joined");
    turn(&mut roster, "j", Transition::Up, T0);
    let before = seen(&mut roster, T0);
    let life = roster.get("j").expect("there").node().incarnation;
    let mut saved = vec![roster.save("j")];
    roster.join(spec("j", 5, 3), T0).expect("moved");
    saved.push(roster.save("j"));
    roster.leave("j").expect("left");
    saved.push(roster.save("k"));
    roster.join(spec("k", 9, 4), T0).expect("joined");
    saved.push(roster.save("a"));
    turn(&mut roster, "k", Transition::Up, T0);
    roster.drain("a", true).expect("drained");
    assert_eq!(roster.high_water(), 9);
    for saved in saved.into_iter().rev() {
        roster.restore(saved);
    }
    assert!(roster.publish(T0).is_none());
    assert_eq!(seen(&mut roster, T0), before);
    assert_eq!(roster.get("j").expect("there").node().incarnation, life);
    assert_eq!(roster.high_water(), 2);
}

#[test]
fn what_the_registry_kept_comes_back_unchecked() {
    let drains = BTreeSet::from(["j".to_owned(), "gone".to_owned()]);
    let mut roster = Roster::new(Incarnations::default(), vec![spec("j", 2, 2), spec("k", 3, 3)], drains, 17);
    // Nothing is shown before the configuration says what the service is.
    assert!(roster.publish(T0).is_none());
    roster.configure(UNCHECKED, vec![spec("a", 1, 1)], T0).expect("no clash");
    assert_eq!(standing(&mut roster, "j"), Standing::Draining);
    assert_eq!(standing(&mut roster, "k"), Standing::Down);
    assert_eq!(roster.get("k").expect("there").condition(), Condition::Unchecked);
    assert_eq!(roster.published().high_water(), 17);
    assert_eq!(roster.drain("gone", false), Ok(true));
}

#[test]
fn a_mistyped_ordinal_counts_for_nothing_before_its_node_passed_a_check() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    roster.join(spec("j", 2, 2), T0).expect("joined");
    roster.join(spec("typo", 300, 3), T0).expect("joined");
    assert_eq!(roster.high_water(), 1);
    turn(&mut roster, "j", Transition::Up, T0);
    assert_eq!(roster.publish(T0).expect("changed").high_water(), 2);
    turn(&mut roster, "typo", Transition::Down, T0);
    assert_eq!(roster.high_water(), 2);
    turn(&mut roster, "typo", Transition::Up, T0);
    assert_eq!(roster.publish(T0).expect("changed").high_water(), 300);
}

#[test]
fn a_mark_is_lowered_to_the_nodes_that_are_there_and_never_raised_by_that() {
    let mut roster = roster(UNCHECKED, &[spec("a", 1, 1)]);
    for (id, ordinal) in [("j", 2), ("typo", 300)] {
        roster.join(spec(id, ordinal, ordinal as u16), T0).expect("joined");
        turn(&mut roster, id, Transition::Up, T0);
    }
    assert_eq!(roster.lowest_mark(), 300, "the node is still there");
    roster.leave("typo").expect("left");
    assert_eq!(roster.high_water(), 300);
    roster.lower_mark();
    assert_eq!(roster.publish(T0).expect("changed").high_water(), 2);
    roster.join(spec("unchecked", 9, 9), T0).expect("joined");
    assert_eq!(roster.lowest_mark(), 2);
}
