use std::collections::BTreeMap;
use std::sync::Mutex;

use pointsman_core::cluster::node::Incarnation;
use pointsman_core::owners::parts::Kept;
use pointsman_registry::Disk;
use tokio::sync::broadcast;

use super::following::agree;
use super::*;
use crate::world::bus::Notice;

const TTL: Duration = Duration::from_secs(600);

/// Files in memory, on a disk that is full on demand.
#[derive(Default, Clone)]
struct Memory(Arc<Mutex<(BTreeMap<String, Vec<u8>>, bool)>>);

impl Memory {
    fn full(&self, full: bool) {
        self.0.lock().expect("lock").1 = full;
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> io::Result<()> {
        let (files, full) = &mut *self.0.lock().expect("lock");
        if *full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change(files);
        Ok(())
    }
}

impl Disk for Memory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("lock").0.get(name).cloned())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|files| files.entry(name.to_owned()).or_default().extend_from_slice(bytes))
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|files| drop(files.insert(name.to_owned(), bytes.to_vec())))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change(|files| drop(files.remove(name)))
    }
}

struct Stage {
    disk: Memory,
    table: Arc<OwnerTable>,
    book: Book,
    bus: Bus,
    notices: broadcast::Receiver<Notice>,
    metrics: Metrics,
}

impl Stage {
    fn new() -> Self {
        let (disk, table, bus) = (Memory::default(), Arc::new(OwnerTable::new(100_000, TTL)), Bus::default());
        let opened =
            Ledger::open_on(Path::new("memory"), Box::new(disk.clone()), &table, Duration::ZERO).expect("opens");
        let book = Book::on(Place::Ledger(opened.ledger), "memory".into(), "oms", Arc::clone(&table));
        let notices = bus.listen();
        Self { disk, table, book, bus, notices, metrics: Metrics::new() }
    }

    fn claim(&self, key: &str) {
        self.table.claim(key, "oms-1", Incarnation(1), Duration::ZERO);
    }

    fn attend(&mut self, second: u64) {
        self.book.attend(&self.bus, &self.metrics, Duration::from_secs(second));
    }

    fn told(&mut self) -> Option<&'static str> {
        self.notices.try_recv().ok().map(|notice| notice.kind)
    }

    /// What a process finds that starts now.
    fn kept(&self) -> usize {
        let table = OwnerTable::new(100_000, TTL);
        Ledger::open_on(Path::new("memory"), Box::new(self.disk.clone()), &table, Duration::ZERO).expect("opens");
        table.len()
    }
}

#[test]
fn what_requests_learn_is_on_disk_after_the_next_look() {
    let mut stage = Stage::new();
    stage.claim("a");
    stage.claim("b");
    stage.table.release("b", Duration::ZERO);
    stage.attend(1);
    assert_eq!((stage.kept(), stage.told()), (1, None));
    assert!(stage.metrics.render().contains("pointsman_owners_disk_writable{service=\"oms\"} 1\n"));
}

#[test]
fn a_full_disk_is_told_stops_nobody_and_is_caught_up_with() {
    let mut stage = Stage::new();
    stage.disk.full(true);
    stage.claim("a");
    stage.attend(1);
    assert_eq!(stage.told(), Some("owners-unwritable"));
    assert!(stage.metrics.render().contains("pointsman_owners_disk_writable{service=\"oms\"} 0\n"));
    // Far more than the queue holds.
    let long = "k".repeat(200);
    (0..40_000).for_each(|number| stage.claim(&format!("{long}{number}")));
    stage.attend(3);
    assert_eq!((stage.told(), stage.table.len(), stage.kept()), (None, 40_001, 0), "told once");
    assert!(!stage.metrics.render().contains("pointsman_owners_disk_dropped_total{service=\"oms\"} 0\n"));
    stage.disk.full(false);
    // Two syncs, then a snapshot by and by.
    for second in 5..20 {
        stage.attend(second);
    }
    assert_eq!(stage.told(), Some("owners-writable"));
    assert_eq!(stage.kept(), 40_001);
    assert!(stage.metrics.render().contains("pointsman_owners_disk_writable{service=\"oms\"} 1\n"));
}

#[test]
fn of_what_two_processes_learn_the_later_epoch_holds() {
    let stage = Stage::new();
    let (table, now) = (&stage.table, Duration::ZERO);
    let kept = |key, node, epoch| Some(Kept { key, node, epoch, idle: 0 });
    let owner = |key| table.peek(key, now).map(|owner| (table.life(owner).node.to_string(), owner.epoch));
    agree(table, "new", kept("new", "oms-2", 3), now);
    assert_eq!(owner("new"), Some(("oms-2".into(), 3)));
    stage.claim("both");
    agree(table, "both", kept("both", "oms-2", 0), now);
    assert_eq!(owner("both"), Some(("oms-1".into(), 0)), "of equal ones what is known here");
    agree(table, "both", kept("both", "oms-2", 1), now);
    assert_eq!(owner("both"), Some(("oms-2".into(), 1)));
    agree(table, "both", None, now);
    assert_eq!(owner("both"), None);
    stage.claim("own");
    agree(table, "own", None, now);
    assert_eq!(owner("own"), Some(("oms-1".into(), 0)), "what was learnt here nobody else releases");
    agree(table, "own", kept("own", "oms-1", 7), now);
    assert_eq!(owner("own"), Some(("oms-1".into(), 7)), "an epoch does not fall");
}

/// Books on a real folder.
struct House {
    folder: tempfile::TempDir,
    bus: Bus,
    notices: broadcast::Receiver<Notice>,
    metrics: Metrics,
}

impl House {
    fn new() -> Self {
        let bus = Bus::default();
        let notices = bus.listen();
        Self { folder: tempfile::tempdir().expect("folder"), bus, notices, metrics: Metrics::new() }
    }

    fn open(&self, from: Option<u32>) -> Book {
        let table = Arc::new(OwnerTable::new(1_000, TTL));
        Book::open(self.folder.path(), "oms", table, &self.bus, from).expect("opens")
    }

    fn attend(&self, book: &mut Book, second: u64) {
        book.attend(&self.bus, &self.metrics, Duration::from_secs(second));
    }

    fn told(&mut self) -> Option<&'static str> {
        self.notices.try_recv().ok().map(|notice| notice.kind)
    }
}

fn claim(book: &Book, key: &str) {
    book.table.claim(key, "oms-1", Incarnation(1), clock::now());
}

/// Node, life and epoch of a key's owner.
fn of(book: &Book, key: &str) -> Option<(String, u64, u16)> {
    let owner = book.table.peek(key, clock::now())?;
    let life = book.table.life(owner);
    Some((life.node.to_string(), life.incarnation.0, owner.epoch))
}

#[test]
fn an_upgrade_that_fails_leaves_the_table_as_requests_made_it() {
    let mut house = House::new();
    let mut book = house.open(None);
    ["kept", "moved", "done"].iter().for_each(|key| claim(&book, key));
    house.attend(&mut book, 1);
    book.snapshot(clock::now());
    book.release(&house.bus, clock::now());
    let mut heir = house.open(Some(std::process::id()));
    assert_eq!(of(&heir, "kept"), Some(("oms-1".into(), 0, 0)));
    // What either learns meanwhile.
    claim(&heir, "of the heir");
    house.attend(&mut heir, 1);
    drop(heir);
    book.table.reassign("moved", "oms-2", Incarnation(2), clock::now());
    book.table.release("done", clock::now());
    claim(&book, "new");
    let released = || book.table.counts().released.load(std::sync::atomic::Ordering::Relaxed);
    let before = released();
    book.take_back(&house.bus, Duration::from_secs(2));
    assert_eq!(of(&book, "kept"), Some(("oms-1".into(), 1, 0)), "its life is known still");
    assert_eq!(of(&book, "moved"), Some(("oms-2".into(), 2, 1)));
    assert_eq!(of(&book, "done"), None);
    assert_eq!(of(&book, "new"), Some(("oms-1".into(), 1, 0)));
    assert_eq!(of(&book, "of the heir"), Some(("oms-1".into(), 0, 0)));
    let released = || book.table.counts().released.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((released(), house.told()), (before, None), "nobody was without an owner in between");
    house.attend(&mut book, 3);
    drop(book);
    let again = house.open(None);
    assert_eq!((again.table.len(), of(&again, "moved")), (4, Some(("oms-2".into(), 0, 1))));
}

#[test]
fn a_ledger_that_cannot_be_taken_back_is_tried_again() {
    let mut house = House::new();
    let mut book = house.open(None);
    claim(&book, "order");
    book.release(&house.bus, clock::now());
    let current = book.folder.join("current");
    std::fs::write(&current, "damaged").expect("written");
    book.take_back(&house.bus, Duration::from_secs(1));
    assert_eq!(house.told(), Some("owners-unwritable"));
    claim(&book, "meanwhile");
    house.attend(&mut book, 3);
    assert_eq!(house.told(), None, "told once");
    std::fs::remove_file(&current).expect("removed");
    house.attend(&mut book, 5);
    assert_eq!(house.told(), Some("owners-writable"));
    drop(book);
    assert_eq!(house.open(None).table.len(), 2);
}

#[test]
fn owners_go_when_a_service_keeps_none_and_do_not_come_back() {
    let mut house = House::new();
    let mut book = house.open(None);
    claim(&book, "before");
    house.attend(&mut book, 1);
    let folder = book.folder.clone();
    book.lose(clock::now());
    assert!(!folder.exists());
    // Nor do those that could not be removed.
    let left = house.open(None);
    claim(&left, "left");
    left.close(clock::now());
    let table = Arc::new(OwnerTable::new(1_000, TTL));
    table.claim("unheard", "oms-1", Incarnation(1), clock::now());
    let mut book = Book::anew(house.folder.path(), "oms", Arc::clone(&table));
    claim(&book, "heard");
    house.attend(&mut book, 1);
    assert_eq!((table.len(), house.told()), (2, None));
    drop(book);
    assert_eq!(house.open(None).table.len(), 2);
}
