//! A disk that fails at any step, or loses what a crash cuts short, never costs an acknowledged change.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pointsman_registry::{Change, Disk, Kept, Office, State, Store};
use proptest::prelude::*;

/// Files in memory. While `fail` is above 0 each write fails, `part` saying how much of it is there all the same.
#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    fail: u32,
    part: u8,
}

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Inner>>);

impl Disk for Memory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().expect("lock").files.get(name).cloned())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().expect("lock");
        let failing = inner.fail > 0;
        let length = if failing { bytes.len() * usize::from(inner.part) / 255 } else { bytes.len() };
        inner.files.entry(name.to_owned()).or_default().extend_from_slice(&bytes[..length]);
        inner.outcome(failing)
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().expect("lock");
        let failing = inner.fail > 0;
        // Atomic, but whether it came into force may be unknown.
        if !failing || inner.part > 127 {
            inner.files.insert(name.to_owned(), bytes.to_vec());
        }
        inner.outcome(failing)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock().expect("lock");
        let failing = inner.fail > 0;
        if !failing || inner.part > 127 {
            inner.files.remove(name);
        }
        inner.outcome(failing)
    }
}

impl Inner {
    fn outcome(&mut self, failing: bool) -> io::Result<()> {
        if !failing {
            return Ok(());
        }
        self.fail -= 1;
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>),
    Fail { times: u32, part: u8 },
    Restart,
}

fn change() -> impl Strategy<Value = Change> {
    let service = || (0u8..2).prop_map(|s| format!("s{s}"));
    let id = || (0u8..4).prop_map(|i| format!("n{i}"));
    prop_oneof![
        (service(), id(), 1u64..50, 1u32..9).prop_map(|(service, id, ordinal, weight)| {
            let address = ([10, 0, 0, 1], 80).into();
            let (zone, labels) = (String::new(), BTreeMap::new());
            let node = Kept { id, ordinal: Some(ordinal), address, weight, zone, labels, ttl_ms: 300 };
            Change::Put { service, node }
        }),
        (service(), id()).prop_map(|(service, id)| Change::Remove { service, id }),
        (service(), id(), any::<bool>()).prop_map(|(service, id, on)| Change::Drain { service, id, on }),
        (service(), 1u64..99).prop_map(|(service, ordinal)| Change::Ordinal { service, ordinal }),
        (service(), 1u64..99).prop_map(|(service, ordinal)| Change::Lower { service, ordinal }),
        (service(), 1u64..9, proptest::option::of(id())).prop_map(|(service, epoch, primary)| Change::Primary {
            service,
            office: Office { epoch, primary, since_ms: epoch },
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec(change(), 1..5).prop_map(Step::Commit),
        2 => (1u32..4, any::<u8>()).prop_map(|(times, part)| Step::Fail { times, part }),
        1 => Just(Step::Restart),
    ]
}

fn after(state: &State, changes: &[Change]) -> State {
    let mut next = state.clone();
    changes.iter().for_each(|change| next.apply(change));
    next
}

fn open(disk: &Memory) -> Store {
    let opened = Store::open_on(Path::new("memory"), Box::new(disk.clone())).expect("opens");
    opened.store.with_log_bytes(400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// After any history of commits, failures and restarts the state found is the acknowledged one, with at most one
    /// batch on top whose failure left it unknown.
    #[test]
    fn what_was_acknowledged_is_there(steps in proptest::collection::vec(step(), 1..60)) {
        let disk = Memory::default();
        let mut store = open(&disk);
        let mut acknowledged = State::default();
        let mut unknown: Vec<State> = Vec::new();
        for step in steps {
            match step {
                Step::Commit(changes) => match store.commit(&changes) {
                    Ok(()) => {
                        acknowledged = after(&acknowledged, &changes);
                        unknown.clear();
                    }
                    Err(_) => unknown.push(after(&acknowledged, &changes)),
                },
                Step::Fail { times, part } => {
                    let mut inner = disk.0.lock().expect("lock");
                    (inner.fail, inner.part) = (times, part);
                }
                Step::Restart => {
                    drop(store);
                    disk.0.lock().expect("lock").fail = 0;
                    store = open(&disk);
                    let found = store.state().clone();
                    prop_assert!(found == acknowledged || unknown.contains(&found), "{:?}", found);
                    acknowledged = found;
                    unknown.clear();
                }
            }
            prop_assert_eq!(store.state(), &acknowledged);
            prop_assert!(disk.0.lock().expect("lock").files.len() <= 3, "old logs are removed");
        }
    }
}

#[test]
fn a_disk_that_recovers_is_written_again() {
    let disk = Memory::default();
    let mut store = open(&disk);
    let drain = |on| [Change::Drain { service: "s".into(), id: "n".into(), on }];
    store.commit(&drain(true)).expect("a good disk");
    disk.0.lock().expect("lock").fail = 2;
    let error = store.commit(&drain(false)).expect_err("a full disk");
    assert!(error.to_string().starts_with("memory: "), "{error}");
    assert!(store.state().services["s"].drains.contains("n"), "what failed did not happen");
    store.commit(&drain(false)).expect_err("still full");
    store.commit(&drain(false)).expect("room again");
    drop(store);
    assert!(open(&disk).state().services["s"].drains.is_empty());
}
