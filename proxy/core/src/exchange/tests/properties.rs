//! What holds whatever the policy answers, whatever fails, and however the membership changes meanwhile.

use super::*;
use crate::cluster::membership::Standing::{Degraded, Draining};

fn any_verdict() -> impl Strategy<Value = Result<Verdict, Fault>> {
    prop_oneof![
        4 => (0_u32..6).prop_map(|i| Ok(Verdict::Node(i))),
        2 => (0_u32..6).prop_map(|i| Ok(Verdict::Only(i))),
        2 => prop::collection::vec(0_u32..6, 0..6).prop_map(|list| Ok(Verdict::Ranked(list.into()))),
        1 => (0_u32..500).prop_map(|ms| Ok(Verdict::Park(ms))),
        1 => Just(Err(Fault::Trap)),
    ]
}

fn any_membership() -> impl Strategy<Value = Vec<(u64, Standing)>> {
    let standing = prop::sample::select(vec![Up, Up, Degraded, Draining, Down]);
    prop::collection::btree_map(1_u64..8, standing, 0..6).prop_map(|nodes| nodes.into_iter().collect())
}

fn any_failure() -> impl Strategy<Value = Failure> {
    let class = prop_oneof![
        Just(FailureClass::Connect),
        Just(FailureClass::Reset),
        Just(FailureClass::Timeout),
        Just(FailureClass::Malformed),
        Just(FailureClass::Status(503)),
        Just(FailureClass::Status(500)),
    ];
    (class, any::<bool>(), any::<bool>()).prop_map(|(class, sent, replayable)| Failure {
        class,
        sent: sent && class != FailureClass::Connect,
        replayable,
    })
}

/// What happened to one request.
struct Outcome {
    ended: bool,
    seen: Vec<Incarnation>,
    sent: u32,
}

/// Plays a request to its end: the membership changes before every step, every attempt fails.
fn play(
    stage: &mut Stage,
    nodes: &[Arc<Node>],
    worlds: &[Vec<(u64, Standing)>],
    failures: &[Failure],
) -> Result<Outcome, TestCaseError> {
    let mut outcome = Outcome { ended: false, seen: Vec::new(), sent: 0 };
    let mut event = Event::Start;
    // More rounds than attempts and parks can use up: a park lasts half a second at most, a round takes 50 ms.
    for round in 1..40_u64 {
        let world = &worlds[round as usize % worlds.len()];
        let members: Vec<_> = world.iter().map(|(i, s)| (Arc::clone(&nodes[*i as usize]), *s)).collect();
        stage.publish(round, &members);
        event = match stage.step(event, round * 50) {
            Action::Connect(attempt) => {
                let life = attempt.node.incarnation;
                prop_assert!(!outcome.seen.contains(&life), "the same node twice");
                prop_assert!(world.iter().any(|(i, s)| Incarnation(*i) == life && matches!(s, Up | Degraded)));
                prop_assert_eq!(attempt.node.load.in_flight(), 1);
                outcome.seen.push(life);
                let failure = failures[outcome.seen.len() % failures.len()];
                outcome.sent += u32::from(failure.sent);
                Event::Failed(failure)
            }
            Action::Wait { until } => {
                prop_assert!(*until > Duration::from_millis(round * 50));
                Event::Wake
            }
            Action::PassOn => {
                let has_response = matches!(event, Event::Failed(Failure { class: FailureClass::Status(_), .. }));
                prop_assert!(has_response, "nothing to pass on");
                outcome.ended = true;
                return Ok(outcome);
            }
            Action::Answer(_) => {
                outcome.ended = true;
                return Ok(outcome);
            }
        };
    }
    Ok(outcome)
}

proptest! {
    #[test]
    fn every_request_ends_and_keeps_the_rules(
        verdicts in prop::collection::vec(any_verdict(), 1..20),
        worlds in prop::collection::vec(any_membership(), 1..20),
        failures in prop::collection::vec(any_failure(), 20),
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH"]),
        attempts in 1_u32..5,
        pins: bool,
    ) {
        let mut verdicts = verdicts.into_iter().cycle();
        let policy = Scripted::new(pins, Needs::default(), move |_, _| verdicts.next().expect("a cycle"));
        let mut stage = Stage::new(&policy, method, attempts);
        let nodes: Vec<_> = (0..8).map(node).collect();
        let outcome = play(&mut stage, &nodes, &worlds, &failures)?;
        prop_assert!(outcome.ended, "it goes on for ever");
        prop_assert!(outcome.seen.len() <= attempts as usize);
        prop_assert!(is_idempotent(method) || outcome.sent <= 1, "sent {} times", outcome.sent);
        stage.last = None;
        prop_assert!(nodes.iter().all(|node| node.load.in_flight() == 0));
    }
}
