//! Plans meet nodes that joined, drains and each other.

use super::*;
use crate::world::control::Clash;

#[tokio::test]
async fn a_reload_keeps_the_feed_and_what_it_does_not_change() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let node = Node::start(Some(200)).await;
    let nodes = vec![static_node("a", 1, node.address)];
    let feed = room.configure(service("oms", Some(http_check()), nodes.clone())).await;
    until(&feed, |m| standing(m, "a") == Some(Standing::Up)).await;
    let guard = feed.cell.load().members()[0].node.load.enter(0);
    let slower = HealthCheck { interval: LONG, ..http_check() };
    let again = room.configure(service("oms", Some(slower), nodes)).await;
    assert!(Arc::ptr_eq(&feed, &again));
    assert_eq!(standing(&feed.cell.load(), "a"), Some(Standing::Up));
    assert_eq!(room.node("a").await.in_flight, 1);
    drop(guard);
    room.control.first_checks().await.expect("a node that is known needs no first check");
}

#[tokio::test]
async fn a_plan_that_clashes_with_nodes_that_joined_is_refused_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let address = "127.0.0.1:9".parse().expect("address");
    let feed = room.configure(service("oms", None, vec![static_node("a", 1, address)])).await;
    room.control.join("oms", spec("j", 7, address), LONG).await.expect("joined");
    let version = feed.cell.load().version();
    let clashing = plan(vec![
        service("oms", None, vec![static_node("b", 7, address), static_node("j", 2, address)]),
        service("new", None, vec![]),
    ]);
    let message = |claim: &str| {
        format!("{claim}; give the static node another, or take the other out (DELETE /v1/services/oms/nodes/j)")
    };
    let expected = vec![
        Clash {
            service: "oms".into(),
            node: "b".into(),
            message: message("ordinal 7 of static node `b` belongs to node `j`, which joined"),
        },
        Clash {
            service: "oms".into(),
            node: "j".into(),
            message: message("the id of static node `j` belongs to a node that joined"),
        },
    ];
    assert_eq!(room.control.configure(clashing).await.expect("runs").expect_err("refused"), expected);
    assert_eq!(feed.cell.load().version(), version);
    assert_eq!(room.control.report().await.expect("runs").len(), 1);
}

#[tokio::test]
async fn at_the_start_the_configuration_wins_over_what_the_registry_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let address = "127.0.0.1:9".parse().expect("address");
    let room = Room::at(folder.path());
    room.configure(service("oms", None, vec![])).await;
    for (id, ordinal) in [("j", 7), ("k", 8)] {
        room.control.join("oms", spec(id, ordinal, address), LONG).await.expect("joined");
    }
    room.stop();
    let mut room = Room::at(folder.path());
    let feed = room.configure(service("oms", None, vec![static_node("b", 7, address)])).await;
    assert_eq!(ids(&feed.cell.load()), ["b", "k"]);
    let notice = room.heard("node-left", "j").await;
    assert!(notice.message.contains("ordinal 7 of static node `b`"), "{}", notice.message);
}

#[tokio::test]
async fn a_service_taken_out_by_mistake_comes_back_with_its_nodes() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let node = Node::start(Some(200)).await;
    let feed = room.configure(service("oms", Some(http_check()), vec![])).await;
    room.control.join("oms", spec("j", 1, node.address), LONG).await.expect("joined");
    until(&feed, |m| standing(m, "j") == Some(Standing::Up)).await;
    room.configure(service("other", None, vec![])).await;
    assert!(room.control.heartbeat("oms", "j", None).await.is_err());
    let again = room.configure(service("oms", Some(http_check()), vec![])).await;
    assert!(Arc::ptr_eq(&feed, &again));
    assert_eq!(standing(&feed.cell.load(), "j"), Some(Standing::Up));
    room.control.heartbeat("oms", "j", None).await.expect("its lease still runs");
    node.kill().await;
    until(&feed, |m| standing(m, "j") == Some(Standing::Down)).await;
}

#[tokio::test]
async fn taking_the_checks_away_brings_static_nodes_up() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let node = Node::start(Some(500)).await;
    let nodes = vec![static_node("a", 1, node.address)];
    let feed = room.configure(service("oms", Some(http_check()), nodes.clone())).await;
    room.control.first_checks().await.expect("runs");
    assert_eq!(standing(&feed.cell.load(), "a"), Some(Standing::Down));
    room.configure(service("oms", None, nodes)).await;
    assert_eq!(standing(&feed.cell.load(), "a"), Some(Standing::Up));
}

#[tokio::test]
async fn a_node_that_is_down_needs_its_rise_also_after_a_reload() {
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let node = Node::start(Some(500)).await;
    let nodes = vec![static_node("a", 1, node.address)];
    let feed = room.configure(service("oms", Some(http_check()), nodes.clone())).await;
    room.control.first_checks().await.expect("runs");
    let slow = HealthCheck { rise: u32::MAX, ..http_check() };
    room.configure(service("oms", Some(slow.clone()), nodes.clone())).await;
    node.status.send_replace(Some(200));
    // Reading a changed check again starts it afresh: neither its first check nor ten may bring the node up.
    let slower = HealthCheck { jitter: 0.1, ..slow };
    room.configure(service("oms", Some(slower), nodes)).await;
    node.asked(10).await;
    // Findings are taken before orders: what the checks found is in force once a report is answered.
    room.node("a").await;
    assert_eq!(standing(&feed.cell.load(), "a"), Some(Standing::Down));
}
