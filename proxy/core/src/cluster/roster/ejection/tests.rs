use std::collections::BTreeSet;

use pointsman_config::plan::AllDown;
use proptest::prelude::*;

use super::*;
use crate::cluster::health::Transition;
use crate::cluster::membership::Standing;
use crate::cluster::node::NodeSpec;
use crate::cluster::roster::{Incarnations, Ramp, Rules};

const RULE: EjectionRule = EjectionRule {
    failures: 5,
    share: 0.5,
    requests: 20,
    window: Duration::from_secs(10),
    time: Duration::from_secs(10),
    max_time: Duration::from_secs(300),
    max_share: 0.5,
};

const RULES: Rules = Rules {
    checked: false,
    slow_start: None,
    all_down: AllDown::Fail,
    permits: None,
    eject: Some(RULE),
    primary: None,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn specs(count: u16) -> Vec<NodeSpec> {
    let spec = |i: u16| NodeSpec {
        id: format!("n{i}"),
        ordinal: Some(i.into()),
        address: ([127, 0, 0, 1], 9000 + i).into(),
        weight: 1,
        zone: String::new(),
        labels: std::collections::BTreeMap::new(),
    };
    (1..=count).map(spec).collect()
}

fn roster(count: u16, rule: EjectionRule) -> Roster {
    let mut roster = Roster::new(Incarnations::default(), vec![], BTreeSet::new(), 0);
    let rules = Rules { eject: Some(rule), ..RULES };
    roster.configure(rules, specs(count), Duration::ZERO).expect("no clash");
    roster
}

/// Requests to a node, each as it went.
fn requests(roster: &Roster, id: &str, went_well: impl IntoIterator<Item = bool>) {
    let load = &roster.get(id).expect("there").node.load;
    for well in went_well {
        drop(load.enter(0));
        if well { load.record.passed() } else { load.record.failed(false) }
    }
}

fn unreachable(roster: &Roster, id: &str, times: u32) {
    let load = &roster.get(id).expect("there").node.load;
    for _ in 0..times {
        drop(load.enter(0));
        load.record.failed(true);
    }
}

/// Judges without checks, and tells the judgements as `id sentence`.
fn judged(roster: &mut Roster, now: Duration) -> Vec<String> {
    judged_with(roster, now, false)
}

fn judged_with(roster: &mut Roster, now: Duration, vouched: bool) -> Vec<String> {
    let said = roster.judge(now, |_| vouched);
    said.into_iter().map(|Judgement { id, what }| format!("{id} {what:?}")).collect()
}

fn standing(roster: &mut Roster, id: &str, now: Duration) -> Standing {
    roster.publish(now);
    let members = roster.published().members();
    members.iter().find(|member| member.node.spec.id == id).expect("a member").standing
}

#[test]
fn failures_in_a_row_take_a_node_out_and_time_brings_it_back() {
    let mut roster = roster(3, RULE);
    requests(&roster, "n1", [false; 4]);
    assert!(judged(&mut roster, secs(1)).is_empty());
    requests(&roster, "n1", [false]);
    assert_eq!(judged(&mut roster, secs(1)), ["n1 Ejected(Row(5), 10s)"]);
    assert_eq!(standing(&mut roster, "n1", secs(1)), Standing::Down);
    assert!(judged(&mut roster, secs(10)).is_empty());
    assert_eq!(judged(&mut roster, secs(11)), ["n1 Served"]);
    assert_eq!(standing(&mut roster, "n1", secs(11)), Standing::Up);
}

#[test]
fn one_that_goes_well_breaks_the_row() {
    let mut roster = roster(3, RULE);
    requests(&roster, "n1", [false, false, false, false, true, false, false, false, false]);
    assert!(judged(&mut roster, secs(1)).is_empty());
}

#[test]
fn a_row_that_ended_before_anyone_looked_counts() {
    let mut roster = roster(3, RULE);
    requests(&roster, "n1", [false, false, false, false, false, true]);
    assert_eq!(judged(&mut roster, secs(1)), ["n1 Ejected(Row(5), 10s)"]);
}

#[test]
fn half_of_twenty_takes_a_node_out_and_of_nineteen_does_not() {
    let mut roster = roster(3, RULE);
    let half = (0..19).map(|i| i % 2 == 0);
    requests(&roster, "n1", half);
    assert!(judged(&mut roster, secs(1)).is_empty());
    requests(&roster, "n1", [false]);
    assert_eq!(judged(&mut roster, secs(1)), ["n1 Ejected(Share(10, 20), 10s)"]);
}

#[test]
fn what_was_before_the_window_is_forgotten() {
    let mut roster = roster(3, RULE);
    requests(&roster, "n1", (0..18).map(|i| i % 2 == 0));
    assert!(judged(&mut roster, secs(11)).is_empty(), "the window is over");
    requests(&roster, "n1", (0..18).map(|i| i % 2 == 0));
    assert!(judged(&mut roster, secs(12)).is_empty());
}

#[test]
fn requests_under_way_say_nothing_yet() {
    let mut roster = roster(3, RULE);
    let load = std::sync::Arc::clone(&roster.get("n1").expect("there").node.load);
    let _guards: Vec<_> = (0..100).map(|_| load.enter(0)).collect();
    requests(&roster, "n1", (0..20).map(|i| i % 2 == 0));
    assert_eq!(judged(&mut roster, secs(1)), ["n1 Ejected(Share(10, 20), 10s)"]);
}

#[test]
fn the_time_doubles_up_to_its_bound_and_starts_again_once_a_node_was_well_for_as_long() {
    let mut roster = roster(3, RULE);
    let mut now = secs(1);
    let mut times = Vec::new();
    for _ in 0..7 {
        requests(&roster, "n1", [false; 5]);
        let said = judged(&mut roster, now);
        times.push(said[0].clone());
        now = roster.get("n1").and_then(Entry::ejected_until).expect("out");
        assert_eq!(judged(&mut roster, now), ["n1 Served"]);
        now += secs(1);
    }
    let expected = [10, 20, 40, 80, 160, 300, 300].map(|time| format!("n1 Ejected(Row(5), {time}s)"));
    assert_eq!(times, expected);
    now += secs(300);
    requests(&roster, "n1", [false; 5]);
    assert_eq!(judged(&mut roster, now), ["n1 Ejected(Row(5), 10s)"]);
}

#[test]
fn never_more_than_the_ceiling_and_one_where_there_are_two() {
    let mut four = roster(4, RULE);
    for id in ["n1", "n2", "n3", "n4"] {
        requests(&four, id, [false; 5]);
    }
    let said = judged(&mut four, secs(1));
    assert_eq!(said, ["n1 Ejected(Row(5), 10s)", "n2 Ejected(Row(5), 10s)", "n3 Spared(Row(5))", "n4 Spared(Row(5))"]);
    let mut two = roster(2, EjectionRule { max_share: 0.1, ..RULE });
    requests(&two, "n2", [false; 5]);
    assert_eq!(judged(&mut two, secs(1)), ["n2 Ejected(Row(5), 10s)"]);
}

#[test]
fn never_the_last_that_takes_requests() {
    let mut roster = roster(3, EjectionRule { max_share: 1.0, ..RULE });
    let incarnation = roster.get("n3").expect("there").node.incarnation;
    roster.turned("n3", incarnation, Transition::Down, secs(1));
    roster.drain("n2", true).expect("there");
    requests(&roster, "n1", [false; 5]);
    assert_eq!(judged(&mut roster, secs(1)), ["n1 Spared(Row(5))"]);
    assert_eq!(standing(&mut roster, "n1", secs(1)), Standing::Up);
}

#[test]
fn when_the_others_go_those_that_are_out_serve_rather_than_nobody() {
    let mut roster = roster(2, RULE);
    requests(&roster, "n1", [false; 5]);
    judged(&mut roster, secs(1));
    assert_eq!(standing(&mut roster, "n1", secs(1)), Standing::Down);
    let incarnation = roster.get("n2").expect("there").node.incarnation;
    roster.turned("n2", incarnation, Transition::Down, secs(2));
    assert_eq!(standing(&mut roster, "n1", secs(2)), Standing::Degraded);
    roster.turned("n2", incarnation, Transition::Up, secs(3));
    assert_eq!(standing(&mut roster, "n1", secs(3)), Standing::Down);
}

#[test]
fn checks_bring_a_node_back_until_they_were_wrong_once() {
    let mut roster = roster(3, RULE);
    requests(&roster, "n1", [false; 5]);
    judged(&mut roster, secs(1));
    assert_eq!(judged_with(&mut roster, secs(2), true), ["n1 Vouched"]);
    requests(&roster, "n1", [false; 5]);
    assert_eq!(judged_with(&mut roster, secs(3), true), ["n1 Ejected(Row(5), 20s)"]);
    assert!(judged_with(&mut roster, secs(22), true).is_empty());
    assert_eq!(judged_with(&mut roster, secs(23), true), ["n1 Served"]);
}

#[test]
fn checks_are_believed_where_no_connection_could_be_made() {
    let mut roster = roster(3, RULE);
    for now in [1, 3, 5] {
        unreachable(&roster, "n1", 5);
        judged(&mut roster, secs(now));
        assert_eq!(judged_with(&mut roster, secs(now + 1), true), ["n1 Vouched"]);
    }
}

#[test]
fn a_node_that_its_checks_took_down_and_up_is_back() {
    let mut roster = roster(3, RULE);
    unreachable(&roster, "n1", 5);
    judged(&mut roster, secs(1));
    let incarnation = roster.get("n1").expect("there").node.incarnation;
    roster.turned("n1", incarnation, Transition::Down, secs(2));
    roster.turned("n1", incarnation, Transition::Up, secs(3));
    assert_eq!(standing(&mut roster, "n1", secs(3)), Standing::Up);
    assert!(judged(&mut roster, secs(11)).is_empty());
}

#[test]
fn what_a_node_did_before_its_checks_took_it_down_is_not_held_against_it() {
    let mut roster = roster(3, RULE);
    let incarnation = roster.get("n1").expect("there").node.incarnation;
    requests(&roster, "n1", [false; 30]);
    roster.turned("n1", incarnation, Transition::Down, secs(1));
    assert!(judged(&mut roster, secs(1)).is_empty());
    roster.turned("n1", incarnation, Transition::Up, secs(2));
    assert!(judged(&mut roster, secs(2)).is_empty());
}

#[test]
fn a_configuration_without_the_rule_lets_everybody_back() {
    let mut roster = roster(3, RULE);
    requests(&roster, "n1", [false; 5]);
    judged(&mut roster, secs(1));
    roster.configure(Rules { eject: None, ..RULES }, specs(3), secs(2)).expect("no clash");
    assert_eq!(standing(&mut roster, "n1", secs(2)), Standing::Up);
    requests(&roster, "n1", [false; 50]);
    assert!(judged(&mut roster, secs(3)).is_empty());
}

#[test]
fn a_node_that_comes_back_warms_up() {
    let rules = Rules { slow_start: Some(Ramp { window: secs(10), floor: 100 }), ..RULES };
    let mut roster = roster(3, RULE);
    roster.configure(rules, specs(3), Duration::ZERO).expect("no clash");
    requests(&roster, "n1", [false; 5]);
    judged(&mut roster, secs(1));
    judged(&mut roster, secs(11));
    roster.publish(secs(11));
    assert_eq!(roster.published().members()[0].share, 100);
}

proptest! {
    /// Whatever fails: never more out than the ceiling (one at least), somebody serves while anybody is up, everybody
    /// is back once all is well for the longest time.
    #[test]
    fn somebody_always_serves(
        count in 1_u16..7,
        max_share in 0.0..=1.0_f64,
        steps in prop::collection::vec((0_u16..7, prop::collection::vec(any::<bool>(), 0..12), 0_u64..20, any::<bool>()), 1..60),
    ) {
        let mut roster = roster(count, EjectionRule { max_share, ..RULE });
        let mut now = Duration::ZERO;
        let ceiling = ((f64::from(count) * max_share) as usize).max(1);
        for (node, went, pause, vouched) in steps {
            requests(&roster, &format!("n{}", node % count + 1), went);
            now += secs(pause);
            judged_with(&mut roster, now, vouched);
            roster.publish(now);
            let out = roster.entries().filter(|entry| entry.ejected_until().is_some()).count();
            prop_assert!(out <= ceiling && out < usize::from(count));
            prop_assert_eq!(roster.published().eligible().len(), usize::from(count) - out);
        }
        now += RULE.max_time;
        judged(&mut roster, now);
        judged(&mut roster, now + RULE.max_time);
        prop_assert!(roster.entries().all(|entry| entry.ejected_until().is_none()));
    }
}
