//! Scenarios as timelines: what happened, and what the exchange did about it.

use super::*;

/// Plays events and writes one line for each: `milliseconds > event > action`.
pub(super) struct Timeline {
    pub(super) stage: Stage,
    text: String,
}

impl Timeline {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, text: String::new() }
    }

    pub(super) fn then(&mut self, at: u64, event: Event) -> &mut Self {
        let what = match &event {
            Event::Start => "start".into(),
            Event::Wake => "wake".into(),
            Event::Failed(failure) => format!("{:?}", failure.class),
        };
        self.stage.step(event, at);
        let action = match self.stage.last.as_ref().expect("an action") {
            Action::Connect(a) => format!("connect {} v{} #{} {:?}", a.node.spec.id, a.version, a.number, a.by),
            Action::Wait { until } => {
                let until = until.as_millis();
                match self.stage.exchange.waits_for().expect("told what for") {
                    WaitsFor::Change(version, _) => format!("park v{version} until {until}"),
                    WaitsFor::Permit(_) => format!("queue until {until}"),
                }
            }
            Action::PassOn => "pass on".into(),
            Action::Answer(reason) => format!("answer {reason:?}"),
        };
        writeln!(self.text, "{at} > {what} > {action}").expect("a string takes all");
        self
    }

    pub(super) fn reads(&self, expected: &str) {
        let expected: Vec<_> = expected.trim().lines().map(str::trim).collect();
        assert_eq!(self.text.lines().collect::<Vec<_>>(), expected);
    }
}

fn three_nodes(method: &str, attempts: u32) -> Timeline {
    let stage = Stage::new(&first_free(), method, attempts);
    stage.publish(1, &[(node(1), Up), (node(2), Up), (node(3), Up)]);
    Timeline::new(stage)
}

#[test]
fn a_failed_connection_goes_elsewhere_until_attempts_run_out() {
    let mut timeline = three_nodes("POST", 2);
    timeline.then(0, Event::Start).then(1, failed(FailureClass::Connect)).then(2, failed(FailureClass::Connect));
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         1 > Connect > connect n2 v1 #2 Policy
         2 > Connect > answer Connect",
    );
}

#[test]
fn a_post_that_was_sent_is_answered_not_repeated() {
    let mut timeline = three_nodes("POST", 3);
    timeline.then(0, Event::Start).then(5, failed(FailureClass::Reset));
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         5 > Reset > answer Reset",
    );
}

#[test]
fn a_status_that_may_not_be_tried_again_is_passed_on() {
    let mut timeline = three_nodes("GET", 2);
    timeline
        .then(0, Event::Start)
        .then(5, failed(FailureClass::Status(503)))
        .then(9, failed(FailureClass::Status(503)));
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         5 > Status(503) > connect n2 v1 #2 Policy
         9 > Status(503) > pass on",
    );
}

#[test]
fn when_all_nodes_were_tried_the_failure_is_answered_not_the_lack_of_nodes() {
    let mut timeline = three_nodes("GET", 9);
    timeline.then(0, Event::Start);
    for at in 1..=3 {
        timeline.then(at, failed(FailureClass::Timeout));
    }
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         1 > Timeout > connect n2 v1 #2 Policy
         2 > Timeout > connect n3 v1 #3 Policy
         3 > Timeout > answer Timeout",
    );
}

#[test]
fn nobody_is_there() {
    let stage = Stage::new(&first_free(), "GET", 2);
    stage.publish(1, &[(node(1), Down)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start);
    timeline.reads("0 > start > answer NoNode");
}

/// Parks while the owner (node 1) is down; it and nobody else may serve.
fn owner() -> Arc<Scripted> {
    Scripted::new(true, Needs::default(), |members, ask| {
        let up = members.members()[0].eligible() && !ask.tried.contains(&0);
        Ok(if up { Verdict::Only(0) } else { Verdict::Park(100) })
    })
}

#[test]
fn a_parked_request_goes_on_when_its_owner_comes_back() {
    let stage = Stage::new(&owner(), "GET", 2);
    stage.publish(1, &[(node(1), Down)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start).then(20, Event::Wake);
    timeline.stage.publish(2, &[(node(1), Down), (node(2), Up)]);
    timeline.then(50, Event::Wake);
    timeline.stage.publish(3, &[(node(1), Up), (node(2), Up)]);
    timeline.then(90, Event::Wake);
    timeline.reads(
        "0 > start > park v1 until 100
         20 > wake > park v1 until 100
         50 > wake > park v2 until 100
         90 > wake > connect n1 v3 #1 Policy",
    );
}

#[test]
fn a_parked_request_is_answered_when_its_time_is_over_though_the_membership_keeps_changing() {
    let stage = Stage::new(&owner(), "GET", 2);
    stage.publish(1, &[(node(1), Down)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start);
    timeline.stage.publish(2, &[(node(1), Down), (node(2), Up)]);
    timeline.then(100, Event::Wake);
    timeline.reads(
        "0 > start > park v1 until 100
         100 > wake > answer Parked",
    );
}

#[test]
fn an_owner_that_failed_may_come_back_as_another_life() {
    let stage = Stage::new(&owner(), "GET", 3);
    stage.publish(1, &[(node(1), Up)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start).then(3, failed(FailureClass::Reset));
    timeline.stage.publish(2, &[(node(7), Up)]);
    timeline.then(40, Event::Wake);
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         3 > Reset > park v1 until 103
         40 > wake > connect n7 v2 #2 Policy",
    );
}

#[test]
fn a_response_that_is_there_is_passed_on_rather_than_parked() {
    let stage = Stage::new(&owner(), "GET", 3);
    stage.publish(1, &[(node(1), Up)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start).then(3, failed(FailureClass::Status(503)));
    timeline.reads(
        "0 > start > connect n1 v1 #1 Policy
         3 > Status(503) > pass on",
    );
}

#[test]
fn nobody_is_parked_longer_than_a_minute() {
    let policy = Scripted::list(true, [Ok(Verdict::Park(u32::MAX))]);
    let stage = Stage::new(&policy, "GET", 2);
    stage.publish(1, &[(node(1), Down)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(5, Event::Start);
    timeline.reads("5 > start > park v1 until 60005");
}

#[test]
fn a_fault_is_named() {
    let stage = Stage::new(&Scripted::list(false, [Err(Fault::Trap)]), "GET", 2);
    stage.publish(1, &[(node(1), Down), (node(2), Up)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start);
    timeline.reads("0 > start > connect n2 v1 #1 Fallback(Trap)");
    let stage = Stage::new(&Scripted::list(true, [Err(Fault::Late)]), "GET", 2);
    stage.publish(1, &[(node(1), Up)]);
    let mut timeline = Timeline::new(stage);
    timeline.then(0, Event::Start);
    timeline.reads("0 > start > answer Fault(Late)");
}
