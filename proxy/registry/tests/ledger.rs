//! Owners on disk: torn, damaged, failing, handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pointsman_core::cluster::node::Incarnation;
use pointsman_core::owners::OwnerTable;
use pointsman_registry::Disk;
use pointsman_registry::owners::{Found, Late, LateReader, Ledger, Opened, Queue, folder_of};
use proptest::prelude::*;

const TTL: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn table() -> OwnerTable {
    OwnerTable::new(10_000, TTL)
}

/// Keys with the node and epoch of their owners.
type Owners = BTreeMap<String, (String, u16)>;

fn owners(table: &OwnerTable, now: Duration) -> Owners {
    let mut all = Owners::new();
    for part in 0..table.parts() {
        table.each_of(part, now, |kept| drop(all.insert(kept.key.into(), (kept.node.into(), kept.epoch))));
    }
    all
}

/// Files in memory. While `fail` is above 0 each write fails, `part` saying how much of it is there all the same.
#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    fail: u32,
    part: u8,
}

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Inner>>);

impl Memory {
    fn change(&mut self, change: impl FnOnce(&mut Inner, bool)) -> io::Result<()> {
        let mut inner = self.0.lock().expect("lock");
        let failing = inner.fail > 0;
        change(&mut inner, failing);
        inner.fail = inner.fail.saturating_sub(1);
        if failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().expect("lock").files.clone()
    }

    fn of(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(Inner { files, ..Inner::default() })))
    }

    fn open(&self, table: &OwnerTable, now: Duration) -> Opened {
        Ledger::open_on(Path::new("memory"), Box::new(self.clone()), table, now).expect("opens")
    }
}

impl Disk for Memory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("lock").files.get(name).cloned())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|inner, failing| {
            let length = if failing { bytes.len() * usize::from(inner.part) / 255 } else { bytes.len() };
            // A name that cannot be made, or can.
            if !failing || inner.part > 60 {
                inner.files.entry(name.to_owned()).or_default().extend_from_slice(&bytes[..length]);
            }
        })
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|inner, failing| {
            if !failing || inner.part > 127 {
                inner.files.insert(name.to_owned(), bytes.to_vec());
            }
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change(|inner, failing| {
            if !failing || inner.part > 127 {
                inner.files.remove(name);
            }
        })
    }
}

/// A disk that holds so many bytes: what fits of a write is there, and the write fails.
struct Small {
    memory: Memory,
    room: usize,
}

impl Small {
    fn left(&self) -> usize {
        self.room - self.memory.files().values().map(Vec::len).sum::<usize>()
    }
}

impl Disk for Small {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.memory.read(name)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let fits = bytes.len().min(self.left());
        self.memory.append(name, &bytes[..fits])?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // The new file stands beside the old one.
        if bytes.len() > self.left() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            self.memory.replace(name, bytes)
        }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.memory.remove(name)
    }
}

/// A proxy's table with its queue and ledger, as the keeper uses them.
struct Keeper {
    table: OwnerTable,
    queue: Queue,
    ledger: Ledger,
    /// Frames that could not be appended yet.
    pending: Vec<u8>,
}

impl Keeper {
    fn open(disk: &Memory) -> Self {
        let table = table();
        let ledger = disk.open(&table, at(0)).ledger.with_log_bytes(300);
        Self { table, queue: Queue::default(), ledger, pending: Vec::new() }
    }

    fn own(&self, key: &str, node: &str) {
        let life = Incarnation(node.bytes().map(u64::from).sum());
        self.table.claim(key, node, life, at(0));
        let owner = self.table.reassign(key, node, life, at(0)).expect("it has one");
        self.queue.put(key, Some((node, owner.epoch)));
    }

    fn release(&self, key: &str) {
        self.table.release(key, at(0));
        self.queue.put(key, None);
    }

    fn sync(&mut self) -> io::Result<()> {
        self.queue.take(&mut self.pending).expect("short frames");
        self.ledger.append(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    fn go_on(&mut self, parts: usize) -> io::Result<()> {
        if self.ledger.go_on(&self.table, at(0), parts)? {
            self.sync()?;
            self.ledger.finish()?;
        }
        Ok(())
    }
}

fn own(disk: &Memory, count: usize) -> Owners {
    let mut keeper = Keeper::open(disk);
    for number in 0..count {
        keeper.own(&format!("order-{number}"), if number % 3 == 0 { "oms-1" } else { "oms-2" });
        keeper.sync().expect("a good disk");
    }
    owners(&keeper.table, at(0))
}

#[test]
fn torn_at_any_byte_the_last_whole_change_is_there() {
    let disk = Memory::default();
    let mut keeper = Keeper::open(&disk);
    let mut states = vec![(0, Owners::new())];
    for number in 0..12 {
        match number {
            5 => keeper.own("order-1", "oms-3"),
            8 => keeper.release("order-2"),
            _ => keeper.own(&format!("order-{number}"), "oms-1"),
        }
        keeper.sync().expect("a good disk");
        states.push((disk.files()["log.1"].len(), owners(&keeper.table, at(0))));
    }
    let whole = disk.files()["log.1"].clone();
    for length in 0..=whole.len() {
        let torn = Memory::of([("log.1".to_owned(), whole[..length].to_vec())].into());
        let again = table();
        let Opened { mut ledger, found } = torn.open(&again, at(0));
        let (end, state) = states.iter().rfind(|(end, _)| *end <= length).expect("the empty state at least");
        assert_eq!((&owners(&again, at(0)), found.cut), (state, length - end), "torn at byte {length}");
        assert!(found.damage.is_empty());
        // What comes behind a torn end is found, too.
        let queue = Queue::default();
        queue.put("late", Some(("oms-9", 4)));
        let mut frames = Vec::new();
        queue.take(&mut frames).expect("short");
        ledger.append(&frames).expect("a good disk");
        drop(ledger);
        let third = table();
        torn.open(&third, at(0));
        let mut state = state.clone();
        state.insert("late".into(), ("oms-9".into(), 4));
        assert_eq!(owners(&third, at(0)), state, "torn at byte {length}");
    }
}

#[test]
fn a_flipped_byte_costs_one_frame_and_is_told() {
    let disk = Memory::default();
    let all = own(&disk, 30);
    {
        let mut keeper = Keeper::open(&disk);
        keeper.ledger.snapshot(&keeper.table, at(0)).expect("a good disk");
        for number in 30..40 {
            keeper.own(&format!("order-{number}"), "oms-3");
            keeper.sync().expect("a good disk");
        }
    }
    let files = disk.files();
    let (snapshot, log) = (named(&files, "snapshot."), named(&files, "log."));
    for (file, index) in [(&snapshot, files[&snapshot].len()), (&log, files[&log].len())]
        .into_iter()
        .flat_map(|(file, length)| (0..length).map(move |index| (file, index)))
    {
        let mut damaged = files.clone();
        damaged.get_mut(file).expect("there")[index] ^= 0x20;
        let disk = Memory::of(damaged);
        let again = table();
        let Opened { ledger, found } = disk.open(&again, at(0));
        let found_owners = owners(&again, at(0));
        assert!(found.cut > 0 || !found.damage.is_empty(), "{file} at {index} is told");
        // Nothing that was not written, and of the other file everything.
        for (key, owner) in &found_owners {
            assert!(all.get(key) == Some(owner) || owner.0 == "oms-3", "{file} at {index}: {key} {owner:?}");
        }
        let of_snapshot = found_owners.values().filter(|owner| owner.0 != "oms-3").count();
        let of_log = found_owners.len() - of_snapshot;
        if *file == snapshot {
            assert_eq!(of_log, 10, "{file} at {index}");
            assert!(ledger.wants_snapshot(), "what is missing is written anew");
        } else {
            assert_eq!((of_snapshot, of_log), (30, 9), "{file} at {index}");
        }
    }
}

fn named(files: &BTreeMap<String, Vec<u8>>, prefix: &str) -> String {
    files.keys().rfind(|name| name.starts_with(prefix)).expect("there").clone()
}

#[test]
fn a_snapshot_replaces_what_was_before() {
    let disk = Memory::default();
    let all = own(&disk, 100);
    let mut keeper = Keeper::open(&disk);
    assert!(keeper.ledger.wants_snapshot());
    let before: usize = disk.files().values().map(Vec::len).sum();
    for _ in 0..keeper.table.parts() {
        keeper.go_on(1).expect("a good disk");
    }
    assert!(!keeper.ledger.wants_snapshot());
    let files = disk.files();
    assert!(files.values().map(Vec::len).sum::<usize>() < before, "one frame instead of a hundred");
    let kinds: BTreeSet<&str> = files.keys().map(|name| name.split('.').next().expect("a word")).collect();
    assert_eq!((files.len(), kinds), (3, ["current", "log", "snapshot"].into()), "{:?}", files.keys());
    let again = table();
    disk.open(&again, at(0));
    assert_eq!(owners(&again, at(0)), all);
}

#[test]
fn a_full_table_has_what_was_learnt_last_after_a_kill() {
    let (disk, queue) = (Memory::default(), Queue::default());
    let full = OwnerTable::new(100, TTL);
    let mut ledger = disk.open(&full, at(0)).ledger;
    for number in 0..100 {
        full.claim(&format!("early-{number}"), "oms-1", Incarnation(1), at(0));
    }
    ledger.snapshot(&full, at(10)).expect("a good disk");
    for number in 0..100 {
        queue.put(&format!("late-{number}"), Some(("oms-2", 0)));
    }
    let mut frames = Vec::new();
    queue.take(&mut frames).expect("short");
    ledger.append(&frames).expect("a good disk");
    drop(ledger);
    let again = OwnerTable::new(100, TTL);
    let Opened { found, .. } = disk.open(&again, at(20));
    assert_eq!((again.len(), found.left_out), (100, 0));
    // Among sixteen neighbours who was asked for longest ago gives way: now and then all of them are new.
    let late = owners(&again, at(20)).keys().filter(|key| key.starts_with("late-")).count();
    assert!(late > 70, "{late}");
}

#[test]
fn a_snapshot_for_which_there_is_no_room_takes_none() {
    let disk = Memory::default();
    let all = own(&disk, 50);
    let logs: usize = disk.files().values().map(Vec::len).sum();
    let (mut failed, mut made) = (0, 0);
    for room in (logs + 100..logs + 5_000).step_by(13) {
        let memory = Memory::of(disk.files());
        let small = Small { memory: memory.clone(), room };
        let table = table();
        let mut ledger = Ledger::open_on(Path::new("small"), Box::new(small), &table, at(0)).expect("opens").ledger;
        let mut snapshot = || {
            while !ledger.go_on(&table, at(0), 1)? {}
            ledger.finish()
        };
        if snapshot().is_ok() {
            made += 1;
            continue;
        }
        failed += 1;
        let files = memory.files();
        assert!(!files.keys().any(|file| file.starts_with("snapshot.")), "{room}: {:?}", files.keys());
        assert!(ledger.wants_snapshot(), "it is begun anew");
        let (queue, mut frames) = (Queue::default(), Vec::new());
        queue.put("one more", Some(("oms-9", 0)));
        queue.take(&mut frames).expect("short");
        ledger.append(&frames).expect("there is room for it");
        let again = self::table();
        memory.open(&again, at(0));
        assert_eq!(owners(&again, at(0)).len(), all.len() + 1, "{room}");
    }
    assert!(failed > 10 && made > 10, "{failed} {made}");
}

#[test]
fn what_a_kill_leaves_of_a_snapshot_goes_at_the_next_start() {
    let disk = Memory::default();
    let all = own(&disk, 50);
    let mut keeper = Keeper::open(&disk);
    assert!(!keeper.ledger.go_on(&keeper.table, at(0), 1).expect("a good disk"), "one of two parts");
    drop(keeper);
    assert!(disk.files().keys().any(|file| file.starts_with("snapshot.")));
    let again = table();
    disk.open(&again, at(0));
    assert_eq!(owners(&again, at(0)), all);
    assert!(!disk.files().keys().any(|file| file.starts_with("snapshot.")), "{:?}", disk.files().keys());
}

#[test]
fn a_full_disk_gets_no_log_at_every_attempt() {
    let memory = Memory::default();
    let small = Small { memory: memory.clone(), room: 0 };
    let mut ledger = Ledger::open_on(Path::new("small"), Box::new(small), &table(), at(0)).expect("opens").ledger;
    for _ in 0..5 {
        ledger.append(b"frames").expect_err("full");
    }
    assert!(memory.files().len() <= 1, "{:?}", memory.files().keys());
}

#[test]
fn a_snapshot_that_is_missing_is_told() {
    let disk = Memory::default();
    let mut keeper = Keeper::open(&disk);
    keeper.own("order", "oms-1");
    keeper.ledger.snapshot(&keeper.table, at(0)).expect("a good disk");
    let mut files = disk.files();
    let snapshot = named(&files, "snapshot.");
    files.remove(&snapshot);
    let Opened { found, ledger } = Memory::of(files).open(&table(), at(0));
    let told: Vec<_> = found.damage.iter().map(|damage| damage.file.ends_with(&snapshot)).collect();
    assert_eq!((told, ledger.wants_snapshot()), (vec![true], true));
}

#[test]
fn times_from_before_an_orderly_end_are_written_off_again_once_the_disk_takes_it() {
    let disk = Memory::default();
    let mut keeper = Keeper::open(&disk);
    keeper.own("order", "oms-1");
    keeper.ledger.snapshot(&keeper.table, at(50)).expect("a good disk");
    keeper.ledger.goodbye().expect("a good disk");
    disk.0.lock().expect("lock").fail = 1;
    let again = table();
    let mut ledger = disk.open(&again, at(0)).ledger;
    assert!(ledger.wants_snapshot(), "`current` says still that they are to be believed");
    ledger.snapshot(&again, at(0)).expect("a good disk");
    drop(ledger);
    let third = table();
    disk.open(&third, at(0));
    assert!(third.find("order", at(50)).is_some(), "10 s were left of its time");
}

#[test]
fn since_when_nobody_has_asked_is_known_after_an_orderly_end_alone() {
    for orderly in [true, false] {
        let disk = Memory::default();
        let keeper = &mut Keeper::open(&disk);
        keeper.own("order", "oms-1");
        keeper.ledger.snapshot(&keeper.table, at(50)).expect("a good disk");
        if orderly {
            keeper.ledger.goodbye().expect("a good disk");
        }
        let again = table();
        disk.open(&again, at(1_000));
        assert_eq!(again.find("order", at(1_020)).is_some(), !orderly, "10 s were left of its time");
        // Whoever opened it may have heard requests for it: it is not known any more.
        let third = table();
        disk.open(&third, at(5_000));
        assert!(third.find("order", at(5_050)).is_some());
    }
}

#[test]
fn a_full_queue_takes_nothing_more_and_says_so() {
    let queue = Queue::default();
    let key = "k".repeat(200);
    (0..10_000).for_each(|_| queue.put(&key, Some(("oms-1", 1))));
    assert!(queue.overflowed() && !queue.overflowed(), "told once");
    let mut frames = Vec::new();
    queue.take(&mut frames).expect("frames");
    assert!(queue.dropped() > 0 && frames.len() < 300_000, "{} {}", queue.dropped(), frames.len());
    queue.put(&key, None);
    assert!(!queue.overflowed());
}

#[test]
fn what_is_learnt_after_the_hand_over_is_read_as_it_comes() {
    let folder = tempfile::tempdir().expect("folder");
    let mut late = Late::begin(folder.path(), 17).expect("begun");
    let mut found = LateReader::find(folder.path()).expect("read");
    let mut reader = found.pop().expect("there");
    assert_eq!(reader.writer(), Some(17));
    let queue = Queue::default();
    let send = |late: &mut Late| {
        let mut frames = Vec::new();
        queue.take(&mut frames).expect("short");
        late.append(&frames).expect("written");
    };
    let follow = |reader: &mut LateReader| {
        let mut seen = Vec::new();
        let ended = reader.follow(|key, owner| seen.push((key.to_owned(), owner.map(|kept| kept.node.to_owned()))));
        (seen, ended.expect("read"))
    };
    assert_eq!(follow(&mut reader), (vec![], false));
    queue.put("a", Some(("oms-1", 0)));
    send(&mut late);
    assert_eq!(follow(&mut reader), (vec![("a".into(), Some("oms-1".into()))], false));
    queue.put("a", None);
    send(&mut late);
    late.end().expect("written");
    assert_eq!(follow(&mut reader), (vec![("a".into(), None)], true));
    reader.remove().expect("removed");
    assert!(LateReader::find(folder.path()).expect("read").is_empty());
}

#[test]
fn a_service_of_any_name_has_a_folder_of_its_own() {
    let folder = |name| folder_of(Path::new("r"), name).to_str().expect("text").to_owned();
    assert_eq!(
        [folder("oms"), folder("a/../b"), folder(".."), folder("é")],
        [
            "r/owners/oms".to_owned(),
            "r/owners/a%2f%2e%2e%2fb".to_owned(),
            "r/owners/%2e%2e".to_owned(),
            "r/owners/%c3%a9".to_owned()
        ]
    );
}

#[derive(Debug, Clone)]
enum Step {
    Own(u8, u8),
    Release(u8),
    Sync,
    GoOn,
    Fail { times: u32, part: u8 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12, 0u8..4).prop_map(|(key, node)| Step::Own(key, node)),
        2 => (0u8..12).prop_map(Step::Release),
        4 => Just(Step::Sync),
        3 => Just(Step::GoOn),
        2 => (1u32..5, any::<u8>()).prop_map(|(times, part)| Step::Fail { times, part }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// After a crash each key has the owner that it had at the last sync, or one that it got since.
    #[test]
    fn what_was_synced_is_there(steps in proptest::collection::vec(step(), 1..60)) {
        let disk = Memory::default();
        let mut keeper = Keeper::open(&disk);
        // What each key may be found to be; the first is what was synced last.
        let mut allowed: BTreeMap<String, Vec<Option<(String, u16)>>> = BTreeMap::new();
        for step in steps.into_iter().chain([Step::Restart]) {
            match step {
                Step::Own(key, node) => {
                    let key = format!("k{key}");
                    keeper.own(&key, &format!("n{node}"));
                    let now = owners(&keeper.table, at(0)).get(&key).cloned();
                    allowed.entry(key).or_insert_with(|| vec![None]).push(now);
                }
                Step::Release(key) => {
                    let key = format!("k{key}");
                    keeper.release(&key);
                    allowed.entry(key).or_insert_with(|| vec![None]).push(None);
                }
                Step::Sync => {
                    if keeper.sync().is_ok() {
                        for values in allowed.values_mut() {
                            values.drain(..values.len() - 1);
                        }
                    }
                }
                Step::GoOn => {
                    if keeper.go_on(1).is_err() {
                        keeper.ledger.abandon();
                    }
                }
                Step::Fail { times, part } => {
                    let mut inner = disk.0.lock().expect("lock");
                    (inner.fail, inner.part) = (times, part);
                }
                Step::Restart => {
                    disk.0.lock().expect("lock").fail = 0;
                    keeper = Keeper::open(&disk);
                    let found = owners(&keeper.table, at(0));
                    for (key, values) in &mut allowed {
                        let now = found.get(key).cloned();
                        prop_assert!(values.contains(&now), "{} is {:?}, not one of {:?}", key, now, values);
                        *values = vec![now];
                    }
                }
            }
        }
        keeper.ledger.snapshot(&keeper.table, at(0)).expect("a good disk");
        prop_assert!(disk.files().len() <= 3, "{:?}", disk.files().keys());
    }
}

/// By hand, built with `--release`: `-- --ignored --nocapture two_million`.
#[test]
#[ignore = "a measurement; prints times and sizes"]
fn two_million() {
    const COUNT: usize = 2_000_000;
    let folder = tempfile::tempdir().expect("folder");
    let full = OwnerTable::new(COUNT, TTL);
    for number in 0..COUNT {
        let node = 1 + number as u64 % 8;
        full.claim(&format!("ORD-20261122-{number:08}"), &format!("oms-{node}"), Incarnation(node), at(0));
    }
    let queue = Queue::default();
    let mut ledger = Ledger::open(folder.path(), &OwnerTable::new(1, TTL), at(0)).expect("opens").ledger;
    let began = Instant::now();
    ledger.snapshot(&full, at(0)).expect("written");
    println!("snapshot of {COUNT}: {:?}, {} bytes", began.elapsed(), ledger.bytes().1);
    let began = Instant::now();
    (0..50_000).for_each(|number| queue.put(&format!("ORD-20261122-{number:08}"), Some(("oms-3", 2))));
    println!("50,000 changes into the queue: {:?}", began.elapsed());
    let mut frames = Vec::new();
    queue.take(&mut frames).expect("frames");
    let began = Instant::now();
    ledger.append(&frames).expect("written");
    println!("{} bytes of them synced: {:?}", frames.len(), began.elapsed());
    drop(ledger);
    let again = OwnerTable::new(COUNT, TTL);
    let began = Instant::now();
    let Found { taken_in, left_out, .. } = Ledger::open(folder.path(), &again, at(0)).expect("opens").found;
    println!("restored {taken_in}, {left_out} left out: {:?}", began.elapsed());
    assert_eq!(again.len(), COUNT);
}
