use std::net::TcpStream;

use super::node::{Do, ok};
use super::*;

/// Answers when `go` is told to.
fn slow() -> (RawNode, std::sync::mpsc::Sender<()>) {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = parking_lot::Mutex::new(wait);
    let node = RawNode::new(move |_| {
        wait.lock().recv().expect("the test goes on");
        Do::Answer(ok("x"))
    });
    (node, go)
}

#[test]
fn an_address_is_added_without_dropping_the_others() {
    let node = RawNode::saying("x");
    let house = House::new(in_turn(), &[node.address]);
    let mut before = house.client();
    assert_eq!(before.get("/a").status, 200);
    let addresses = house.listen(&[house.address, local()]).expect("a port");
    assert_eq!(addresses[0], house.address);
    assert_ne!(addresses[1].port(), 0);
    assert_eq!(Client::to(addresses[1]).get("/a").status, 200);
    assert_eq!(before.get("/a").status, 200, "on the connection from before");
    assert_eq!(house.workers.addresses(), addresses);
}

#[test]
fn an_address_that_goes_accepts_nothing_but_finishes_what_it_accepted() {
    let (node, go) = slow();
    let house = House::new(in_turn(), &[node.address]);
    let other = house.listen(&[house.address, local()]).expect("a port")[1];
    let mut established = Client::to(other);
    established.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("it is under way", || node.seen().len() == 1);
    assert_eq!(house.listen(&[house.address]).expect("nothing to bind"), [house.address]);
    assert!(TcpStream::connect(other).is_err(), "nobody listens");
    go.send(()).expect("the node waits");
    assert_eq!(established.response(true).status, 200);
    go.send(()).expect("the node is there");
    assert_eq!(house.client().get("/a").status, 200);
}

#[test]
fn port_nought_asked_for_again_is_the_same_port() {
    let house = House::new(in_turn(), &[nobody()]);
    assert_eq!(house.listen(&[local()]).expect("nothing to bind"), [house.address]);
    let two = house.listen(&[local(), local()]).expect("a port");
    assert_eq!(two[0], house.address);
    assert_ne!(two[1], house.address);
    assert_eq!(house.listen(&[two[1], two[0]]).expect("nothing to bind"), [two[1], two[0]]);
}

#[test]
fn an_address_that_went_can_come_back_at_once() {
    let house = House::new(in_turn(), &[nobody()]);
    for _ in 0..10 {
        assert!(house.listen(&[]).expect("nothing to bind").is_empty());
        assert_eq!(house.listen(&[house.address]).expect("free again"), [house.address]);
    }
    assert_eq!(house.client().get("/nowhere").status, 404);
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_changes() {
    let house = House::new(in_turn(), &[nobody()]);
    // Another proxy of the same user holds it: SO_REUSEPORT would let us in beside it.
    let other = House::new(in_turn(), &[nobody()]);
    let error = house.listen(&[local(), other.address]).expect_err("taken");
    assert!(error.to_string().contains(&other.address.to_string()), "{error}");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(house.workers.addresses(), [house.address]);
    assert_eq!(house.client().get("/nowhere").status, 404);
}

#[test]
fn on_shutdown_what_runs_finishes_and_idle_connections_end() {
    let (node, go) = slow();
    let house = House::new(in_turn(), &[node.address]);
    // As many as it takes for both workers to hold some: when all have ended, both have been told.
    let mut idle: Vec<_> = (0..24).map(|_| house.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/nowhere").status, 404);
    }
    let mut busy = house.client();
    busy.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("it is under way", || node.seen().len() == 1);
    std::thread::scope(|scope| {
        let workers = &house.workers;
        let stopping = scope.spawn(move || workers.shutdown(Duration::from_secs(20)));
        assert!(idle.iter_mut().all(Client::ended));
        assert!(TcpStream::connect(house.address).is_err(), "nobody listens");
        go.send(()).expect("the node waits");
        let response = busy.response(true);
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        stopping.join().expect("no panic");
    });
    assert!(busy.ended());
}

#[test]
fn on_shutdown_what_does_not_finish_is_cut() {
    let silent = RawNode::new(|_| Do::Silence);
    let house = House::new(first(), &[silent.address]);
    let mut client = house.client();
    client.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
    eventually("it is under way", || silent.seen().len() == 1);
    house.workers.shutdown(Duration::from_millis(50));
    assert!(client.ended());
    assert_eq!(house.in_flight(), 0);
    assert_eq!(house.metrics.connections().get(), 0);
}

#[test]
fn sockets_that_are_handed_over_lose_nobody_who_waits_at_them() {
    for workers in [1, 2, 3] {
        let node = RawNode::saying("x");
        let old = House::new(in_turn(), &[node.address]);
        let lent = old.workers.lend().expect("two sockets");
        assert_eq!(lent[0].sockets.len(), 2);
        old.workers.hand_over(&[old.address.into()], Duration::from_secs(20));
        // As many as it takes for both sockets to hold some: nobody accepts, so they wait in the kernel.
        let mut waiting: Vec<_> = (0..24).map(|_| Client::to(old.address)).collect();
        for client in &mut waiting {
            client.send("GET /a HTTP/1.1\r\nHost: a.com\r\n\r\n");
        }
        let sockets = Sockets::bind(&[listener(local(), false)], workers, lent).expect("nothing is taken");
        assert_eq!(sockets.kept(), [old.address]);
        let new = Workers::start(workers, &old.world, &old.metrics, &old.log).expect("threads");
        assert_eq!(new.open(sockets), [old.address]);
        assert!(new.renew().problems.is_empty());
        for client in &mut waiting {
            assert_eq!(client.response(true).status, 200);
        }
        assert_eq!(Client::to(old.address).get("/a").status, 200);
        new.shutdown(Duration::from_secs(20));
        assert!(TcpStream::connect(old.address).is_err(), "nobody listens");
    }
}

#[test]
fn an_idle_connection_may_bring_a_last_request_after_a_hand_over() {
    for lane in [true, false] {
        let node = RawNode::saying("x");
        let house = House::on(lane, in_turn(), &[node.address], |_| {});
        let _lent = house.workers.lend().expect("sockets");
        let mut idle: Vec<_> = (0..8).map(|_| house.client()).collect();
        for client in &mut idle {
            assert_ne!(client.get("/a").header("connection"), Some("close"));
        }
        std::thread::scope(|scope| {
            let (workers, theirs) = (&house.workers, [house.address.into()]);
            let leaving = scope.spawn(move || workers.hand_over(&theirs, Duration::from_secs(40)));
            eventually("it is on its way", || house.workers.addresses().is_empty());
            for client in &mut idle {
                // The answer says so once the worker was told, which may be a moment later.
                let mut last = client.get("/a");
                while last.header("connection") != Some("close") {
                    last = client.get("/a");
                }
                assert!(last.status == 200 && client.ended());
            }
            leaving.join().expect("no panic");
        });
    }
}
