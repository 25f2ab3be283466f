//! Never other than the live owner.

use pointsman_policy::bench::{Bench, keyed, moved, nodes, turn};
use pointsman_policy::{KeyNeed, Needs, Policy, Request, State, Verdict};
use proptest::prelude::*;

use crate::OrderOwner;

type Orders = Bench<OrderOwner>;

const NEW: [&str; 4] = ["round-robin", "least-connections", "hash", "primary"];

fn new(kind: &str, count: u32) -> Orders {
    Orders::new(&format!(r#"{{"new": "{kind}"}}"#), nodes(count))
}

fn owned(owner: u32, number: u64) -> Request<'static> {
    Request { owner: Some(owner), ..turn(number) }
}

#[test]
fn settings_are_checked() {
    const { assert!(OrderOwner::PINS) };
    for (settings, message) in [
        (
            r#"{"new": "modulo"}"#,
            "`new`: unknown value `modulo`: there are `round-robin`, `least-connections`, `hash`, `primary`",
        ),
        (r#"{"on_missing": "round-robin"}"#, "`on_missing`: unknown value `round-robin`: there are `new`, `refuse`"),
        (r#"{"failover": "next"}"#, "unknown setting `failover`: there are `new`, `on_missing`, `park`"),
    ] {
        assert_eq!(Orders::refusal(settings), message);
    }
    let needs = |key| Needs { owner: true, key, ..Needs::default() };
    assert_eq!(*Orders::new("{}", nodes(1)).needs(), needs(KeyNeed::None));
    assert_eq!(*new("hash", 1).needs(), needs(KeyNeed::Hash));
    assert_eq!(*Orders::new(r#"{"on_missing": "refuse"}"#, nodes(1)).needs(), needs(KeyNeed::Hash));
}

#[test]
fn an_order_goes_to_its_owner() {
    for kind in NEW {
        let bench = new(kind, 3);
        for number in 0..6 {
            assert_eq!(bench.pick(&owned(1, number)), Verdict::Only(1), "{kind}");
        }
        assert_eq!(bench.walk(&owned(1, 0)), [1], "{kind}: a failed attempt goes nowhere else");
        assert_eq!(bench.explain(&owned(1, 0)), "it has an owner: node n2 (ordinal 2) or nobody");
    }
}

/// The host learns that the owner is gone, and asks again with what it then decides.
#[test]
fn a_dying_owner_is_waited_for() {
    let bench = Orders::new(r#"{"park": "300ms"}"#, nodes(3));
    assert_eq!(bench.pick_again(&owned(1, 0), &[1]), Verdict::Park(300));
    assert_eq!(bench.pick_again(&owned(2, 0), &[1]), Verdict::Only(2), "it moved meanwhile");
}

#[test]
fn a_new_order_is_taken_as_the_settings_say() {
    assert_eq!(new("round-robin", 3).names(0..4), ["n1", "n2", "n3", "n1"]);
    assert_eq!(new("least-connections", 3).pick(&turn(0)), Verdict::Lightest(vec![]));
    assert_eq!(new("hash", 3).names(0..3), ["n1", "n2", "n3"], "without a key, in turn");
    let mut primary = new("primary", 3);
    assert_eq!(primary.pick(&turn(0)), Verdict::Park(2000));
    primary.primary(Some(2));
    assert_eq!(primary.pick(&turn(0)), Verdict::Only(2));
    assert_eq!(primary.explain(&turn(0)), "it has no owner: node n3 (ordinal 3) or nobody");
    for kind in NEW {
        assert!(matches!(new(kind, 0).pick(&keyed("a")), Verdict::Refuse { .. } | Verdict::Park(_)), "{kind}");
    }
}

#[test]
fn a_request_without_a_key_may_be_refused() {
    let bench = Orders::new(r#"{"on_missing": "refuse"}"#, nodes(3));
    assert_eq!(bench.pick(&turn(0)), Verdict::refuse(400, "the request carries no key"));
    assert_eq!(bench.pick(&keyed("a")), Verdict::Node(0));
    assert_eq!(bench.pick(&owned(2, 0)), Verdict::Only(2), "another rule than the key's found the owner");
}

proptest! {
    /// Whatever the settings and however the nodes stand: the owner or nobody, as long as it is up; a member otherwise.
    #[test]
    fn a_live_owner_or_nobody(
        kind in prop::sample::select(NEW.to_vec()),
        down in prop::collection::vec(any::<bool>(), 1..12),
        owner in prop::option::of(0u32..12),
        number in any::<u64>(),
        key in ".{0,8}",
    ) {
        let mut bench = new(kind, down.len() as u32);
        let states: Vec<State> = down.iter().map(|&down| if down { State::Down } else { State::Up }).collect();
        bench.stand_all(&states);
        let request = Request { owner, ..Request { key_hash: keyed(&key).key_hash, ..turn(number) } };
        // The bench proves that only members that are up, and were not tried, are named.
        let met = bench.walk(&request);
        if let Some(owner) = owner.filter(|&owner| bench.members().is_eligible(owner)) {
            prop_assert_eq!(met, [owner]);
        } else if kind != "primary" {
            prop_assert_eq!(met.len(), bench.members().eligible().len());
        }
    }

    /// By hash no new order moves whose node is alive.
    #[test]
    fn hashed_orders_move_with_their_node_alone(
        count in 1u32..12,
        down in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let before = new("hash", count);
        let mut after = new("hash", count);
        for index in down {
            after.stand(index.index(count as usize), State::Down);
        }
        let keys: Vec<String> = (0..100).map(|key| format!("order-{key}")).collect();
        prop_assert_eq!(moved(&keys, &before, &after), []);
    }
}
