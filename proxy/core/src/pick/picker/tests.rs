use proptest::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::cluster::membership::Standing::{self, Degraded, Down, Draining, Up};
use crate::pick::scripted::{Scripted, membership, node};

fn stand(standings: &[Standing]) -> Arc<Membership> {
    let nodes: Vec<_> = standings.iter().enumerate().map(|(i, s)| (node(i as u64 + 1), *s)).collect();
    membership(1, &nodes)
}

fn asked(policy: &Arc<Scripted>, on_fault: Option<OnFault>, standings: &[Standing], tried: &[u32]) -> Decision {
    let policy: Arc<dyn Policy> = Arc::clone(policy) as _;
    Picker::new(policy, on_fault).pick(0, &stand(standings), &Ask { tried, ..Ask::default() })
}

fn one(verdict: Verdict) -> Arc<Scripted> {
    Scripted::list(false, [Ok(verdict)])
}

fn blamed(policy: &Arc<Scripted>) -> Vec<Fault> {
    policy.blamed.lock().expect("no panic").clone()
}

fn by_policy(index: u32) -> Decision {
    Decision::Node { index, only: false, by: By::Policy }
}

fn fallen_back(index: u32, fault: Fault) -> Decision {
    Decision::Node { index, only: false, by: By::Fallback(fault) }
}

#[test]
fn an_eligible_node_is_taken() {
    assert_eq!(asked(&one(Verdict::Node(1)), None, &[Down, Degraded], &[]), by_policy(1));
}

#[test]
fn a_node_that_is_not_there_is_a_stranger_and_blamed() {
    let policy = one(Verdict::Node(2));
    assert_eq!(asked(&policy, None, &[Down, Up], &[]), fallen_back(1, Fault::Stranger));
    assert_eq!(blamed(&policy), [Fault::Stranger]);
}

#[test]
fn a_node_that_is_down_draining_or_tried_is_ineligible_and_blamed() {
    for (standings, tried) in [([Down, Up], &[][..]), ([Draining, Up], &[]), ([Up, Up], &[0])] {
        let policy = one(Verdict::Node(0));
        assert_eq!(asked(&policy, None, &standings, tried), fallen_back(1, Fault::Ineligible));
        assert_eq!(blamed(&policy), [Fault::Ineligible]);
    }
}

#[test]
fn only_a_node_that_is_down_refuses_without_a_fault() {
    let policy = one(Verdict::Only(0));
    let decision = asked(&policy, Some(OnFault::RoundRobin), &[Down, Up], &[]);
    assert_eq!(decision, Decision::Refuse(Reason::OwnerDown));
    assert!(blamed(&policy).is_empty());
}

#[test]
fn only_a_node_that_is_up_may_not_be_served_elsewhere() {
    let decision = asked(&one(Verdict::Only(0)), None, &[Up, Up], &[]);
    assert_eq!(decision, Decision::Node { index: 0, only: true, by: By::Policy });
}

#[test]
fn of_a_ranking_the_first_that_is_free_is_taken() {
    let ranked = || one(Verdict::Ranked(smallvec![2, 0, 1]));
    assert_eq!(asked(&ranked(), None, &[Up, Up, Down], &[]), by_policy(0));
    assert_eq!(asked(&ranked(), None, &[Up, Up, Down], &[0]), by_policy(1));
}

#[test]
fn a_ranking_without_a_free_node_refuses() {
    for ranking in [smallvec![0], smallvec![]] {
        let decision = asked(&one(Verdict::Ranked(ranking)), None, &[Down, Up], &[]);
        assert_eq!(decision, Decision::Refuse(Reason::NoNode));
    }
}

#[test]
fn a_ranking_with_a_stranger_before_the_first_free_node_is_a_fault() {
    let policy = one(Verdict::Ranked(smallvec![9, 0]));
    assert_eq!(asked(&policy, None, &[Up], &[]), fallen_back(0, Fault::Stranger));
}

fn lightest(under_way: &[usize], standings: &[Standing], tried: &[u32]) -> Decision {
    least(Verdict::Lightest(smallvec![2, 0, 1]), 0, under_way, standings, tried)
}

fn least(verdict: Verdict, turn: u64, under_way: &[usize], standings: &[Standing], tried: &[u32]) -> Decision {
    let members = stand(standings);
    let _guards: Vec<_> = under_way.iter().map(|index| members.members()[*index].node.load.enter(0)).collect();
    let policy: Arc<dyn Policy> = one(verdict);
    Picker::new(policy, None).pick(0, &members, &Ask { turn, tried, ..Ask::default() })
}

#[test]
fn of_the_lightest_the_one_with_the_fewest_requests_is_taken() {
    assert_eq!(lightest(&[2, 2, 0], &[Up, Up, Up], &[]), by_policy(1));
    assert_eq!(lightest(&[2, 1], &[Up, Up, Up], &[]), by_policy(0));
    assert_eq!(lightest(&[], &[Up, Up, Up], &[]), by_policy(2), "of equals the one whose turn it is");
    assert_eq!(lightest(&[2, 0], &[Up, Down, Up], &[]), by_policy(2), "one that is down does not count");
    assert_eq!(lightest(&[], &[Up, Up, Up], &[2]), by_policy(0), "nor one that was tried");
    assert_eq!(lightest(&[], &[Down, Up, Up], &[1, 2]), Decision::Refuse(Reason::NoNode));
}

#[test]
fn the_lightest_of_none_is_that_of_all() {
    let all = |turn, under_way: &[usize], standings: &[Standing], tried: &[u32]| {
        least(Verdict::Lightest(smallvec![]), turn, under_way, standings, tried)
    };
    assert_eq!(all(0, &[0, 2], &[Up, Up, Up], &[]), by_policy(1));
    for turn in 0..9 {
        assert_eq!(all(turn, &[], &[Up, Up, Up], &[]), by_policy((turn % 3) as u32), "equals take turns");
        assert_eq!(all(turn, &[], &[Up, Down, Degraded], &[]), by_policy([0, 2][turn as usize % 2]));
        assert_eq!(all(turn, &[0, 0, 1], &[Up, Up, Down], &[1]), by_policy(0), "whoever was tried is out");
        // Caddy's fault: equals of an earlier, higher count stayed among the candidates.
        assert_eq!(all(turn, &[0, 1], &[Up, Up, Up], &[]), by_policy(2));
    }
    assert_eq!(all(0, &[], &[Down, Up], &[1]), Decision::Refuse(Reason::NoNode));
}

#[test]
fn a_stranger_among_the_lightest_is_a_fault() {
    let policy = one(Verdict::Lightest(smallvec![0, 9]));
    assert_eq!(asked(&policy, None, &[Up], &[]), fallen_back(0, Fault::Stranger));
}

#[test]
fn a_refusal_carries_its_status_if_it_is_one() {
    let refuse = |status| one(Verdict::Refuse { status, reason: "no".into() });
    let expected = Decision::Refuse(Reason::Policy { status: 429, reason: "no".into() });
    assert_eq!(asked(&refuse(429), None, &[Up], &[]), expected);
    for status in [0, 200, 399, 600] {
        assert_eq!(asked(&refuse(status), None, &[Up], &[]), fallen_back(0, Fault::Malformed));
    }
}

#[test]
fn a_fault_refuses_where_keys_are_pinned_unless_the_operator_says_otherwise() {
    let trap = || Scripted::list(true, [Err(Fault::Trap)]);
    assert_eq!(asked(&trap(), None, &[Up], &[]), Decision::Refuse(Reason::Fault(Fault::Trap)));
    assert_eq!(asked(&trap(), Some(OnFault::RoundRobin), &[Up], &[]), fallen_back(0, Fault::Trap));
}

#[test]
fn a_fault_falls_back_where_keys_are_not_pinned_unless_the_operator_says_otherwise() {
    let late = || Scripted::list(false, [Err(Fault::Late)]);
    assert_eq!(asked(&late(), None, &[Up], &[]), fallen_back(0, Fault::Late));
    assert_eq!(asked(&late(), Some(OnFault::Refuse), &[Up], &[]), Decision::Refuse(Reason::Fault(Fault::Late)));
}

#[test]
fn only_a_stranger_refuses() {
    let decision = asked(&one(Verdict::Only(7)), None, &[Up], &[]);
    assert_eq!(decision, Decision::Refuse(Reason::Fault(Fault::Stranger)));
}

#[test]
fn the_host_blames_only_what_it_found_itself() {
    let policy = Scripted::list(false, [Err(Fault::Trap)]);
    asked(&policy, None, &[Up], &[]);
    assert!(blamed(&policy).is_empty());
}

#[test]
fn without_a_free_node_only_a_policy_that_pins_is_asked() {
    let silent = Scripted::list(false, []);
    assert_eq!(asked(&silent, None, &[Down], &[]), Decision::Refuse(Reason::NoNode));
    assert_eq!(asked(&silent, None, &[Up], &[0]), Decision::Refuse(Reason::NoNode));
    let parks = Scripted::list(true, [Ok(Verdict::Park(50))]);
    assert_eq!(asked(&parks, None, &[Down], &[]), Decision::Park(50));
    assert_eq!(asked(&Scripted::list(true, []), None, &[], &[]), Decision::Refuse(Reason::NoNode));
}

#[test]
fn the_fallback_takes_turns_over_what_is_free() {
    let policy = Scripted::list(false, (0..6).map(|_| Err(Fault::Trap)));
    let picker = Picker::new(policy, None);
    let membership = stand(&[Up, Down, Up, Up]);
    let picks: Vec<_> = (0..6)
        .map(|_| match picker.pick(0, &membership, &Ask { tried: &[2], ..Ask::default() }) {
            Decision::Node { index, .. } => index,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(picks, [0, 3, 0, 3, 0, 3]);
}

fn any_verdict() -> impl Strategy<Value = Result<Verdict, Fault>> {
    prop_oneof![
        (0_u32..8).prop_map(|i| Ok(Verdict::Node(i))),
        (0_u32..8).prop_map(|i| Ok(Verdict::Only(i))),
        prop::collection::vec(0_u32..8, 0..6).prop_map(|list| Ok(Verdict::Ranked(list.into()))),
        prop::collection::vec(0_u32..8, 0..6).prop_map(|list| Ok(Verdict::Lightest(list.into()))),
        any::<u32>().prop_map(|ms| Ok(Verdict::Park(ms))),
        any::<u16>().prop_map(|status| Ok(Verdict::Refuse { status, reason: String::new() })),
        prop::sample::select(&Fault::ALL[..]).prop_map(Err),
    ]
}

proptest! {
    #[test]
    fn a_pick_is_always_a_member_that_is_eligible_and_untried(
        standings in prop::collection::vec(prop::sample::select(vec![Up, Degraded, Draining, Down]), 0..6),
        tried in prop::collection::vec(0_u32..6, 0..3),
        verdict in any_verdict(),
        pins: bool,
        on_fault in prop::option::of(prop::sample::select(vec![OnFault::Refuse, OnFault::RoundRobin])),
    ) {
        let members = stand(&standings);
        let policy = Scripted::new(pins, Needs::default(), move |_, _| verdict.clone());
        let decision = Picker::new(policy, on_fault).pick(0, &members, &Ask { tried: &tried, ..Ask::default() });
        if let Decision::Node { index, .. } = decision {
            prop_assert!(members.get(index).is_some_and(crate::cluster::membership::Member::eligible));
            prop_assert!(!tried.contains(&index));
        }
    }
}
