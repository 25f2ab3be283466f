//! Every customer has one home, and only a dead node's customers move.

use pointsman_policy::bench::{Bench, keyed, moved, node, nodes, turn};
use pointsman_policy::hash::xxh64;
use pointsman_policy::{KeyNeed, Node, Policy, Request, State, Verdict};
use proptest::prelude::*;

use crate::CustomerModulo;

type Modulo = Bench<CustomerModulo>;

fn reason(verdict: &Verdict) -> (u16, &str) {
    match verdict {
        Verdict::Refuse { status, reason } => (*status, reason),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn settings_are_checked() {
    assert_eq!(Modulo::refusal(r#"{"slots": 0}"#), "`slots`: 0 is no modulus; give the number of slots, 1 or more");
    assert_eq!(Modulo::refusal(r#"{"slots": "3"}"#), "`slots`: expected a whole number, 0 or more, not the text \"3\"");
    assert_eq!(Modulo::refusal(r#"{"slot": 3}"#), "unknown setting `slot`: did you mean `slots`?");
    assert_eq!(
        Modulo::refusal(r#"{"failover": "any"}"#),
        "`failover`: unknown value `any`: there are `none`, `next`, `primary`"
    );
    assert_eq!(
        Modulo::refusal(r#"{"on_missing": "guess"}"#),
        "`on_missing`: unknown value `guess`: there are `refuse`, `round-robin`"
    );
    const { assert!(CustomerModulo::PINS) };
    assert_eq!(Modulo::new("{}", nodes(1)).needs().key, KeyNeed::Number);
}

#[test]
fn id_mod_slots_plus_one_is_the_ordinal() {
    for slots in 1..=12u32 {
        let bench = Modulo::new(&format!(r#"{{"slots": {slots}}}"#), nodes(slots));
        for id in 0..10 * slots {
            let home = id % slots;
            assert_eq!(bench.pick(&keyed(&id.to_string())), Verdict::Only(home), "{id} mod {slots}");
        }
    }
}

#[test]
fn negative_ids_count_upward_too() {
    let bench = Modulo::new(r#"{"slots": 3}"#, nodes(3));
    let homes: Vec<_> = (-4..=4).map(|id: i32| bench.home(&id.to_string()).unwrap().to_owned()).collect();
    assert_eq!(homes, ["n3", "n1", "n2", "n3", "n1", "n2", "n3", "n1", "n2"]);
}

#[test]
fn other_ids_are_hashed_by_the_stable_hash() {
    let bench = Modulo::new(r#"{"slots": 5}"#, nodes(5));
    for id in ["alice", "a-7", "+7", "7.0", "Ünal"] {
        let expected = (xxh64(id.as_bytes(), 0) % 5) as u32;
        assert_eq!(bench.pick(&keyed(id)), Verdict::Only(expected), "{id}");
        // A host that sends no hash gets the same answer.
        assert_eq!(bench.pick(&Request { key_hash: None, ..keyed(id) }), Verdict::Only(expected), "{id}");
    }
}

#[test]
fn a_missing_or_empty_id_is_refused_or_routed() {
    let bench = Modulo::new(r#"{"slots": 3}"#, nodes(3));
    for request in [turn(0), keyed("")] {
        assert_eq!(reason(&bench.pick(&request)), (400, "the request carries no customer id"));
    }
    let bench = Modulo::new(r#"{"slots": 3, "on_missing": "round-robin"}"#, nodes(3));
    assert_eq!(bench.names(0..4), ["n1", "n2", "n3", "n1"]);
    assert_eq!(bench.walk(&turn(0)).len(), 3, "a retry of a request without an id tries the others");
}

#[test]
fn without_slots_the_high_water_mark_is_the_modulus() {
    let mut bench = Modulo::new("{}", nodes(4));
    assert_eq!(bench.home("7"), Some("n4"));
    // Node 4 left: its slot stays, and so does everybody else's home.
    bench.replace(nodes(3));
    bench.high_water(4);
    assert_eq!(bench.home("6"), Some("n3"));
    assert_eq!(reason(&bench.pick(&keyed("7"))).0, 503);
    let bench = Modulo::new("{}", [node("a")]);
    assert!(reason(&bench.pick(&keyed("7"))).1.contains("`slots`"));
}

#[test]
fn failover_none_refuses_and_names_the_ordinal() {
    let mut bench = Modulo::new(r#"{"slots": 3}"#, nodes(3));
    for state in [State::Down, State::Draining] {
        bench.stand(1, state);
        let verdict = bench.pick(&keyed("1"));
        assert_eq!(reason(&verdict), (503, "node 2, where this id belongs, is not available; failover is off"));
    }
    assert_eq!(bench.walk(&keyed("0")), [0], "a failed attempt is not tried elsewhere");
}

#[test]
fn failover_next_goes_upward_and_around() {
    let mut bench = Modulo::new(r#"{"slots": 4, "failover": "next"}"#, nodes(4));
    bench.stand(1, State::Down);
    bench.stand(2, State::Down);
    assert_eq!(bench.pick(&keyed("1")), Verdict::Node(3));
    bench.stand(3, State::Down);
    assert_eq!(bench.pick(&keyed("1")), Verdict::Node(0));
    bench.stand_all(&[State::Up; 4]);
    assert_eq!(bench.walk(&keyed("2")), [2, 3, 0, 1]);
}

#[test]
fn failover_primary_goes_there_and_no_further() {
    let mut bench = Modulo::new(r#"{"slots": 3, "failover": "primary"}"#, nodes(3));
    bench.primary(Some(2));
    bench.stand(0, State::Down);
    assert_eq!(bench.pick(&keyed("0")), Verdict::Node(2));
    assert_eq!(bench.walk(&keyed("1")), [1, 2]);
    bench.stand(2, State::Down);
    assert!(reason(&bench.pick(&keyed("0"))).1.contains("no primary"));
}

/// A request whose node is failing over waits rather than go astray; whoever may take it in the end, takes it.
#[test]
fn who_would_be_refused_may_wait() {
    for (failover, heir) in [("none", None), ("next", Some(2)), ("primary", Some(0))] {
        let settings = format!(r#"{{"slots": 3, "failover": "{failover}", "park": "2s"}}"#);
        let mut bench = Modulo::new(&settings, nodes(3));
        bench.primary(Some(0));
        bench.stand(1, State::Down);
        let expected = heir.map_or(Verdict::Park(2000), Verdict::Node);
        assert_eq!(bench.pick(&keyed("1")), expected, "{failover}");
        assert_eq!(bench.pick_again(&keyed("2"), &[2]), heir.map_or(expected, |_| Verdict::Node(0)), "{failover}");
        bench.primary(None);
        bench.stand_all(&[State::Down; 3]);
        assert_eq!(bench.pick(&keyed("1")), Verdict::Park(2000), "{failover}: nobody at all");
        bench.stand(1, State::Up);
        assert_eq!(bench.home("1"), Some("n2"), "{failover}: it came back");
        assert_eq!(bench.pick(&keyed("-")).first().is_some(), failover == "next", "{failover}: its node did not");
    }
    assert_eq!(reason(&Modulo::new(r#"{"park": "2s"}"#, nodes(3)).pick(&turn(0))).0, 400, "no node would help");
}

#[test]
fn ordinals_need_not_start_at_one_nor_run_without_gaps() {
    let numbered = |id: &str, ordinal| Node { ordinal: Some(ordinal), ..node(id) };
    let bench = Modulo::new(r#"{"slots": 10, "failover": "next"}"#, [node("x"), numbered("b", 9), numbered("a", 3)]);
    assert_eq!(bench.home("2"), Some("a"));
    assert_eq!(bench.home("8"), Some("b"));
    assert_eq!(bench.home("4"), Some("b"), "slot 5 has no node: the next upward is 9");
    assert_eq!(bench.home("9"), Some("a"), "slot 10 has no node: around to 3");
}

#[test]
fn it_explains_itself() {
    let bench = Modulo::new(r#"{"slots": 3}"#, nodes(3));
    assert_eq!(bench.explain(&keyed("7")), "7: mod 3 = 1, so ordinal 2: node n2 (ordinal 2) or nobody");
    assert!(bench.explain(&keyed("bob")).starts_with("bob: its hash mod 3 = "));
    assert_eq!(bench.explain(&turn(0)), "no id: refused with 400: the request carries no customer id");
}

proptest! {
    /// The host tells most ids as numbers; as text they have the same home.
    #[test]
    fn a_number_goes_where_its_text_goes(number in 0u64..1_000_000_000_000_000_000, slots in 1u32..100) {
        let bench = Modulo::new(&format!(r#"{{"slots": {slots}}}"#), nodes(slots));
        let told = Request { number: Some(number), ..turn(0) };
        prop_assert_eq!(bench.pick(&told), bench.pick(&keyed(&number.to_string())));
        prop_assert_eq!(bench.explain(&told), bench.explain(&keyed(&number.to_string())));
    }

    /// Whatever is down, no customer moves whose node is alive.
    #[test]
    fn only_a_dead_nodes_customers_move(
        count in 1u32..30,
        down in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        failover in prop::sample::select(vec!["none", "next", "primary"]),
        configured in any::<bool>(),
    ) {
        let slots = if configured { format!(r#""slots": {count}, "#) } else { String::new() };
        let settings = format!(r#"{{{slots}"failover": "{failover}"}}"#);
        let before = Modulo::new(&settings, nodes(count));
        let mut after = Modulo::new(&settings, nodes(count));
        for index in down {
            after.stand(index.index(count as usize), State::Down);
        }
        let keys: Vec<String> = (0..count * 3).map(|id| id.to_string()).chain(["bob".into(), "-5".into()]).collect();
        prop_assert_eq!(moved(&keys, &before, &after), []);
    }

    /// The order in which the nodes are listed does not matter.
    #[test]
    fn order_does_not_matter(mut listed in Just(nodes(9)).prop_shuffle(), id in any::<i64>()) {
        let shuffled = Modulo::new(r#"{"slots": 9}"#, listed.clone());
        listed.sort_by_key(|node| node.ordinal);
        let sorted = Modulo::new(r#"{"slots": 9}"#, listed);
        prop_assert_eq!(shuffled.home(&id.to_string()), sorted.home(&id.to_string()));
    }
}
