//! The load generator counts what happens, against servers that behave and servers that do not.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_demo::bare::{self, BareHandle};
use pointsman_demo::load::{self, Ask, End, Failures, LoadOptions, Report, Template, Trust};
use pointsman_demo::node::{self, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn server() -> BareHandle {
    bare::start("bare-1", SocketAddr::from(([127, 0, 0, 1], 0))).expect("a server")
}

async fn run(options: LoadOptions) -> Report {
    load::start(options).expect("it starts").finish().await
}

#[tokio::test]
async fn every_request_is_counted_once() {
    let server = server();
    let report = run(LoadOptions::new(server.addr).connections(7).requests(1000)).await;
    assert_eq!((report.requests, report.succeeded, report.failed), (1000, 1000, 0));
    assert_eq!(report.nodes.get("bare-1"), Some(&1000));
    assert_eq!(report.statuses.get(&200), Some(&1000));
    assert_eq!(report.bytes_received, 1000 * bare::REPLY as u64);
    assert_eq!(report.connections, 7, "connections are kept");
    assert!(report.latency.min <= report.latency.p50 && report.latency.p50 <= report.latency.max);
    assert!(report.latency.min > 0.0);
}

#[tokio::test]
async fn each_way_to_break_an_answer_has_its_own_count() {
    let server = server();
    let cases = [
        ("/reset", Failures { reset: 5, ..Failures::default() }),
        ("/close", Failures { closed: 5, ..Failures::default() }),
        ("/truncate", Failures { short: 5, ..Failures::default() }),
        ("/garbage", Failures { malformed: 5, ..Failures::default() }),
    ];
    for (path, wanted) in cases {
        let report = run(LoadOptions::new(server.addr).ask("GET", path).connections(2).requests(5)).await;
        assert_eq!(report.failures, wanted, "{path}: {:?}", report.samples);
        assert_eq!((report.requests, report.succeeded, report.samples.len()), (5, 0, 5), "{path}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_of_its_kind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = listener.local_addr().expect("an address");
    drop(listener);
    let report = run(LoadOptions::new(to).connections(1).requests(3)).await;
    assert_eq!(report.failures, Failures { connect: 3, ..Failures::default() });
}

#[tokio::test]
async fn a_silent_server_is_a_timeout_and_the_connection_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut options = LoadOptions::new(listener.local_addr().expect("an address")).connections(1).requests(2);
    options.timeout = Duration::from_millis(30);
    let report = run(options).await;
    assert_eq!(report.failures, Failures { timeout: 2, ..Failures::default() });
    assert_eq!(report.connections, 2);
}

#[tokio::test]
async fn statuses_outside_the_accepted_ones_have_failed() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let mut options = LoadOptions::new(node.addr).ask("GET", "/fail?status=503").requests(4);
    let report = run(options.clone()).await;
    assert_eq!(report.failures, Failures { status: 4, ..Failures::default() });
    assert_eq!((report.statuses.get(&503), report.nodes.get("oms-1")), (Some(&4), Some(&4)));
    options.accept = vec![503..=503];
    assert_eq!(run(options).await.failed, 0);
}

#[tokio::test]
async fn a_wrong_node_is_seen() {
    let server = server();
    let options = LoadOptions::new(server.addr).requests(10).check(|n, node| n % 2 == 0 && node == b"bare-1");
    let report = run(options).await;
    assert_eq!(report.failures, Failures { misrouted: 5, ..Failures::default() });
    assert!(report.samples.iter().all(|sample| sample.node.as_deref() == Some("bare-1")));
}

#[tokio::test]
async fn a_mix_with_templates_reaches_the_node_as_written() {
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let ask = |share, method: &str, target| Ask { share, method: method.into(), target: Template::text(target) };
    let mut options = LoadOptions::new(node.addr).header("x-request-unique", "{run}-{n}").connections(3).requests(40);
    options.mix = vec![ask(3, "GET", "/orders"), ask(1, "POST", "/orders")];
    options.body = Template::parse(r#"{"clOrdID":"{n}","customer":"{n%4}"}"#).expect("a template");
    let report = run(options).await;
    assert_eq!((report.statuses.get(&200), report.statuses.get(&201)), (Some(&30), Some(&10)), "{report:?}");
    let stats = node.stats();
    assert_eq!((stats.requests, stats.unique, stats.duplicates), (40, 40, 0));
}

#[tokio::test]
async fn chunked_answers_and_interim_ones_are_read_to_their_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 1024];
        while stream.read(&mut request).await.expect("a request") > 0 {
            let interim = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(interim).await.expect("sent");
            stream.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.expect("sent");
        }
    });
    let report = run(LoadOptions::new(to).connections(1).requests(20)).await;
    assert_eq!((report.succeeded, report.failed, report.connections), (20, 0, 1), "{:?}", report.samples);
}

#[tokio::test]
async fn a_rate_counts_latency_from_when_a_request_was_due() {
    // One connection, each answer takes 20 ms, one request due each millisecond: the last of 20 is due at 19 ms and
    // answered after 400 ms at the earliest. A closed loop would call that 20 ms.
    let node = node::start(NodeOptions::new("oms-1")).expect("a node");
    let options = LoadOptions::new(node.addr).ask("GET", "/slow?ms=20").connections(1).requests(20).rate(1000.0);
    let report = run(options).await;
    assert_eq!((report.succeeded, report.failed), (20, 0));
    assert!(report.latency.max >= 380_000.0, "{:?}", report.latency);
}

#[tokio::test]
async fn what_was_due_but_never_sent_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = listener.local_addr().expect("an address");
    let mut options = LoadOptions::new(to).connections(1).requests(50).rate(10_000.0);
    options.timeout = Duration::from_millis(40);
    let report = run(options).await;
    assert_eq!((report.requests, report.succeeded), (50, 0));
    assert_eq!(report.failures.timeout + report.failures.unsent, 50);
    assert!(report.failures.unsent >= 40, "{:?}", report.failures);
}

#[tokio::test]
async fn a_running_load_can_be_watched_and_stopped() {
    let server = server();
    let running = load::start(LoadOptions::new(server.addr)).expect("it starts");
    running.reached(100).await;
    running.further(100).await;
    assert!(running.counts().done >= 200);
    let report = running.stop_and_finish().await;
    assert!(report.succeeded >= 200 && report.failed == 0);
}

#[tokio::test]
async fn watching_ends_with_the_load() {
    let server = server();
    let running = load::start(LoadOptions::new(server.addr).requests(10)).expect("it starts");
    running.reached(1_000_000).await;
    assert_eq!(running.counts().done, 10);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let to = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut no_share = LoadOptions::new(to);
    no_share.mix[0].share = 0;
    for (options, word) in [
        (LoadOptions::new(to).connections(0), "connection"),
        (LoadOptions::new(to).rate(0.0), "rate"),
        (no_share, "share"),
    ] {
        let problem = load::start(options).expect_err("refused").to_string();
        assert!(problem.contains(word), "{problem}");
    }
    assert_eq!(LoadOptions::new(to).end, End::Stopped);
}

/// A server that speaks TLS with a certificate for this address, and the certificate as a file.
async fn secure_server() -> (SocketAddr, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), made.cert.pem()).expect("written");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.key_pair.serialize_der()).into();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate and its key");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut read = [0; 1024];
                // Requests of the generator are smaller than one record, and one is under way at a time.
                while stream.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-node: tls\r\n\r\nok";
                    if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, file)
}

#[tokio::test]
async fn over_tls_requests_are_counted_alike() {
    let (addr, file) = secure_server().await;
    let mut options = LoadOptions::new(addr).connections(3).requests(100);
    options.tls = Some(Trust::read(file.path(), "127.0.0.1").expect("trust"));
    let report = run(options).await;
    assert_eq!((report.succeeded, report.failed, report.connections), (100, 0, 3), "{:?}", report.samples);
    assert_eq!(report.nodes.get("tls"), Some(&100));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_no_connection() {
    let (addr, _) = secure_server().await;
    let (_, other) = secure_server().await;
    let mut options = LoadOptions::new(addr).connections(1).requests(1);
    options.tls = Some(Trust::read(other.path(), "127.0.0.1").expect("trust"));
    let report = run(options).await;
    assert_eq!(report.failures, Failures { connect: 1, ..Failures::default() }, "{:?}", report.samples);
    let empty = tempfile::NamedTempFile::new().expect("a file");
    assert!(Trust::read(empty.path(), "127.0.0.1").err().is_some_and(|why| why.contains("no certificate in it")));
}
