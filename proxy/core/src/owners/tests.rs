use std::collections::HashMap;
use std::thread;

use pointsman_config::plan::{BoundTo, OnGone, OnUnknown};
use proptest::prelude::*;

use super::decide::{Course, Rules};
use super::snapshot::{Restored, Unreadable};
use super::*;
use crate::cluster::membership::{Member, Membership, Standing};
use crate::pick::scripted::node;

mod later;
mod telling;

const TTL: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn life(number: u64) -> (String, Incarnation) {
    (format!("n{number}"), Incarnation(number))
}

fn claim(table: &OwnerTable, key: &str, number: u64, now: Duration) -> Claim {
    let (id, incarnation) = life(number);
    table.claim(key, &id, incarnation, now)
}

fn owner(table: &OwnerTable, key: &str, now: Duration) -> Option<String> {
    table.find(key, now).map(|owner| table.life(owner).node.to_string())
}

#[test]
fn who_comes_first_owns_the_key() {
    let table = OwnerTable::new(1_000, TTL);
    assert_eq!(table.find("a", at(0)), None);
    assert!(matches!(claim(&table, "a", 1, at(0)), Claim::New(_)));
    let Claim::Held(held) = claim(&table, "a", 2, at(1)) else { panic!("it has an owner") };
    assert_eq!((&*table.life(held).node, held.epoch), ("n1", 0));
    assert_eq!(owner(&table, "a", at(1)).as_deref(), Some("n1"));
    assert_eq!((table.len(), table.life(held).owned()), (1, 1));
    assert!(matches!(claim(&table, &"k".repeat(LONGEST_KEY), 1, at(1)), Claim::New(_)));
    assert_eq!(claim(&table, &"k".repeat(LONGEST_KEY + 1), 1, at(1)), Claim::Refused);
}

#[test]
fn an_owner_is_known_for_as_long_as_somebody_asks() {
    let table = OwnerTable::new(1_000, TTL);
    claim(&table, "asked", 1, at(0));
    claim(&table, "looked-at", 1, at(0));
    for second in [50, 100, 150] {
        assert!(table.find("asked", at(second)).is_some());
        assert_eq!(table.peek("looked-at", at(second)).is_some(), second <= 60, "looking on keeps nobody");
    }
    assert_eq!(table.find("asked", at(150)).map(|owner| owner.idle), Some(Duration::ZERO));
    assert_eq!(table.sweep(0, at(150)), 1);
    assert_eq!((table.len(), owner(&table, "asked", at(210)).as_deref()), (1, Some("n1")));
    assert_eq!(owner(&table, "asked", at(271)), None, "past its time, swept or not");
    assert!(matches!(claim(&table, "asked", 2, at(271)), Claim::New(_)));
    assert_eq!((table.len(), owner(&table, "asked", at(271)).as_deref()), (1, Some("n2")));
    assert_eq!(table.counts().expired.load(Ordering::Relaxed), 2);
    let owned: Vec<_> = table.lives().iter().map(|life| life.owned()).collect();
    assert_eq!(owned, [0, 1]);
}

#[test]
fn a_full_table_forgets_who_was_not_asked_for() {
    let table = OwnerTable::new(100, TTL);
    for key in 0..100 {
        claim(&table, &format!("old-{key}"), 1, at(0));
    }
    for key in 0..60 {
        assert!(table.find(&format!("old-{key}"), at(5)).is_some());
    }
    for key in 0..1_000 {
        claim(&table, &format!("new-{key}"), 2, at(6));
        assert!(table.len() <= 100);
    }
    assert_eq!((table.len(), table.counts().evicted.load(Ordering::Relaxed)), (100, 1_000));
    let owned: u32 = table.lives().iter().map(|life| life.owned()).sum();
    assert_eq!(owned, 100);
}

#[test]
fn a_chain_of_order_ids_stays_at_one_node() {
    let table = OwnerTable::new(100, TTL);
    claim(&table, "order-1", 7, at(0));
    assert_eq!(table.alias("order-2", "nobody's", at(1)), None);
    assert!(matches!(table.alias("order-2", "order-1", at(1)), Some(Claim::New(_))));
    assert!(table.release("order-1", at(2)).is_some());
    assert!(matches!(table.alias("order-3", "order-2", at(3)), Some(Claim::New(_))));
    assert_eq!(owner(&table, "order-3", at(3)).as_deref(), Some("n7"));
    assert_eq!(owner(&table, "order-1", at(3)), None);
    assert_eq!(table.release("order-1", at(3)), None);
}

#[test]
fn keys_move_with_a_rising_epoch() {
    let table = OwnerTable::new(10_000, TTL);
    for key in 0..300 {
        claim(&table, &format!("k{key}"), key % 3, at(0));
    }
    let moved = table.reassign("k0", "n1", Incarnation(1), at(1)).expect("it has an owner");
    assert_eq!((moved.epoch, owner(&table, "k0", at(1)).as_deref()), (1, Some("n1")));
    assert_eq!(table.reassign("nobody's", "n1", Incarnation(1), at(1)), None);
    assert_eq!(table.reassign_all("n2", "n1", Incarnation(1)), 100);
    assert_eq!((table.list("n1", 1_000, at(1)).len(), table.list("n2", 1_000, at(1)).len()), (201, 0));
    assert_eq!(table.list("n1", 5, at(1)).len(), 5);
    let owned: u32 = table.lives().iter().map(|life| life.owned()).sum();
    assert_eq!(owned, 300);
}

#[test]
fn of_two_who_find_the_owner_gone_one_takes_over() {
    let table = OwnerTable::new(100, TTL);
    claim(&table, "a", 1, at(0));
    let gone = table.find("a", at(1)).expect("it has an owner");
    let first = table.take_over("a", gone, "n2", Incarnation(2), at(1));
    let second = table.take_over("a", gone, "n3", Incarnation(3), at(1));
    let (Claim::New(new), Claim::Held(held)) = (first, second) else { panic!("{first:?} {second:?}") };
    assert_eq!((new.life, new.epoch, held.life), (held.life, 1, new.life));
    table.release("a", at(1));
    assert!(matches!(table.take_over("a", new, "n3", Incarnation(3), at(1)), Claim::New(Owner { epoch: 2, .. })));
}

#[test]
fn an_owner_is_asked_or_what_the_settings_say() {
    let table = OwnerTable::new(100, TTL);
    let members = |standings: &[(u64, Standing)], primary| {
        let member = |&(number, standing)| Member { node: node(number), standing, share: 1000 };
        Membership::new(1, 1, standings.iter().map(member).collect(), primary)
    };
    let id = node(1).spec.id.clone();
    table.claim("live", &id, Incarnation(1), at(0));
    table.claim("earlier", &id, Incarnation(99), at(0));
    let find = |key| table.find(key, at(0));
    let rules = Rules { on_unknown: OnUnknown::Hash, on_gone: OnGone::Refuse, bound_to: BoundTo::Node };
    let up = members(&[(1, Standing::Up), (2, Standing::Up)], Some(1));
    let down = members(&[(1, Standing::Down), (2, Standing::Up)], Some(1));
    let nobody = members(&[(1, Standing::Down), (2, Standing::Down)], Some(1));
    let course = |rules: Rules, key, members| rules.course(&table, find(key), members, true);
    assert_eq!(course(rules, "live", &up), Course::Owner(0));
    assert_eq!(course(rules, "earlier", &up), Course::Owner(0));
    assert_eq!(course(Rules { bound_to: BoundTo::Life, ..rules }, "earlier", &up), Course::Gone);
    assert_eq!(course(rules, "live", &down), Course::Gone);
    assert_eq!(course(Rules { on_gone: OnGone::Policy, ..rules }, "live", &down), Course::Policy);
    assert_eq!(course(Rules { on_gone: OnGone::Park, ..rules }, "live", &down), Course::Park);
    let primary = Rules { on_gone: OnGone::Primary, on_unknown: OnUnknown::Primary, ..rules };
    assert_eq!(course(primary, "live", &down), Course::Primary(1));
    assert_eq!(course(primary, "live", &nobody), Course::Park, "it waits for a primary");
    assert_eq!(course(primary, "unknown", &up), Course::Primary(1));
    assert_eq!(course(rules, "unknown", &up), Course::Policy);
    assert_eq!(course(Rules { on_unknown: OnUnknown::Park, ..rules }, "unknown", &up), Course::Park);
    assert_eq!(course(Rules { on_unknown: OnUnknown::Refuse, ..rules }, "unknown", &up), Course::Unknown);
}

#[test]
fn a_snapshot_brings_everybody_back_as_old_as_they_were() {
    let table = OwnerTable::new(10_000, TTL);
    for key in 0..500_u64 {
        claim(&table, &format!("k{key}"), key % 3, at(100 + key % 50));
    }
    table.reassign("k7", "n2", Incarnation(2), at(150));
    claim(&table, &"long".repeat(60), 1, at(150));
    let bytes = table.snapshot(at(155));
    // Another process, whose clock has just begun.
    let again = OwnerTable::new(10_000, TTL);
    again.claim("k8", "other", Incarnation(9), at(1));
    assert_eq!(again.restore(&bytes, at(1)), Ok(Restored { known: 500, left_out: 1 }));
    assert_eq!(owner(&again, "k8", at(1)).as_deref(), Some("other"), "what is known already stays");
    assert_eq!(again.peek("k7", at(1)).map(|owner| owner.epoch), Some(1));
    for key in (0..500_u64).filter(|key| ![7, 8].contains(key)) {
        let found = again.peek(&format!("k{key}"), at(1)).expect("it came back");
        assert_eq!((&*again.life(found).node, found.idle), (life(key % 3).0.as_str(), at(55 - key % 50)));
    }
    assert_eq!(again.restore(&bytes, at(1)), Ok(Restored { known: 0, left_out: 501 }));
    let small = OwnerTable::new(40, TTL);
    assert_eq!(small.restore(&bytes, at(1)).map(|restored| restored.known), Ok(40));
}

#[test]
fn what_is_no_snapshot_is_told_and_changes_nothing() {
    let table = OwnerTable::new(100, TTL);
    claim(&table, "a", 1, at(0));
    claim(&table, "b", 2, at(0));
    let bytes = table.snapshot(at(0));
    let again = OwnerTable::new(100, TTL);
    for length in 0..bytes.len() {
        assert!(again.restore(&bytes[..length], at(0)).is_err(), "{length} bytes of {}", bytes.len());
    }
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(again.restore(&newer, at(0)), Err(Unreadable::Version(2)));
    assert_eq!(again.restore(b"something else", at(0)), Err(Unreadable::Other));
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(again.restore(&longer, at(0)), Err(Unreadable::Damaged(_))));
    assert!(again.is_empty());
    assert_eq!(again.restore(&bytes, at(0)), Ok(Restored { known: 2, left_out: 0 }));
}

#[test]
fn an_owner_takes_no_more_than_a_hundred_bytes() {
    let table = OwnerTable::new(200_000, TTL);
    let mut peak = 0.0_f64;
    for key in 0..200_000_u64 {
        claim(&table, &format!("{key:036}"), key % 5, at(0));
        if key >= 100_000 && key % 10_000 == 0 {
            peak = peak.max(table.bytes() as f64 / table.len() as f64);
        }
    }
    assert_eq!(table.len(), 200_000);
    assert!((64.0..=100.0).contains(&peak), "{peak} bytes each");
}

/// Keys come, are moved, pushed out and looked up by several threads at once: who is found is one of those that the key
/// ever had, whatever happens to its neighbours.
#[test]
fn nobody_is_taken_for_another() {
    let table = OwnerTable::new(500, TTL);
    let group = |key: u64| [1 + key % 4, 11 + key % 4];
    let found = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..4_u64 {
            let (table, found) = (&table, &found);
            scope.spawn(move || {
                let mut random = worker + 1;
                for round in 0..40_000_u64 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let number = (random >> 33) % 2_000;
                    let (key, [here, there]) = (format!("key-{number}"), group(number));
                    let now = at(round / 1_000);
                    match (worker, random >> 20 & 7) {
                        (0 | 1, 0..=5) => drop(claim(table, &key, here, now)),
                        (0, 6) => drop(table.release(&key, now)),
                        (1, 6) => drop(table.reassign(&key, &life(there).0, life(there).1, now)),
                        (0, _) => drop(table.sweep(round as usize, now)),
                        _ => {
                            if let Some(owner) = table.find(&key, now) {
                                let node = table.life(owner).node.to_string();
                                assert!(group(number).map(|life| format!("n{life}")).contains(&node), "{key}: {node}");
                                found.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    assert!(table.len() <= 500 && found.load(Ordering::Relaxed) > 1_000, "{}", found.load(Ordering::Relaxed));
    let owned: u32 = table.lives().iter().map(|life| life.owned()).sum();
    assert_eq!((owned as usize, table.list("n1", 9_999, at(40)).is_empty()), (table.len(), false));
}

/// Two claims of a key at once: both hear of the same owner.
#[test]
fn a_key_has_one_owner_whoever_claims_it() {
    let table = OwnerTable::new(100_000, TTL);
    let heard: Vec<Vec<LifeId>> = thread::scope(|scope| {
        let claims = |worker: u64| {
            let table = &table;
            move || {
                let claimed = (0..5_000).map(|key| claim(table, &format!("k{key}"), worker, at(0)));
                let owner = |claim| match claim {
                    Claim::New(owner) | Claim::Held(owner) => owner.life,
                    Claim::Refused => panic!("there is room"),
                };
                claimed.map(owner).collect()
            }
        };
        let workers: Vec<_> = (1..5).map(|worker| scope.spawn(claims(worker))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(heard.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(table.len(), 5_000);
}

#[derive(Debug, Clone)]
enum Act {
    Claim(u8, u64),
    Find(u8),
    Release(u8),
    Move(u8, u64),
    MoveAll(u64, u64),
    Wait(u8),
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0_u8..40, 1_u64..5).prop_map(|(key, node)| Act::Claim(key, node)),
        4 => (0_u8..40).prop_map(Act::Find),
        2 => (0_u8..40).prop_map(Act::Release),
        2 => (0_u8..40, 1_u64..5).prop_map(|(key, node)| Act::Move(key, node)),
        1 => (1_u64..5, 1_u64..5).prop_map(|(from, to)| Act::MoveAll(from, to)),
        3 => (0_u8..40).prop_map(Act::Wait),
        1 => Just(Act::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With room for all, the table is a map whose entries expire.
    #[test]
    fn the_table_is_a_map(acts in prop::collection::vec(act(), 1..200)) {
        let table = OwnerTable::new(1_000, TTL);
        let mut model: HashMap<u8, (u64, u64)> = HashMap::new();
        let mut now = 0_u64;
        for act in acts {
            model.retain(|_, (_, seen)| now - *seen <= 60);
            match act {
                Act::Claim(key, node) => {
                    let new = matches!(claim(&table, &key.to_string(), node, at(now)), Claim::New(_));
                    prop_assert_eq!(new, !model.contains_key(&key));
                    model.entry(key).or_insert((node, now)).1 = now;
                }
                Act::Find(key) => {
                    let expected = model.get_mut(&key).map(|(node, seen)| { *seen = now; format!("n{node}") });
                    prop_assert_eq!(owner(&table, &key.to_string(), at(now)), expected);
                }
                Act::Release(key) => {
                    let was = table.release(&key.to_string(), at(now)).is_some();
                    prop_assert_eq!(was, model.remove(&key).is_some());
                }
                Act::Move(key, node) => {
                    let (id, incarnation) = life(node);
                    let moved = table.reassign(&key.to_string(), &id, incarnation, at(now));
                    prop_assert_eq!(moved.is_some(), model.contains_key(&key));
                    model.entry(key).and_modify(|entry| entry.0 = node);
                }
                Act::MoveAll(from, to) => {
                    table.reassign_all(&life(from).0, &life(to).0, life(to).1);
                    model.values_mut().filter(|(node, _)| *node == from).for_each(|(node, _)| *node = to);
                }
                Act::Wait(seconds) => now += u64::from(seconds),
                Act::Sweep => {
                    table.sweep(0, at(now));
                    prop_assert_eq!(table.len(), model.len());
                }
            }
        }
    }
}

/// Of two, only one has its way: who goes by a claim, or who withdraws it.
#[test]
fn a_claim_is_withdrawn_only_if_nobody_has_gone_by_it() {
    let table = Arc::new(OwnerTable::new(100_000, Duration::from_secs(600)));
    let turn = Arc::new(std::sync::Barrier::new(2));
    let (other, theirs) = (Arc::clone(&table), Arc::clone(&turn));
    const ROUNDS: usize = 20_000;
    let finder = std::thread::spawn(move || {
        (0..ROUNDS)
            .map(|round| {
                theirs.wait();
                other.find(&round.to_string(), Duration::ZERO).is_some()
            })
            .collect::<Vec<_>>()
    });
    let withdrawn: Vec<bool> = (0..ROUNDS)
        .map(|round| {
            let key = round.to_string();
            let Claim::New(owner) = table.claim(&key, "a", Incarnation(1), Duration::ZERO) else { panic!("it is new") };
            turn.wait();
            table.withdraw(&key, owner)
        })
        .collect();
    let found = finder.join().expect("no panic");
    for round in 0..ROUNDS {
        assert_ne!(found[round], withdrawn[round], "{round}");
        assert_eq!(table.peek(&round.to_string(), Duration::ZERO).is_some(), found[round]);
    }
}
