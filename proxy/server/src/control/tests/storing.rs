//! What is on disk: restarts, drains, marks, and a disk that fails.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pointsman_registry::{Change, Disk, Folder, Kept};

use super::*;
use crate::world::control::{Denied, Mark};

#[tokio::test]
async fn a_restart_finds_nodes_drains_and_the_highest_ordinal() {
    let folder = tempfile::tempdir().expect("folder");
    let (node, fixed) = (Node::start(Some(200)).await, Node::start(Some(200)).await);
    let nodes = vec![static_node("fixed", 3, fixed.address)];
    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", Some(http_check()), nodes.clone())).await;
    for (id, ordinal) in [("j", 5), ("gone", 40)] {
        room.control.join("oms", spec(id, ordinal, node.address), LONG).await.expect("joined");
    }
    until(&feed, |m| m.high_water() == 40).await;
    room.control.drain("oms", "gone", true).await.expect("drained");
    room.control.leave("oms", "gone").await.expect("left");
    room.control.drain("oms", "fixed", true).await.expect("drained");
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    room.stop();

    node.status.send_replace(None);
    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", Some(http_check()), nodes)).await;
    let first = feed.cell.load_full();
    assert_eq!(ids(&first), ["fixed", "j"]);
    assert_eq!(standing(&first, "j"), Some(Standing::Down));
    assert_eq!(standing(&first, "fixed"), Some(Standing::Draining));
    assert_eq!(room.node("j").await.standing, "checking");
    assert_eq!((first.high_water(), room.control.report().await.expect("runs")[0].high_water), (40, 40));
    node.status.send_replace(Some(200));
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    room.control.heartbeat("oms", "j", None).await.expect("its lease runs anew");
    room.control.drain("oms", "fixed", false).await.expect("no longer drained");
    until(&feed, |m| standing(m, "fixed") == Some(Standing::Up)).await;
    let back = room.control.join("oms", spec("gone", 40, node.address), LONG).await.expect("back");
    assert!(!back.drained, "its drain ended when it left");
    until(&feed, |m| standing(m, "gone") == Some(Standing::Up)).await;
}

#[tokio::test]
async fn leases_that_the_registry_kept_run_once_they_can_be_renewed() {
    const SHORTEST: Duration = Duration::from_millis(300);
    let folder = tempfile::tempdir().expect("folder");
    let node = Node::start(None).await;
    let kept = Kept::new(&spec("kept", 1, node.address), SHORTEST);
    let mut store = Store::open(folder.path()).expect("opens").store;
    store.commit(&[Change::Put { service: "oms".into(), node: kept }]).expect("written");
    let mut room = Room::on(store);
    let both = plan(vec![service("oms", Some(http_check()), vec![]), service("api", None, vec![])]);
    let feeds = room.control.configure(both).await.expect("runs").expect("no clash");
    // A lease of the same length that was granted later lapses; the one that nobody can renew yet does not.
    room.control.join("api", spec("new", 1, node.address), SHORTEST).await.expect("joined");
    room.heard("lease-lost", "new").await;
    assert_eq!(ids(&feeds["oms"].cell.load()), ["kept"]);
    let control = room.control.clone();
    // Not known to be well: it takes nothing, and whoever waits for readiness waits for its first check.
    assert_eq!(standing(&feeds["oms"].cell.load(), "kept"), Some(Standing::Down));
    let mut first = std::pin::pin!(control.first_checks());
    tokio::select! {
        biased;
        _ = &mut first => panic!("`kept` has not been checked"),
        _ = room.control.report() => {}
    }
    node.status.send_replace(Some(200));
    first.await.expect("runs");
    assert_eq!(standing(&feeds["oms"].cell.load(), "kept"), Some(Standing::Up));

    room.control.run_leases().await.expect("runs");
    until(&feeds["oms"], |m| ids(m).is_empty()).await;
    room.heard("lease-lost", "kept").await;
}

#[tokio::test]
async fn a_mistyped_ordinal_is_not_kept_and_one_that_served_can_be_lowered() {
    let folder = tempfile::tempdir().expect("folder");
    let (good, sick) = (Node::start(Some(200)).await, Node::start(Some(503)).await);
    let mut room = Room::at(folder.path());
    let feed = room.configure(service("oms", Some(http_check()), vec![])).await;
    room.control.join("oms", spec("j", 2, good.address), LONG).await.expect("joined");
    room.control.join("oms", spec("typo", 300, sick.address), LONG).await.expect("joined");
    until(&feed, |m| m.high_water() == 2 && standing(m, "j") == Some(Standing::Up)).await;
    room.heard("node-down", "typo").await;
    room.stop();

    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", Some(http_check()), vec![])).await;
    assert_eq!(feed.cell.load().high_water(), 2, "a restart does not count it either");
    sick.status.send_replace(Some(200));
    until(&feed, |m| m.high_water() == 300).await;
    assert_eq!(room.control.lower_mark("oms").await, Ok(Mark { was: 300, now: 300 }), "the node is still there");
    room.control.leave("oms", "typo").await.expect("left");
    assert_eq!(room.control.lower_mark("oms").await, Ok(Mark { was: 300, now: 2 }));
    assert_eq!(feed.cell.load().high_water(), 2);
    room.stop();
    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", Some(http_check()), vec![])).await;
    assert_eq!(feed.cell.load().high_water(), 2, "and that is remembered");
}

#[tokio::test]
async fn an_ordinal_of_the_configuration_is_remembered_too() {
    let folder = tempfile::tempdir().expect("folder");
    let address = "127.0.0.1:9".parse().expect("address");
    let room = Room::at(folder.path());
    room.configure(service("oms", None, vec![static_node("a", 12, address)])).await;
    room.stop();
    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", None, vec![static_node("a", 1, address)])).await;
    assert_eq!(feed.cell.load().high_water(), 12);
}

#[tokio::test]
async fn what_is_said_of_a_dropped_end_is_what_is_known() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    room.configure(service("oms", None, vec![static_node("a", 12, "127.0.0.1:9".parse().expect("address"))])).await;
    room.stop();
    let log = folder.path().join("log.1");
    let whole = std::fs::read(&log).expect("a log");
    std::fs::write(&log, &whole[..whole.len() - 1]).expect("cut");
    let (bus, metrics) = (Bus::default(), Arc::new(Metrics::new()));
    let mut notices = bus.listen();
    let options = ControlOptions { store: folder.path().to_owned(), metrics, bus, legacy: Legacy::default() };
    let (_control, inbox) = Control::channel();
    start(options, inbox).expect("starts");
    let notice = notices.recv().await.expect("told");
    assert_eq!(notice.kind, "registry-recovered");
    let end = format!("{} bytes of the log are no whole record", whole.len() - 1);
    assert!(notice.message.contains(&end) && notice.message.contains("or damage"), "{}", notice.message);
}

/// A real folder whose writes fail on demand.
pub(super) struct Failing {
    pub(super) folder: Folder,
    pub(super) full: Arc<AtomicBool>,
}

impl Failing {
    fn outcome(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for Failing {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(name)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.outcome()?;
        self.folder.append(name, bytes)
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.outcome()?;
        self.folder.replace(name, bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }
}

#[tokio::test]
async fn a_disk_that_is_full_stops_changes_and_not_traffic() {
    let folder = tempfile::tempdir().expect("folder");
    let full = Arc::new(AtomicBool::new(false));
    let disk = Failing { folder: Folder::new(folder.path()), full: Arc::clone(&full) };
    let opened = Store::open_on(Path::new("disk"), Box::new(disk)).expect("opens");
    let mut room = Room::on(opened.store);
    let node = Node::start(Some(200)).await;
    let feed = room.configure(service("oms", Some(http_check()), vec![])).await;
    room.control.join("oms", spec("j", 1, node.address), LONG).await.expect("joined");
    room.control.join("oms", spec("short", 2, node.address), Duration::from_millis(300)).await.expect("joined");
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;

    full.store(true, Ordering::SeqCst);
    let storage = |outcome: Result<(), Denied>| match outcome {
        Err(Denied::Storage(cause)) => assert!(cause.starts_with("disk: "), "{cause}"),
        other => panic!("{other:?}"),
    };
    storage(room.control.join("oms", spec("k", 9, node.address), LONG).await.map(drop));
    storage(room.control.join("oms", NodeSpec { weight: 5, ..spec("j", 1, node.address) }, LONG).await.map(drop));
    storage(room.control.leave("oms", "j").await);
    storage(room.control.drain("oms", "j", true).await);
    assert!(room.heard("registry-unwritable", "").await.message.contains("traffic goes on"));
    // Nothing of it happened, renewals need no disk, and a lease lapses all the same.
    room.control.heartbeat("oms", "j", None).await.expect("renewed");
    let after = until(&feed, |m| ids(m) == ["j"]).await;
    let j = &after.members()[0];
    assert_eq!((j.standing, j.node.spec.weight, after.high_water()), (Standing::Up, 1, 2));

    full.store(false, Ordering::SeqCst);
    room.control.join("oms", spec("k", 9, node.address), LONG).await.expect("room again");
    room.heard("registry-writable", "").await;
    room.stop();
    let store = Store::open(folder.path()).expect("opens").store;
    let kept: Vec<&String> = store.state().services["oms"].nodes.keys().collect();
    assert_eq!(kept, ["j", "k"], "the lapse is written, too");
}
