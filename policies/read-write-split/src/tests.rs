//! Reads spread, writes do not.

use pointsman_policy::bench::{Bench, chi_square, chi_square_limit, nodes, tally, turn};
use pointsman_policy::{Policy, Request, State, Verdict};
use proptest::prelude::*;

use crate::ReadWriteSplit;

type Split = Bench<ReadWriteSplit>;

const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];
const UNSAFE: [&str; 7] = ["POST", "PUT", "DELETE", "PATCH", "CONNECT", "get", "PROPFIND"];

/// Asks with a method.
fn with<T>(method: &str, number: u64, ask: impl FnOnce(&Request<'_>) -> T) -> T {
    ask(&Request { headers: &[Some(method.to_owned())], ..turn(number) })
}

fn split(settings: &str, count: u32) -> Split {
    let mut bench = Split::new(settings, nodes(count));
    bench.primary((count > 0).then_some(0));
    bench
}

#[test]
fn settings_are_checked() {
    const { assert!(ReadWriteSplit::PINS) };
    for (settings, message) in [
        (r#"{"reads": "replicas"}"#, "`reads`: unknown value `replicas`: there are `all`, `backups`"),
        (
            r#"{"balance": "round-robin"}"#,
            "`balance`: unknown value `round-robin`: there are `least-connections`, `random`",
        ),
        (r#"{"park": ""}"#, "`park`: expected a time such as \"800ms\" or \"2s\", up to \"1m\", not the text \"\""),
        (r#"{"write": 1}"#, "unknown setting `write`: there are `reads`, `balance`, `no_primary`, `park`"),
    ] {
        assert_eq!(Split::refusal(settings), message);
    }
    assert_eq!(split("{}", 1).needs().headers, [":method"]);
}

#[test]
fn writes_go_to_the_primary_and_reads_to_all() {
    let bench = split("{}", 3);
    for method in SAFE {
        assert_eq!(with(method, 0, |ask| bench.pick(ask)), Verdict::Lightest(vec![]), "{method}");
        assert_eq!(with(method, 0, |ask| bench.walk(ask)).len(), 3, "{method}");
    }
    for method in UNSAFE {
        assert_eq!(with(method, 0, |ask| bench.pick(ask)), Verdict::Only(0), "{method}");
        assert_eq!(with(method, 0, |ask| bench.walk(ask)), [0], "{method}");
    }
    assert_eq!(bench.pick(&turn(0)), Verdict::Only(0), "a method that nobody knows may write");
}

#[test]
fn backups_read_while_there_are_any() {
    let mut bench = split(r#"{"reads": "backups"}"#, 3);
    let readers = |bench: &Split| with("GET", 0, |ask| bench.pick(ask));
    assert_eq!(readers(&bench), Verdict::Lightest(vec![1, 2]));
    assert_eq!(with("GET", 0, |ask| bench.walk(ask)).last(), Some(&0), "the primary when both failed");
    bench.primary(Some(2));
    assert_eq!(readers(&bench), Verdict::Lightest(vec![0, 1]));
    bench.stand_all(&[State::Down, State::Draining, State::Up]);
    assert_eq!(readers(&bench), Verdict::Lightest(vec![]), "the primary alone is up");
    bench.stand_all(&[State::Down; 3]);
    assert!(matches!(readers(&bench), Verdict::Refuse { status: 503, .. }));
}

#[test]
fn a_write_without_a_primary_waits_and_a_read_does_not() {
    let mut bench = split(r#"{"park": "1s"}"#, 3);
    bench.primary(None);
    assert_eq!(with("POST", 0, |ask| bench.pick(ask)), Verdict::Park(1000));
    assert_eq!(with("GET", 0, |ask| bench.pick(ask)), Verdict::Lightest(vec![]));
    bench.primary(Some(1));
    assert_eq!(with("POST", 0, |ask| bench.pick_again(ask, &[1])), Verdict::Park(1000));
    let next = Split::new(r#"{"no_primary": "next"}"#, nodes(2));
    assert_eq!(with("POST", 0, |ask| next.walk(ask)), [0, 1]);
}

#[test]
fn it_explains_itself() {
    let bench = split(r#"{"balance": "random"}"#, 1);
    assert_eq!(with("GET", 0, |ask| bench.explain(ask)), "GET reads: node n1 (ordinal 1)");
    assert_eq!(with("PUT", 0, |ask| bench.explain(ask)), "PUT writes: node n1 (ordinal 1) or nobody");
    assert_eq!(bench.explain(&turn(0)), "a read: node n1 (ordinal 1); a write: node n1 (ordinal 1) or nobody");
}

/// A client that reads and writes by turns meets every node with its reads, as each other does.
#[test]
fn reads_spread_whatever_is_written_between() {
    let bench = split(r#"{"balance": "random"}"#, 4);
    for (start, step) in [(0, 1), (0, 2), (1, 2), (0, 4), (3, 4)] {
        let turns = (0..4000).map(|number| start + number * step);
        let reads = turns.map(|number| with("GET", number, |ask| bench.sent(ask)).expect("a node"));
        let counts = tally(4, reads);
        assert!(chi_square(&counts, &[1.0; 4]) < chi_square_limit(3), "every {step}th from {start}: {counts:?}");
    }
}

proptest! {
    /// Whatever stands how: a write meets the primary or nobody, a read meets everybody who is up, once.
    #[test]
    fn a_write_meets_the_primary_alone(
        down in prop::collection::vec(any::<bool>(), 1..10),
        primary in prop::option::of(0u32..10),
        reads in prop::sample::select(vec!["all", "backups"]),
        balance in prop::sample::select(vec!["least-connections", "random"]),
        method in prop::sample::select([SAFE.as_slice(), &UNSAFE].concat()),
        number in any::<u64>(),
    ) {
        let mut bench =
            Split::new(&format!(r#"{{"reads": "{reads}", "balance": "{balance}"}}"#), nodes(down.len() as u32));
        let states: Vec<State> = down.iter().map(|&down| if down { State::Down } else { State::Up }).collect();
        bench.stand_all(&states);
        bench.primary(primary);
        let live = primary.filter(|&index| bench.members().is_eligible(index));
        let mut met = with(method, number, |ask| bench.walk(ask));
        if SAFE.contains(&method) {
            let first = met.first().copied();
            prop_assert!(reads == "all" || live.is_none() || first != live || met.len() == 1);
            met.sort_unstable();
            prop_assert_eq!(met, bench.members().eligible());
        } else {
            prop_assert_eq!(met, Vec::from_iter(live));
        }
    }
}
