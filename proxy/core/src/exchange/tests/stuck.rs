//! Clients that come back to their node.

use super::*;

fn met(action: &Action) -> u64 {
    match action {
        Action::Connect(attempt) => attempt.node.incarnation.0,
        other => panic!("{other:?}"),
    }
}

/// Answers the owner, or else the first node that was not tried.
fn keeper() -> Arc<Scripted> {
    Scripted::new(false, Needs { owner: true, ..Needs::default() }, |membership, ask| {
        let free = |index: &&u32| !ask.tried.contains(index);
        let first = membership.eligible().iter().find(free).copied().unwrap_or(0);
        Ok(Verdict::Node(ask.owner.filter(|owner| free(&owner)).unwrap_or(first)))
    })
}

#[test]
fn a_policy_is_told_the_node_that_a_client_is_stuck_to() {
    let mut stage = Stage::new(&keeper(), "GET", 2);
    stage.stuck = Some(Incarnation(2));
    stage.publish(1, &[(node(1), Up), (node(2), Up)]);
    assert_eq!(met(stage.step(Event::Start, 0)), 2);
    assert_eq!(met(stage.step(failed(FailureClass::Connect), 1)), 1, "it may be left");
}

#[test]
fn a_node_that_is_down_or_gone_is_nobodys() {
    for other in [(node(2), Down), (node(3), Up)] {
        let mut stage = Stage::new(&keeper(), "GET", 2);
        stage.stuck = Some(Incarnation(2));
        stage.publish(1, &[(node(1), Up), other]);
        assert_eq!(met(stage.step(Event::Start, 0)), 1);
    }
}

#[test]
fn a_fault_of_the_policy_loses_nobody_their_node() {
    for pins in [false, true] {
        let faulty = Scripted::new(pins, Needs { owner: true, ..Needs::default() }, |_, _| Err(Fault::Trap));
        let mut stage = Stage::new(&faulty, "GET", 2);
        stage.stuck = Some(Incarnation(2));
        stage.publish(1, &[(node(1), Up), (node(2), Up)]);
        let Action::Connect(attempt) = stage.step(Event::Start, 0) else { panic!("nobody serves it") };
        assert_eq!((attempt.node.incarnation.0, attempt.by), (2, By::Fallback(Fault::Trap)));
    }
}

#[test]
fn a_policy_may_read_method_and_path() {
    let needs = Needs { headers: vec![":path".into(), ":method".into(), "x-a".into()], ..Needs::default() };
    let policy = Scripted::new(false, needs, |_, _| Ok(Verdict::Node(0)));
    let mut stage = Stage::new(&policy, "PATCH", 1);
    stage.publish(1, &[(node(1), Up)]);
    stage.step(Event::Start, 0);
    let asked = policy.asked.lock().expect("no panic");
    assert_eq!(asked[0].headers, Some(vec![Some("/".into()), Some("PATCH".into()), None]));
}
