//! Nobody but the primary, unless the operator says so.

use pointsman_policy::bench::{Bench, nodes, turn};
use pointsman_policy::{Policy, State, Verdict};
use proptest::prelude::*;

use crate::PrimaryBackup;

type Primary = Bench<PrimaryBackup>;

fn state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Up), Just(State::Degraded), Just(State::Draining), Just(State::Down)]
}

#[test]
fn settings_are_checked() {
    const { assert!(PrimaryBackup::PINS) };
    for (settings, message) in [
        (r#"{"no_primary": "wait"}"#, "`no_primary`: unknown value `wait`: there are `park`, `refuse`, `next`"),
        (r#"{"parks": "1s"}"#, "unknown setting `parks`: did you mean `park`?"),
        (r#"{"park": "2h"}"#, "`park`: expected a time such as \"800ms\" or \"2s\", up to \"1m\", not the text \"2h\""),
        (r#"{"park": 2}"#, "`park`: expected a time such as \"800ms\" or \"2s\", up to \"1m\", not 2"),
    ] {
        assert_eq!(Primary::refusal(settings), message);
    }
}

#[test]
fn the_primary_takes_everything_and_nobody_else_does() {
    let mut bench = Primary::new("{}", nodes(3));
    bench.primary(Some(1));
    for number in 0..10 {
        assert_eq!(bench.pick(&turn(number)), Verdict::Only(1));
    }
    assert_eq!(bench.walk(&turn(0)), [1], "a failed attempt goes nowhere else");
    assert_eq!(bench.explain(&turn(0)), "the primary takes everything: node n2 (ordinal 2) or nobody");
}

#[test]
fn without_a_primary_a_request_waits_for_the_next() {
    let mut bench = Primary::new(r#"{"park": "1500ms"}"#, nodes(2));
    assert_eq!(bench.pick(&turn(0)), Verdict::Park(1500));
    assert_eq!(bench.explain(&turn(0)), "there is no primary: wait up to 1500 ms for the membership to change");
    // The old one failed, and the next is elected while the request waits.
    bench.primary(Some(0));
    assert_eq!(bench.pick_again(&turn(0), &[0]), Verdict::Park(1500));
    bench.stand(0, State::Down);
    bench.primary(Some(1));
    assert_eq!(bench.pick_again(&turn(0), &[0]), Verdict::Only(1));
    assert_eq!(Primary::new("{}", nodes(1)).pick(&turn(0)), Verdict::Park(2000), "2 s if nothing is said");
}

#[test]
fn or_is_refused() {
    let mut bench = Primary::new(r#"{"no_primary": "refuse"}"#, nodes(2));
    let refused = Verdict::refuse(503, "no primary may take the request");
    assert_eq!(bench.pick(&turn(0)), refused);
    bench.primary(Some(0));
    assert_eq!(bench.pick_again(&turn(0), &[0]), refused);
    bench.stand(0, State::Draining);
    assert_eq!(bench.pick(&turn(0)), refused, "a primary that drains is none");
}

#[test]
fn or_goes_to_the_next_in_line() {
    let mut bench = Primary::new(r#"{"no_primary": "next"}"#, nodes(3));
    assert_eq!(bench.names(0..3), ["n1", "n1", "n1"]);
    bench.stand(0, State::Down);
    assert_eq!(bench.names(0..3), ["n2", "n2", "n2"]);
    bench.primary(Some(2));
    assert_eq!(bench.walk(&turn(0)), [2, 1]);
    bench.stand_all(&[State::Down; 3]);
    assert!(matches!(bench.pick(&turn(0)), Verdict::Refuse { status: 503, .. }));
}

proptest! {
    /// Whatever stands how, a request meets the primary or nobody; with `next` every node that is up, once.
    #[test]
    fn only_the_primary_is_ever_met(
        states in prop::collection::vec(state(), 1..10),
        primary in prop::option::of(any::<prop::sample::Index>()),
        no_primary in prop::sample::select(vec!["park", "refuse", "next"]),
    ) {
        let mut bench = Primary::new(&format!(r#"{{"no_primary": "{no_primary}"}}"#), nodes(states.len() as u32));
        bench.stand_all(&states);
        let primary = primary.map(|index| index.index(states.len()) as u32);
        bench.primary(primary);
        let live = primary.filter(|&index| bench.members().is_eligible(index));
        let mut met = bench.walk(&turn(0));
        if no_primary == "next" {
            prop_assert!(live.is_none() || met.first() == live.as_ref());
            met.sort_unstable();
            prop_assert_eq!(met, bench.members().eligible());
        } else {
            prop_assert_eq!(met, Vec::from_iter(live));
        }
    }
}
