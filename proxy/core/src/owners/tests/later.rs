//! What another process says of owners, and what was kept of them.

use super::parts::Kept;
use super::table::LAST_EPOCH;
use super::*;

fn kept<'a>(key: &'a str, node: &'a str, epoch: u16) -> Kept<'a> {
    Kept { key, node, epoch, idle: 0 }
}

fn known(table: &OwnerTable, key: &str) -> Option<(String, u64, u16)> {
    let owner = table.peek(key, at(0))?;
    let life = table.life(owner);
    Some((life.node.to_string(), life.incarnation.0, owner.epoch))
}

#[test]
fn a_later_epoch_holds_and_a_node_keeps_its_life() {
    let table = OwnerTable::new(1_000, TTL);
    claim(&table, "a", 1, at(0));
    assert!(!table.take_later(kept("a", "n2", 0), at(0)), "of equal ones what is known here");
    assert!(table.take_later(kept("a", "n1", 5), at(0)));
    assert_eq!(known(&table, "a"), Some(("n1".into(), life(1).1.0, 5)));
    assert!(table.take_later(kept("a", "n2", 9), at(0)));
    assert_eq!(known(&table, "a"), Some(("n2".into(), 0, 9)));
    assert!(!table.take_later(kept("a", "n1", 8), at(0)));
    assert!(table.take_later(kept("new", "n2", 3), at(0)));
    assert_eq!(known(&table, "new"), Some(("n2".into(), 0, 3)));
    let owned: Vec<(String, u32)> =
        table.lives().iter().map(|life| (life.node.to_string(), life.owned())).filter(|(_, keys)| *keys > 0).collect();
    assert_eq!(owned, [("n2".to_owned(), 2)]);
}

#[test]
fn epochs_come_round() {
    let table = OwnerTable::new(1_000, TTL);
    assert!(table.take_in(kept("a", "n1", LAST_EPOCH), at(0)));
    assert!(table.take_later(kept("a", "n2", 0), at(0)));
    assert!(!table.take_later(kept("a", "n1", LAST_EPOCH), at(0)));
}

#[test]
fn what_was_kept_pushes_out_who_was_asked_for_longest_ago() {
    let table = OwnerTable::new(10, TTL);
    for number in 0..10 {
        assert!(table.take_in(Kept { idle: 1, ..kept(&format!("old-{number}"), "n1", 0) }, at(0)));
    }
    assert!(table.is_full() && table.empty().is_empty());
    for number in 0..10 {
        assert!(table.take_in(kept(&format!("new-{number}"), "n1", 0), at(0)));
    }
    assert!((0..10).all(|number| known(&table, &format!("new-{number}")).is_some()));
    assert_eq!(table.len(), 10);
}
