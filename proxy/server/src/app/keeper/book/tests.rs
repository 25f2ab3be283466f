use std::collections::BTreeMap;
use std::sync::Mutex;

use pointsman_registry::Disk;
use tokio::sync::broadcast;

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
        let book = Book::on(opened.ledger, "memory".into(), "oms", Arc::clone(&table));
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
}
