//! Elections as readers, operators and the disk see them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pointsman_registry::{Folder, Office};

use super::storing::Failing;
use super::*;

/// Short enough for a test; that it is kept is shown in core, where time is an argument.
const TAKEOVER: Duration = Duration::from_millis(100);

fn elects(takeover_after: Duration, nodes: Vec<plan::StaticNode>) -> plan::Service {
    plan::Service { primary: Some(plan::Primary { takeover_after }), ..service("oms", Some(http_check()), nodes) }
}

fn primary(membership: &Membership) -> Option<&str> {
    let index = membership.primary()?;
    membership.get(index).map(|member| member.node.spec.id.as_str())
}

async fn reigns(feed: &Feed, id: &str, epoch: u64) -> Arc<Membership> {
    until(feed, |m| primary(m) == Some(id) && m.epoch() == epoch).await
}

async fn pair() -> (Node, Node, Vec<plan::StaticNode>) {
    let (a, b) = (Node::start(Some(200)).await, Node::start(Some(200)).await);
    let nodes = vec![static_node("a", 1, a.address), static_node("b", 2, b.address)];
    (a, b, nodes)
}

fn office(folder: &Path) -> Office {
    let store = Store::open(folder).expect("opens").store;
    store.state().services["oms"].office.clone()
}

async fn vacancy(room: &Room) -> Option<&'static str> {
    let report = room.control.report().await.expect("runs").remove(0).primary.expect("it elects one");
    report.vacancy.map(|vacancy| vacancy.why)
}

#[tokio::test]
async fn the_next_takes_over_and_the_first_does_not_come_back() {
    let folder = tempfile::tempdir().expect("folder");
    let mut room = Room::at(folder.path());
    let (a, _b, nodes) = pair().await;
    let feed = room.configure(elects(TAKEOVER, nodes)).await;
    reigns(&feed, "a", 1).await;
    let told = room.heard("primary-elected", "a").await;
    assert_eq!((told.epoch, told.why), (Some(1), Some("elected")));
    let report = room.control.report().await.expect("runs").remove(0).primary.expect("it elects one");
    assert_eq!(report.node, Some(("a".into(), a.address.to_string())));
    assert!(report.since_ms.is_some_and(|since| since > 1_600_000_000_000) && report.vacancy.is_none(), "{report:?}");

    a.status.send_replace(Some(500));
    reigns(&feed, "b", 2).await;
    let told = room.heard("primary-deposed", "a").await;
    assert_eq!((told.epoch, told.why), (Some(1), Some("down")));
    room.heard("primary-elected", "b").await;
    a.status.send_replace(Some(200));
    let back = until(&feed, |m| standing(m, "a") == Some(Standing::Up)).await;
    assert_eq!((primary(&back), back.epoch()), (Some("b"), 2), "no flapping back");
    let text = room.metrics.render();
    for (change, times) in [("elected", 2), ("down", 1)] {
        let line = format!("pointsman_primary_changes_total{{change=\"{change}\",service=\"oms\"}} {times}\n");
        assert!(text.contains(&line), "{text}");
    }
    room.stop();
    let Office { epoch, primary, .. } = office(folder.path());
    assert_eq!((epoch, primary.as_deref()), (2, Some("b")));
}

#[tokio::test]
async fn a_drained_primary_makes_room_at_once_for_readers() {
    let folder = tempfile::tempdir().expect("folder");
    let mut room = Room::at(folder.path());
    let (_a, _b, nodes) = pair().await;
    let feed = room.configure(elects(LONG, nodes)).await;
    reigns(&feed, "a", 1).await;
    room.control.drain("oms", "a", true).await.expect("drained");
    assert_eq!(primary(&feed.cell.load()), None, "before the drain is acknowledged");
    assert_eq!(vacancy(&room).await, Some("drained"));
    assert_eq!(room.heard("primary-deposed", "a").await.why, Some("drained"));
}

#[tokio::test]
async fn a_restart_keeps_primary_and_epoch() {
    let folder = tempfile::tempdir().expect("folder");
    let (a, b, nodes) = pair().await;
    let room = Room::at(folder.path());
    let feed = room.configure(elects(TAKEOVER, nodes.clone())).await;
    reigns(&feed, "a", 1).await;
    a.status.send_replace(Some(500));
    reigns(&feed, "b", 2).await;
    room.stop();
    let since = office(folder.path()).since_ms;

    a.status.send_replace(Some(200));
    let mut room = Room::at(folder.path());
    let feed = room.configure(elects(LONG, nodes.clone())).await;
    let again = reigns(&feed, "b", 2).await;
    assert_eq!(room.heard("primary-elected", "b").await.why, Some("resumed"));
    let report = room.control.report().await.expect("runs").remove(0).primary.expect("it elects one");
    assert_eq!((report.since_ms, again.epoch()), (Some(since), 2));
    room.stop();

    // Whoever does not come back in time is followed by another.
    let room = Room::at(folder.path());
    b.status.send_replace(Some(500));
    let feed = room.configure(elects(TAKEOVER, nodes)).await;
    reigns(&feed, "a", 3).await;
}

#[tokio::test]
async fn an_epoch_that_cannot_be_written_is_seen_by_nobody() {
    let folder = tempfile::tempdir().expect("folder");
    let full = Arc::new(AtomicBool::new(true));
    let disk = Failing { folder: Folder::new(folder.path()), full: Arc::clone(&full) };
    let mut room = Room::on(Store::open_on(Path::new("disk"), Box::new(disk)).expect("opens").store);
    let (a, _b, nodes) = pair().await;
    let feed = room.configure(elects(TAKEOVER, nodes)).await;
    until(&feed, |m| m.eligible().len() == 2).await;
    assert!(room.heard("registry-unwritable", "").await.message.contains("no primary is elected"));
    let seen = feed.cell.load_full();
    assert_eq!((primary(&seen), seen.epoch()), (None, 0));
    assert_eq!(vacancy(&room).await, Some("unwritable"));
    full.store(false, Ordering::SeqCst);
    reigns(&feed, "a", 1).await;

    full.store(true, Ordering::SeqCst);
    a.status.send_replace(Some(500));
    let fallen = until(&feed, |m| standing(m, "a") == Some(Standing::Down)).await;
    assert_eq!((primary(&fallen), fallen.epoch()), (None, 1), "who fell is shown to nobody, written or not");
    full.store(false, Ordering::SeqCst);
    reigns(&feed, "b", 2).await;
}

#[tokio::test]
async fn a_reload_adds_a_primary_and_takes_it_out() {
    let folder = tempfile::tempdir().expect("folder");
    let mut room = Room::at(folder.path());
    let (_a, _b, nodes) = pair().await;
    let feed = room.configure(service("oms", Some(http_check()), nodes.clone())).await;
    until(&feed, |m| m.eligible().len() == 2).await;
    assert!(room.control.report().await.expect("runs")[0].primary.is_none());
    room.configure(elects(TAKEOVER, nodes.clone())).await;
    assert_eq!(primary(&feed.cell.load()), Some("a"), "there is none to wait for");
    room.configure(service("oms", Some(http_check()), nodes.clone())).await;
    assert_eq!(primary(&feed.cell.load()), None);
    assert_eq!(room.heard("primary-deposed", "a").await.why, Some("abolished"));
    room.configure(elects(TAKEOVER, nodes)).await;
    reigns(&feed, "a", 2).await;
}

#[tokio::test]
async fn the_process_that_takes_over_has_the_primary_from_its_first_membership_on() {
    let folder = tempfile::tempdir().expect("folder");
    let (a, b, nodes) = pair().await;
    let old = Room::at(folder.path());
    let feed = old.configure(elects(TAKEOVER, nodes.clone())).await;
    reigns(&feed, "a", 1).await;
    a.status.send_replace(Some(500));
    reigns(&feed, "b", 2).await;
    let legacy = old.control.release().await.expect("lets go");
    let mut heir = Room::on_with(Store::open(folder.path()).expect("it is free").store, legacy);
    let first = heir.configure(elects(LONG, nodes)).await.cell.load_full();
    assert_eq!((first.version(), primary(&first), first.epoch()), (1, Some("b"), 2));
    assert_eq!(heir.heard("primary-elected", "b").await.why, Some("resumed"));

    // The one before elects nobody while the registry is away.
    b.status.send_replace(Some(500));
    let fallen = until(&feed, |m| standing(m, "b") == Some(Standing::Down)).await;
    assert_eq!((primary(&fallen), fallen.epoch()), (None, 2));
}

#[tokio::test]
async fn what_was_elected_elsewhere_meanwhile_holds_once_the_registry_is_back() {
    let folder = tempfile::tempdir().expect("folder");
    let (_a, _b, nodes) = pair().await;
    let old = Room::at(folder.path());
    let feed = old.configure(elects(TAKEOVER, nodes.clone())).await;
    reigns(&feed, "a", 1).await;
    let legacy = old.control.release().await.expect("lets go");
    let heir = Room::on_with(Store::open(folder.path()).expect("it is free").store, legacy);
    let theirs = heir.configure(elects(TAKEOVER, nodes)).await;
    heir.control.drain("oms", "a", true).await.expect("drained");
    reigns(&theirs, "b", 2).await;
    heir.control.drain("oms", "a", false).await.expect("again");
    heir.stop();
    old.control.take_back().await.expect("opens");
    reigns(&feed, "b", 2).await;
}

#[tokio::test]
async fn an_epoch_that_was_given_elsewhere_is_not_given_again_where_no_primary_was_wanted() {
    let folder = tempfile::tempdir().expect("folder");
    let (_a, _b, nodes) = pair().await;
    let first = Room::at(folder.path());
    let feed = first.configure(elects(TAKEOVER, nodes.clone())).await;
    reigns(&feed, "a", 1).await;
    first.stop();
    let old = Room::at(folder.path());
    let feed = old.configure(service("oms", Some(http_check()), nodes.clone())).await;
    until(&feed, |m| m.eligible().len() == 2).await;
    let legacy = old.control.release().await.expect("lets go");
    let heir = Room::on_with(Store::open(folder.path()).expect("it is free").store, legacy);
    let theirs = heir.configure(elects(TAKEOVER, nodes.clone())).await;
    reigns(&theirs, "a", 1).await;
    heir.control.drain("oms", "a", true).await.expect("drained");
    reigns(&theirs, "b", 2).await;
    heir.control.drain("oms", "a", false).await.expect("again");
    heir.stop();
    old.control.take_back().await.expect("opens");
    old.configure(elects(TAKEOVER, nodes)).await;
    let shown = until(&feed, |m| m.primary().is_some()).await;
    assert_eq!((primary(&shown), shown.epoch()), (Some("b"), 2));
}
