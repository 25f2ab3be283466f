//! Nodes with one permit each, and a line in which one may wait for 100 ms.

use super::timeline::Timeline;
use super::*;
use crate::cluster::load::NodeLoad;

fn narrow(incarnation: u64) -> Arc<Node> {
    let load = Arc::new(NodeLoad::with_permits(Some(1)));
    Arc::new(Node { load, ..Node::clone(&node(incarnation)) })
}

fn stage(nodes: &[&Arc<Node>], method: &str) -> Stage {
    let stage = Stage::new(&first_free(), method, 2);
    stage.publish(1, &nodes.iter().map(|node| (Arc::clone(node), Up)).collect::<Vec<_>>());
    stage
}

#[test]
fn a_request_waits_for_its_permit_and_its_attempt_says_how_long() {
    let n1 = narrow(1);
    let held = n1.load.enter(0);
    let mut timeline = Timeline::new(stage(&[&n1], "GET"));
    timeline.then(0, Event::Start).then(40, Event::Wake);
    assert_eq!((n1.load.in_flight(), n1.load.queued()), (2, 1), "it counts from the verdict on");
    drop(held);
    timeline.then(70, Event::Wake);
    timeline.reads(
        "0 > start > queue until 100
         40 > wake > queue until 100
         70 > wake > connect n1 v1 #1 Policy",
    );
    let Some(Action::Connect(attempt)) = &timeline.stage.last else { panic!("an attempt") };
    assert_eq!(attempt.waited, Some(Duration::from_millis(70)));
    assert_eq!((n1.load.in_flight(), n1.load.queued()), (1, 0));
}

#[test]
fn whoever_waits_too_long_is_refused_and_frees_the_place() {
    let n1 = narrow(1);
    let _held = n1.load.enter(0);
    let mut timeline = Timeline::new(stage(&[&n1], "GET"));
    timeline.then(0, Event::Start).then(100, Event::Wake);
    timeline.reads(
        "0 > start > queue until 100
         100 > wake > answer QueueTimeout",
    );
    assert_eq!((n1.load.in_flight(), n1.load.queued()), (1, 0));
}

#[test]
fn a_line_that_is_full_refuses_at_once() {
    let n1 = narrow(1);
    let _held = [n1.load.enter(0), n1.load.enter(1)];
    let mut timeline = Timeline::new(stage(&[&n1], "GET"));
    timeline.then(0, Event::Start);
    timeline.reads("0 > start > answer QueueFull");
    // Else every request until a place is free would be refused in its turn, while other nodes have places.
    assert_eq!(timeline.stage.turn.load(Ordering::Relaxed), 41, "its turn is used up");
}

#[test]
fn a_client_that_leaves_the_line_frees_its_place() {
    let n1 = narrow(1);
    let _held = n1.load.enter(0);
    let mut stage = stage(&[&n1], "GET");
    stage.step(Event::Start, 0);
    assert_eq!(n1.load.queued(), 1);
    drop(stage.exchange);
    assert_eq!((n1.load.in_flight(), n1.load.queued()), (1, 0));
}

#[test]
fn a_node_that_goes_down_sends_its_line_elsewhere() {
    let (n1, n2) = (narrow(1), narrow(2));
    let _held = n1.load.enter(0);
    let mut timeline = Timeline::new(stage(&[&n1, &n2], "POST"));
    timeline.then(0, Event::Start);
    let before = timeline.stage.members.load_full();
    timeline.stage.publish(2, &[(Arc::clone(&n1), Down), (Arc::clone(&n2), Up)]);
    timeline.stage.members.load().send_away(&before);
    timeline.then(30, Event::Wake);
    timeline.reads(
        "0 > start > queue until 100
         30 > wake > connect n2 v2 #1 Policy",
    );
    assert_eq!((n1.load.in_flight(), n1.load.queued()), (1, 0));
}

#[test]
fn the_time_to_wait_is_counted_once_for_the_whole_request() {
    let (n1, n2) = (narrow(1), narrow(2));
    let first = n1.load.enter(0);
    let _second = n2.load.enter(0);
    let mut timeline = Timeline::new(stage(&[&n1, &n2], "GET"));
    timeline.then(0, Event::Start);
    drop(first);
    timeline.then(60, Event::Wake).then(80, failed(FailureClass::Connect)).then(100, Event::Wake);
    timeline.reads(
        "0 > start > queue until 100
         60 > wake > connect n1 v1 #1 Policy
         80 > Connect > queue until 100
         100 > wake > answer Connect",
    );
}

#[test]
fn a_response_that_is_there_is_passed_on_rather_than_queued() {
    let (n1, n2) = (narrow(1), narrow(2));
    let _held = n2.load.enter(0);
    let mut timeline = Timeline::new(stage(&[&n1, &n2], "GET"));
    timeline.then(0, Event::Start).then(9, failed(FailureClass::Status(503)));
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         9 > Status(503) > pass on",
    );
    assert_eq!(n2.load.queued(), 0);
}
