//! Who waits for a key is woken when it changes hands, and who keeps owners elsewhere hears of it.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::task::{Poll, Wake, Waker};

use super::*;

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    fn rang(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[test]
fn who_waits_for_a_key_is_woken_for_that_key_alone() {
    let table = Arc::new(OwnerTable::new(1_000, TTL));
    let (bell, also) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let wait = |seen: &[(&str, Option<Owner>)]| table.wait(seen.iter().copied(), at(0));
    let waiting = wait(&[("a", None), ("b", None)]).expect("nobody has them");
    let other = wait(&[("c", None)]).expect("nobody has it");
    assert_eq!(waiting.poll(&Waker::from(Arc::clone(&bell))), Poll::Pending);
    assert_eq!(other.poll(&Waker::from(Arc::clone(&also))), Poll::Pending);
    claim(&table, "elsewhere", 1, at(0));
    assert!(!bell.rang() && !waiting.is_over());
    claim(&table, "b", 1, at(0));
    assert!(bell.rang() && waiting.is_over() && !also.rang());
    assert_eq!(waiting.poll(Waker::noop()), Poll::Ready(()));
    assert!(wait(&[("a", None), ("b", None)]).is_none(), "it would wait for what has come");

    let owner = table.find("b", at(0)).expect("known");
    let changes: [fn(&OwnerTable); 3] = [
        |table| assert!(table.reassign("b", "n2", Incarnation(2), at(0)).is_some()),
        |table| assert_eq!(table.reassign_all("n2", "n3", Incarnation(3)), 1),
        |table| assert!(table.release("b", at(0)).is_some()),
    ];
    for change in changes {
        let seen = table.find("b", at(0));
        let waiting = wait(&[("b", seen)]).expect("as it was seen");
        assert_eq!(waiting.poll(&Waker::from(Arc::clone(&bell))), Poll::Pending);
        change(&table);
        assert!(bell.rang() && waiting.is_over());
    }
    assert!(wait(&[("b", Some(owner))]).is_none(), "it is nobody's");
}

#[test]
fn who_has_left_is_not_woken_and_an_owner_past_its_time_is_none() {
    let table = Arc::new(OwnerTable::new(1_000, TTL));
    let bell = Arc::new(Bell::default());
    let waiting = table.wait([("a", None)].into_iter(), at(0)).expect("nobody has it");
    assert_eq!(waiting.poll(&Waker::from(Arc::clone(&bell))), Poll::Pending);
    drop(waiting);
    claim(&table, "a", 1, at(0));
    assert!(!bell.rang());
    assert!(table.wait([("a", None)].into_iter(), at(60)).is_none());
    let waiting = table.wait([("a", None)].into_iter(), at(61)).expect("past its time");
    assert!(!waiting.is_over());
    assert!(matches!(claim(&table, "a", 2, at(61)), Claim::New(_)));
    assert!(waiting.is_over());
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Sink for Heard {
    fn changed(&self, Change { key, owner }: Change<'_>) {
        let owner = owner.map_or("nobody".into(), |(node, epoch)| format!("{node}@{epoch}"));
        self.0.lock().expect("no panic").push(format!("{key} {owner}"));
    }
}

#[test]
fn every_change_of_a_key_is_told_in_its_order() {
    let table = OwnerTable::new(1_000, TTL);
    claim(&table, "before", 1, at(0));
    let heard = Arc::new(Heard::default());
    table.tell(Some(Arc::clone(&heard) as Arc<dyn Sink>));
    claim(&table, "a", 1, at(0));
    claim(&table, "a", 2, at(0));
    let gone = table.find("a", at(0)).expect("known");
    table.take_over("a", gone, "n2", Incarnation(2), at(0));
    table.take_over("a", gone, "n3", Incarnation(3), at(0));
    table.alias("b", "a", at(0));
    table.reassign("b", "n1", Incarnation(1), at(0));
    table.reassign_all("n2", "n4", Incarnation(4));
    table.release("b", at(0));
    table.release("b", at(0));
    table.tell(None);
    claim(&table, "after", 1, at(0));
    let told = heard.0.lock().expect("no panic");
    assert_eq!(*told, ["a n1@0", "a n2@1", "b n2@1", "b n1@2", "a n4@2", "b nobody"]);
}
