//! Nodes join, renew, leave and lapse.

use super::*;
use crate::world::control::{Denied, Joined, ReportedLoad};

const SHORTEST: Duration = Duration::from_millis(300);
const CREATED: Joined = Joined { created: true, drained: false };
const RENEWED: Joined = Joined { created: false, drained: false };

async fn open_room() -> (tempfile::TempDir, Room, Arc<Feed>) {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", Some(http_check()), vec![])).await;
    (folder, room, feed)
}

#[tokio::test]
async fn a_node_that_joined_serves_after_its_first_check_and_not_before() {
    let (_folder, mut room, feed) = open_room().await;
    let node = Node::start(None).await;
    assert_eq!(room.control.join("oms", spec("j", 1, node.address), LONG).await, Ok(CREATED));
    assert_eq!(standing(&feed.cell.load(), "j"), Some(Standing::Down));
    assert_eq!(room.node("j").await.standing, "checking");
    node.status.send_replace(Some(200));
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    room.heard("node-joined", "j").await;
    room.heard("node-up", "j").await;
    // Joining again is a renewal, and changes nothing that can be seen.
    let before = feed.cell.load_full();
    assert_eq!(room.control.join("oms", spec("j", 1, node.address), LONG).await, Ok(RENEWED));
    assert!(Arc::ptr_eq(&before, &feed.cell.load_full()));
}

#[tokio::test]
async fn after_a_leave_is_answered_no_reader_finds_the_node() {
    let (_folder, mut room, feed) = open_room().await;
    let node = Node::start(Some(200)).await;
    room.control.join("oms", spec("j", 1, node.address), LONG).await.expect("joined");
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    room.control.leave("oms", "j").await.expect("left");
    assert_eq!(standing(&feed.cell.load(), "j"), None);
    let gone = Denied::NoNode { service: "oms".into(), id: "j".into() };
    assert_eq!(room.control.leave("oms", "j").await, Err(gone.clone()));
    assert_eq!(room.control.heartbeat("oms", "j", None).await, Err(gone));
    room.heard("node-left", "j").await;
}

#[tokio::test]
async fn who_does_not_renew_is_out_and_must_join_again() {
    let (_folder, mut room, feed) = open_room().await;
    let node = Node::start(Some(200)).await;
    let second = Duration::from_secs(1);
    for (id, ordinal, ttl) in [("kept", 1, second), ("lost", 2, SHORTEST), ("late", 3, second)] {
        room.control.join("oms", spec(id, ordinal, node.address), ttl).await.expect("joined");
    }
    let load = ReportedLoad { utilisation: Some(0.5), queue: None };
    let renew = async {
        let mut beat = tokio::time::interval(second / 20);
        loop {
            beat.tick().await;
            room.control.heartbeat("oms", "kept", Some(load.clone())).await.expect("renewed in time");
        }
    };
    // `late` joined after `kept`, with the same lease: only renewals can make `kept` outlive it.
    tokio::select! {
        () = renew => {}
        _ = until(&feed, |m| ids(m) == ["kept"]) => {}
    }
    assert_eq!(room.node("kept").await.load, Some(load));
    let denied = room.control.heartbeat("oms", "lost", None).await;
    assert!(matches!(denied, Err(Denied::NoNode { .. })), "{denied:?}");
    assert_eq!(room.heard("lease-lost", "lost").await.service, "oms");
    assert!(room.metrics.render().contains(r#"pointsman_leases_lost_total{service="oms"} "#));
    let back = room.control.join("oms", spec("lost", 2, node.address), LONG).await;
    assert_eq!(back, Ok(CREATED));
}

#[tokio::test]
async fn a_service_without_checks_still_checks_who_joins() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let feed = room.configure(service("oms", None, vec![])).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    room.control.join("oms", spec("there", 0, address), LONG).await.expect("joined");
    let gone = Node::start(Some(200)).await.kill().await;
    room.control.join("oms", spec("gone", 0, gone), LONG).await.expect("joined");
    room.control.first_checks().await.expect("runs");
    until(&feed, |m| standing(m, "there") == Some(Standing::Up)).await;
    let seen = async {
        while room.node("gone").await.standing != "down" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("checked");
    assert_eq!(room.node("gone").await.last_failure.as_deref(), Some("connection refused"));
}

#[tokio::test]
async fn another_address_is_checked_anew() {
    let (_folder, room, feed) = open_room().await;
    let (old, new) = (Node::start(Some(200)).await, Node::start(None).await);
    room.control.join("oms", spec("j", 1, old.address), LONG).await.expect("joined");
    let first = until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    assert_eq!(room.control.join("oms", spec("j", 1, new.address), LONG).await, Ok(CREATED));
    let moved = feed.cell.load_full();
    assert_eq!(standing(&moved, "j"), Some(Standing::Down));
    assert!(moved.members()[0].node.incarnation > first.members()[0].node.incarnation);
    new.status.send_replace(Some(200));
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    // The old address is left alone, but for a connection that was under way.
    let before = *old.served.borrow();
    new.asked(20).await;
    assert!(*old.served.borrow() <= before + 1);
}

#[tokio::test]
async fn what_may_not_be_is_denied_with_a_reason() {
    let (_folder, room, _feed) = open_room().await;
    let address = "127.0.0.1:9".parse().expect("address");
    room.configure(service("oms", Some(http_check()), vec![static_node("fixed", 1, address)])).await;
    let join = |service: &'static str, id: &'static str| {
        let control = room.control.clone();
        async move { control.join(service, spec(id, 1, address), LONG).await }
    };
    assert_eq!(join("erp", "j").await, Err(Denied::NoService("erp".into())));
    assert_eq!(join("oms", "fixed").await, Err(Denied::Static { id: "fixed".into() }));
    let taken = Denied::OrdinalTaken { service: "oms".into(), ordinal: 1, by: "fixed".into() };
    assert_eq!(join("oms", "j").await, Err(taken));
    assert_eq!(room.control.leave("oms", "fixed").await, Err(Denied::Static { id: "fixed".into() }));
    assert_eq!(room.control.heartbeat("oms", "fixed", None).await, Err(Denied::Static { id: "fixed".into() }));
    let nobody = Err(Denied::NoNode { service: "oms".into(), id: "nobody".into() });
    assert_eq!(room.control.drain("oms", "nobody", true).await, nobody);
}

#[tokio::test]
async fn a_thousand_joins_and_leaves_are_carried_out_in_order() {
    let (_folder, room, feed) = open_room().await;
    let address = "127.0.0.1:9".parse().expect("address");
    let ids: Vec<String> = (1..=1_000).map(|n| format!("n{n:04}")).collect();
    let each = ids.iter().zip(1..).map(|(id, ordinal)| {
        let control = room.control.clone();
        async move {
            // The odd ones leave again, and their ordinals are free at once.
            control.join("oms", spec(id, ordinal, address), LONG).await?;
            if ordinal % 2 == 1 {
                control.leave("oms", id).await?;
                control.join("oms", spec(&format!("{id}-again"), ordinal, address), LONG).await?;
            }
            Ok::<_, Denied>(())
        }
    });
    futures::future::try_join_all(each).await.expect("each is carried out");
    let members = feed.cell.load_full();
    let ordinals: Vec<u64> = members.members().iter().filter_map(|m| m.node.spec.ordinal).collect();
    assert_eq!(ordinals, (1..=1_000).collect::<Vec<u64>>());
    assert!(
        members
            .members()
            .iter()
            .all(|m| m.node.spec.id.ends_with("-again") == (m.node.spec.ordinal.unwrap_or(0) % 2 == 1))
    );
}

#[tokio::test]
async fn a_drain_outlives_a_lapse_and_whoever_joins_again_is_told_so() {
    let (_folder, mut room, feed) = open_room().await;
    let node = Node::start(Some(200)).await;
    room.control.join("oms", spec("j", 1, node.address), SHORTEST).await.expect("joined");
    room.control.drain("oms", "j", true).await.expect("drained");
    until(&feed, |m| ids(m).is_empty()).await;
    room.heard("lease-lost", "j").await;
    let back = room.control.join("oms", spec("j", 1, node.address), LONG).await;
    assert_eq!(back, Ok(Joined { created: true, drained: true }));
    let told = room.heard("node-joined", "j").await.message;
    assert!(told.contains("stays so until it is undrained"), "{told}");
    room.control.drain("oms", "j", false).await.expect("undrained");
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
}
