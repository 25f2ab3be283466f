//! What an author gets without writing it: members, retries, explanations, and a bench that catches a wrong verdict.

use pointsman_policy::bench::{Bench, chi_square, chi_square_limit, node, nodes, tally, turn};
use pointsman_policy::{Members, NoSettings, Node, Policy, Request, Runtime, Standing, State, Verdict};
use proptest::prelude::*;

/// Answers what `now_ms` says, in the shape that `turn` says.
struct Scripted;

impl Policy for Scripted {
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict {
        let node = request.now_ms as u32;
        match request.turn {
            0 => Verdict::Node(node),
            1 => Verdict::Only(node),
            2 => Verdict::Ranked((node..members.len() as u32).collect()),
            3 => Verdict::Park(node),
            4 => Verdict::Lightest((node..members.len() as u32).collect()),
            _ => Verdict::refuse(node as u16, "because"),
        }
    }
}

fn ask(shape: u64, node: u64, random: u64) -> Request<'static> {
    Request { turn: shape, now_ms: node, random, ..Request::default() }
}

fn scripted(count: u32) -> Bench<Scripted> {
    Bench::new("", nodes(count))
}

#[test]
fn a_retry_of_a_node_spreads_over_all_others() {
    let bench = scripted(5);
    let again = |t: u64| bench.pick_again(&ask(0, 2, turn(t).random), &[2]).first().unwrap();
    let counts = tally(5, (0..50_000).map(again));
    let statistic = chi_square(&counts, &[1.0, 1.0, 0.0, 1.0, 1.0]);
    assert!(statistic < chi_square_limit(3), "{statistic}: {counts:?}");
}

#[test]
fn a_retry_of_only_one_is_refused() {
    assert!(matches!(scripted(3).pick_again(&ask(1, 1, 0), &[1]), Verdict::Refuse { status: 503, .. }));
}

#[test]
fn a_retry_of_a_ranking_is_what_is_left_of_it() {
    assert_eq!(scripted(4).pick_again(&ask(2, 1, 0), &[1, 3]), Verdict::Ranked(vec![2]));
    assert_eq!(scripted(4).pick_again(&ask(2, 1, 0), &[1, 2, 3]), Verdict::Node(0));
}

#[test]
fn the_lightest_of_what_is_left() {
    let bench = scripted(4);
    let verdict = bench.pick(&ask(4, 1, 0));
    assert_eq!(verdict, Verdict::Lightest(vec![1, 2, 3]));
    let sent = |turn, loads, tried: &[u32]| {
        verdict.sent(&Request { turn, loads, ..Request::default() }, bench.members(), tried)
    };
    let sent_of = |turn| (sent(turn, &[0, 2, 1, 1], &[]), sent(turn, &[0, 2, 1, 1], &[2]), sent(turn, &[], &[1]));
    assert_eq!(sent_of(0), (Some(2), Some(3), Some(2)));
    assert_eq!(sent_of(1), (Some(3), Some(3), Some(3)), "equals take turns");
    assert_eq!(sent(0, &[], &[1, 2, 3]), None);
    assert!(verdict.describe(bench.members()).starts_with("the least loaded of "));
    let all = Verdict::Lightest(Vec::new());
    assert_eq!(
        all.sent(&Request { loads: &[1, 0, 0, 1], turn: 3, ..Request::default() }, bench.members(), &[]),
        Some(2)
    );
    assert_eq!(
        all.without(&[1], 0, bench.members()),
        Verdict::Lightest(Vec::new()),
        "the host sets aside what was tried"
    );
    assert_eq!(bench.pick_again(&ask(4, 1, 0), &[1, 3]), Verdict::Lightest(vec![2]));
}

#[test]
fn a_retry_after_all_were_tried_is_refused() {
    match scripted(2).pick_again(&ask(0, 1, 7), &[1, 0]) {
        Verdict::Refuse { status: 503, reason } => {
            assert_eq!(reason, "every node that may serve this request was tried");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_verdict_in_words() {
    let bench = Bench::<Scripted>::new("", [node("a"), Node { ordinal: Some(7), ..node("b") }]);
    assert_eq!(bench.explain(&ask(0, 0, 0)), "node a");
    assert_eq!(bench.explain(&ask(1, 1, 0)), "node b (ordinal 7) or nobody");
    assert_eq!(bench.explain(&ask(2, 0, 0)), "in this order: a, b (ordinal 7)");
    assert_eq!(bench.explain(&ask(3, 20, 0)), "wait up to 20 ms for the membership to change");
    assert_eq!(bench.explain(&ask(5, 409, 0)), "refused with 409: because");
    assert_eq!(bench.explain(&ask(0, 9, 0)), "node #9, which is not there");
}

#[test]
fn a_policy_without_state_saves_and_restores_nothing() {
    let (mut runtime, _) = Runtime::<Scripted>::configure("{}").unwrap();
    assert_eq!(runtime.save(), []);
    assert_eq!(runtime.restore("0.0.1", &[1, 2, 3]), Ok(()));
    runtime.observe(&[]);
}

#[test]
#[should_panic(expected = "names a node that may not be picked")]
fn the_bench_catches_a_node_that_is_not_there() {
    scripted(3).pick(&ask(0, 3, 0));
}

#[test]
#[should_panic(expected = "names a node that may not be picked")]
fn the_bench_catches_a_node_that_is_down() {
    let mut bench = scripted(3);
    bench.stand(1, State::Down);
    bench.pick(&ask(2, 0, 0));
}

#[test]
#[should_panic(expected = "a refusal with status 200")]
fn the_bench_catches_a_refusal_that_is_none() {
    scripted(1).pick(&ask(5, 200, 0));
}

#[test]
fn a_standing_that_lies_about_its_length_is_survived() {
    let mut members = Members::default();
    members.replace(nodes(3), &Standing { state: vec![0], share: vec![7; 9], primary: Some(3), high_water: 0 });
    assert_eq!(members.eligible(), [0]);
    assert_eq!((members.share(0), members.share(2), members.share(3)), (7, 7, 0));
    assert_eq!(members.primary(), None);
    assert_eq!(members.high_water(), 3);
    members.stand(&Standing { state: vec![3, 1, 0, 0, 0], share: vec![], primary: Some(2), high_water: 9 });
    assert_eq!(members.eligible(), [1, 2]);
    assert_eq!((members.share(0), members.primary(), members.high_water()), (1000, Some(2), 9));
    assert_eq!(members.state(77), State::Down);
}

#[test]
fn states_that_are_not_known_count_as_down() {
    for number in 0..=u8::MAX {
        let state = State::from_wire(number);
        assert_eq!(state.eligible(), number < 2);
        assert!(number > 3 || state.to_wire() == number);
    }
}

proptest! {
    #[test]
    fn an_ordinal_is_found_wherever_it_stands(
        ordinals in prop::collection::hash_set(prop_oneof![1u64..30, any::<u64>()], 0..20),
        absent in any::<u64>(),
    ) {
        let ordinals: Vec<u64> = ordinals.into_iter().collect();
        let listed: Vec<Node> =
            ordinals.iter().map(|&o| Node { ordinal: Some(o), ..node(&o.to_string()) }).chain([node("none")]).collect();
        let mut members = Members::default();
        members.replace(listed, &Standing::default());
        for (index, &ordinal) in (0..).zip(&ordinals) {
            prop_assert_eq!(members.by_ordinal(ordinal), Some(index));
        }
        if !ordinals.contains(&absent) {
            prop_assert_eq!(members.by_ordinal(absent), None);
        }
        prop_assert!(members.ordinals().is_sorted());
    }
}
