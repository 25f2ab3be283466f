//! Clients at Unix sockets.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::{Proxy, until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use crate::stage::{LISTENERS, YAML, anywhere, get, get_by_tcp, logged, mode, number, open, options, stage, upgrade};

#[tokio::test]
async fn requests_pass_and_nobody_has_an_address() {
    let (proxy, _node) = stage(YAML).await;
    for listener in LISTENERS {
        let mut connection = open(proxy.folder().join(listener)).await.expect("connected");
        for _ in 0..3 {
            let request = Request::get("/x").header("x-forwarded-for", "203.0.113.9").header("x-by", listener);
            let answer = connection.exchange(&request).await.expect("answered");
            let seen = answer.text().to_ascii_lowercase();
            assert_eq!(answer.status, 200, "{seen}");
            assert!(seen.contains("forwarded: for=unknown;host="), "{listener}: {seen}");
            assert!(!seen.contains("x-forwarded-for") && !seen.contains("203.0.113.9"), "{listener}: {seen}");
            assert!(seen.contains("\r\nhost: localhost\r\n"), "{listener}: {seen}");
        }
    }
    logged(&proxy, |line| line["client"] == "unix").await;
    logged(&proxy, |line| line["client"] == "unix" && line["node"] == "a").await;
}

#[tokio::test]
async fn files_have_their_modes_and_are_gone_with_the_process() {
    let (mut proxy, _node) = stage(YAML).await;
    let at = |name: &str| proxy.folder().join(name);
    let files = ["lane.sock", "plain.sock", "tls.sock"].map(at);
    assert_eq!(files.each_ref().map(mode), [0o600, 0o660, 0o660]);
    let user = std::fs::metadata(proxy.folder()).expect("a folder").uid();
    assert!(files.iter().all(|file| std::fs::symlink_metadata(file).is_ok_and(|found| found.uid() == user)));
    proxy.signal(libc::SIGTERM).expect("signalled");
    assert_eq!(proxy.ended().await.expect("ended"), Some(0));
    assert!(files.iter().all(|file| !file.exists()));
}

#[tokio::test]
async fn what_a_killed_process_left_is_no_hindrance() {
    let (mut proxy, _node) = stage(YAML).await;
    proxy.kill().await.expect("killed");
    let file = proxy.folder().join("lane.sock");
    assert!(file.exists() && UnixStream::connect(&file).await.is_err(), "a file without a process");
    proxy.restart().await.expect("it starts over it");
    assert_eq!(get(&file).await.expect("answered").status, 200);
}

#[tokio::test]
async fn a_file_that_is_no_socket_and_a_socket_that_is_alive_stay() {
    let told = Proxy::start_with(options(YAML).file("lane.sock", "precious")).await.expect_err("taken").to_string();
    assert!(told.contains("lane.sock: something else than a socket has this name"), "{told}");

    let (proxy, _node) = stage(YAML).await;
    let alive = proxy.folder().join("lane.sock");
    let told = Proxy::start_with(options(&YAML.replace("unix:lane.sock", &format!("unix:{}", alive.display()))));
    let told = told.await.expect_err("taken").to_string();
    assert!(told.contains("another process listens there"), "{told}");
    assert_eq!(get(&alive).await.expect("answered").status, 200);
}

#[tokio::test]
async fn tls_is_spoken_there() {
    let (proxy, _node) = stage(YAML).await;
    let mut roots = RootCertStore::empty();
    let cert = std::fs::read(proxy.folder().join("site.pem")).expect("a certificate");
    roots.add(CertificateDer::from_pem_slice(&cert).expect("PEM")).expect("trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = UnixStream::connect(proxy.folder().join("tls.sock")).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("shaken");
    let mut connection = Connection::over(stream, anywhere());
    for _ in 0..2 {
        let answer = connection.exchange(&Request::get("/x")).await.expect("answered");
        assert!(answer.text().contains("x-forwarded-proto: https"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_proxy_at_a_unix_socket_may_be_trusted() {
    let yaml = YAML.replace("admin:", "trusted_proxies: [unix]\nadmin:");
    let (proxy, _node) = stage(&yaml).await;
    for listener in LISTENERS {
        let mut connection = open(proxy.folder().join(listener)).await.expect("connected");
        let request = Request::get("/x").header("x-forwarded-for", "203.0.113.9");
        let seen = connection.exchange(&request).await.expect("answered").text().to_ascii_lowercase();
        assert!(seen.contains("x-forwarded-for: 203.0.113.9\r\n"), "{listener}: {seen}");
        assert!(seen.contains("forwarded: for=unknown"), "{listener}: {seen}");
        let seen = connection.exchange(&Request::get("/x")).await.expect("answered").text();
        assert!(!seen.to_ascii_lowercase().contains("x-forwarded-for"), "{listener}: {seen}");
    }
    for &listener in &proxy.listeners {
        let seen = get_by_tcp(listener).await.expect("answered").text().to_ascii_lowercase();
        assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n"), "{seen}");
    }
    logged(&proxy, |line| line["client"] == "203.0.113.9").await;
}

#[tokio::test]
async fn a_trusted_proxy_there_may_announce_its_clients() {
    let yaml =
        YAML.replace("mode: \"0600\"", "proxy_protocol: on").replace("lane: off", "lane: off, proxy_protocol: on");
    let trusted = yaml.replace("admin:", "trusted_proxies: [unix]\nadmin:");
    let (proxy, _node) = stage(&trusted).await;
    for listener in LISTENERS {
        let mut connection = open(proxy.folder().join(listener)).await.expect("connected");
        connection.stream().write_all(b"PROXY TCP4 192.0.2.9 192.0.2.1 7 80\r\n").await.expect("sent");
        let seen = connection.exchange(&Request::get("/x")).await.expect("answered").text().to_ascii_lowercase();
        assert!(seen.contains("x-forwarded-for: 192.0.2.9\r\n"), "{listener}: {seen}");
    }
    logged(&proxy, |line| line["client"] == "192.0.2.9").await;
    let others = yaml.replace("admin:", "trusted_proxies: [192.0.2.1]\nadmin:");
    let (proxy, _node) = stage(&others).await;
    for listener in LISTENERS {
        let mut connection = open(proxy.folder().join(listener)).await.expect("connected");
        // It may be closed before this is sent.
        let _ = connection.stream().write_all(b"PROXY TCP4 192.0.2.9 192.0.2.1 7 80\r\n").await;
        assert!(connection.exchange(&Request::get("/x")).await.is_err(), "nobody there is trusted");
    }
}

#[tokio::test]
async fn all_who_come_there_count_as_one_client() {
    let yaml = YAML.replace("mode: \"0600\"", "limits: { connections_per_client: 2 }");
    let (proxy, _node) = stage(&yaml).await;
    let file = proxy.folder().join("lane.sock");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = open(&file).await.expect("connected");
        assert_eq!(connection.exchange(&Request::get("/x")).await.expect("answered").status, 200);
        held.push(connection);
    }
    assert!(get(&file).await.is_err(), "one too many");
    let line = "pointsman_connections_refused_total{reason=\"client\"} 1";
    proxy.admin.answers("/metrics", |answer| answer.text().contains(line)).await.expect("counted");
}

#[tokio::test]
async fn a_reload_opens_changes_and_closes_them() {
    let (proxy, _node) = stage(YAML).await;
    let [lane, plain, new] = ["lane.sock", "plain.sock", "new.sock"].map(|name| proxy.folder().join(name));
    let before = number(&lane);
    let mut kept = open(&plain).await.expect("connected");
    assert_eq!(kept.exchange(&Request::get("/x")).await.expect("answered").status, 200);
    let yaml = YAML.replace("\"0600\"", "\"0640\"").replace("unix:plain.sock", "unix:new.sock");
    proxy.write_config(&yaml).expect("written");
    until(|| async { get(&new).await.ok() }).await.expect("the new one is open");
    until(|| async { (!plain.exists()).then_some(()) }).await.expect("the old one is gone");
    assert_eq!((mode(&lane), number(&lane)), (0o640, before), "the same socket with another mode");
    assert_eq!(kept.exchange(&Request::get("/x")).await.expect("finished").status, 200);
    assert_eq!(get(&lane).await.expect("answered").status, 200);

    // One that cannot be had changes nothing.
    std::fs::write(&plain, "precious").expect("written");
    proxy.write_config(YAML).expect("written");
    proxy.has_said("something else than a socket has this name").await.expect("refused");
    assert_eq!(get(&new).await.expect("answered").status, 200);
    assert_eq!(std::fs::read(&plain).expect("there"), b"precious");
}

#[tokio::test]
async fn an_upgrade_hands_them_over_and_refuses_nobody() {
    let (mut proxy, _node) = stage(YAML).await;
    let files = ["lane.sock", "plain.sock", "tls.sock"].map(|name| proxy.folder().join(name));
    let before = files.each_ref().map(number);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = files[..2]
        .iter()
        .map(|file| {
            let (file, over, asked) = (file.clone(), Arc::clone(&over), Arc::clone(&asked));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(get(&file).await.expect("nobody is refused").status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let pid = upgrade(proxy.folder()).await;
    proxy.upgraded(pid).expect("it runs");
    assert_eq!(proxy.ended().await.expect("ended"), Some(0));
    let so_far = asked.load(Ordering::Relaxed);
    until(|| async { (asked.load(Ordering::Relaxed) > so_far + 8).then_some(()) }).await.expect("it goes on");
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no failure");
    }
    assert_eq!(files.each_ref().map(number), before, "the same files");
    proxy.signal(libc::SIGTERM).expect("signalled");
    proxy.heir_ended().await.expect("ended");
    assert!(files.iter().all(|file| !file.exists()), "removed by the one that came last");
}
