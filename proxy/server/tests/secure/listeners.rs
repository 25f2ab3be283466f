//! What is spoken: versions, protocols, names; and what is not.

use std::time::Duration;

use pointsman_demo::client::Request;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{Authority, Client, SITE, Stage};

#[tokio::test]
async fn requests_ride_over_tls_one_after_the_other() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    for version in [&TLS12, &TLS13] {
        let client = Client::speaking(&authority, &[version], None);
        let mut connection = client.connect(stage.proxy.addr(), "site.example").await.expect("shaken");
        for size in [0_usize, 1, 100, 70_000] {
            let body = "x".repeat(size);
            let answer = connection.exchange(&Request::new("POST", "/echo").body(body)).await.expect("answered");
            assert_eq!(answer.status, 200);
            assert_eq!(answer.json().expect("JSON")["body_bytes"], size);
        }
    }
    stage.counted("pointsman_tls_handshakes_total{result=\"done\"} 2").await;
}

#[tokio::test]
async fn a_node_is_told_that_its_client_spoke_tls() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let mut connection = Client::new(&authority).connect(stage.proxy.addr(), "site.example").await.expect("shaken");
    let request = Request::get("/echo").header("host", "site.example").header("x-forwarded-proto", "http");
    let told = connection.exchange(&request).await.expect("answered").json().expect("JSON");
    assert_eq!(told["headers"]["x-forwarded-proto"], serde_json::json!(["https"]));
    let stream = Client::new(&authority).offering(&["h2"]).shake(stage.proxy.addr(), "site.example").await;
    let (mut send, connection) = h2::client::handshake(stream.expect("shaken")).await.expect("a connection");
    let driver = tokio::spawn(connection);
    let request = http::Request::get("https://site.example/echo").body(()).expect("a request");
    let (answer, _) = send.send_request(request, true).expect("sent");
    let mut body = answer.await.expect("answered").into_body();
    let piece = body.data().await.expect("a body").expect("read");
    let told: serde_json::Value = serde_json::from_slice(&piece).expect("JSON");
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "site.example"),
        ("forwarded", "for=127.0.0.1;host=\"site.example\";proto=https"),
    ] {
        assert_eq!(told["headers"][name], serde_json::json!([value]));
    }
    driver.abort();
}

#[tokio::test]
async fn a_cookie_that_came_ciphered_is_not_to_be_sent_in_clear() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    stage.write(&[("api.secret", "0123456789abcdef0123456789abcdef")]);
    let sticky = "  api:\n    policy: sticky\n    sticky_cookie: { name: node, secret_file: api.secret }\n";
    stage.proxy.write_config(&stage.yaml(SITE).replace("  api:\n", sticky)).expect("written");
    stage.counted("pointsman_config_generation 2").await;
    let mut connection = Client::new(&authority).connect(stage.proxy.addr(), "site.example").await.expect("shaken");
    let answer = connection.exchange(&Request::get("/echo").header("host", "site.example")).await.expect("answered");
    let field = answer.header("set-cookie").expect("a cookie");
    assert!(field.starts_with("node=n1.") && field.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{field}");
    // Over HTTP/2 it may stand in a field of its own.
    let stream = Client::new(&authority).offering(&["h2"]).shake(stage.proxy.addr(), "site.example").await;
    let (mut send, connection) = h2::client::handshake(stream.expect("shaken")).await.expect("a connection");
    let driver = tokio::spawn(connection);
    let own = field.split(';').next().expect("a pair");
    let request = http::Request::get("https://site.example/echo").header("cookie", "a=1").header("cookie", own);
    let (answer, _) = send.send_request(request.body(()).expect("a request"), true).expect("sent");
    let answer = answer.await.expect("answered");
    assert_eq!(answer.headers().get("set-cookie"), None, "it is known");
    let piece = answer.into_body().data().await.expect("a body").expect("read");
    let told: serde_json::Value = serde_json::from_slice(&piece).expect("JSON");
    assert_eq!(told["headers"]["cookie"], serde_json::json!([format!("a=1; {own}")]), "the node gets one field");
    driver.abort();
}

#[tokio::test]
async fn a_long_answer_comes_whole_to_a_client_that_reads_late() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let mut connection = Client::new(&authority).connect(stage.proxy.addr(), "site.example").await.expect("shaken");
    // More than the buffers of both sockets hold, so that what TLS has taken has to wait for the socket.
    let size = 24 << 20;
    let answer = connection.exchange(&Request::get(&format!("/bytes/{size}"))).await.expect("answered");
    assert_eq!((answer.status, answer.body.len()), (200, size));
    let again = connection.exchange(&Request::get("/echo")).await.expect("answered on the same connection");
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn the_host_asked_for_decides_which_certificate_is_shown() {
    let authority = Authority::new();
    let (one, two) = (authority.issue(&["one.example"]), authority.issue(&["two.example", "*.two.example"]));
    let tls = "certificates: [{ cert: one.pem, key: one.key }, { cert: two.pem, key: two.key }]";
    let files = [("one.pem", &one.cert), ("one.key", &one.key), ("two.pem", &two.cert), ("two.key", &two.key)];
    let stage = Stage::new(tls, &files.map(|(name, text)| (name, text.as_str()))).await;
    let client = Client::new(&authority);
    for host in ["one.example", "two.example", "any.two.example"] {
        let mut connection = client.connect(stage.proxy.addr(), host).await.expect(host);
        assert_eq!(connection.exchange(&Request::get("/echo")).await.expect("answered").status, 200);
    }
    let shown = client.shake(stage.proxy.addr(), "three.example").await.expect_err("nobody has one for it");
    assert!(shown.to_string().contains("one.example"), "the first is shown: {shown}");
}

#[tokio::test]
async fn both_sides_agree_on_a_protocol_or_part() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let agreed = async |offered: &[&str]| {
        let stream = Client::new(&authority).offering(offered).shake(stage.proxy.addr(), "site.example").await;
        stream.map(|stream| stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(agreed(&["h2", "http/1.1"]).await.expect("shaken"), Some(b"h2".to_vec()));
    assert_eq!(agreed(&["http/1.1"]).await.expect("shaken"), Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(&[]).await.expect("shaken"), None);
    agreed(&["spdy/3"]).await.expect_err("nothing in common (RFC 7301 section 3.2)");
    stage.counted("pointsman_tls_handshakes_total{result=\"incompatible\"} 1").await;
    let off = stage.yaml(SITE).replace("tls:", "http2: off, tls:");
    stage.proxy.write_config(&off).expect("written");
    stage.counted("pointsman_config_generation 2").await;
    assert_eq!(agreed(&["h2", "http/1.1"]).await.expect("shaken"), Some(b"http/1.1".to_vec()));
}

#[tokio::test]
async fn a_version_below_the_least_is_refused() {
    let authority = Authority::new();
    let pair = authority.issue(&["site.example"]);
    let files = [("site.pem", pair.cert.as_str()), ("site.key", pair.key.as_str())];
    let stage = Stage::new(&format!("{SITE}, min_version: 1.3"), &files).await;
    let old = Client::speaking(&authority, &[&TLS12], None);
    old.shake(stage.proxy.addr(), "site.example").await.expect_err("too old");
    let new = Client::speaking(&authority, &[&TLS13], None);
    new.shake(stage.proxy.addr(), "site.example").await.expect("shaken");
}

#[tokio::test]
async fn what_is_not_tls_ends_and_is_counted() {
    let stage = Stage::site(&Authority::new()).await;
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"[..], &[0xff; 300], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(stage.proxy.addr()).await.expect("connected");
        stream.write_all(garbage).await.expect("written");
        let mut answer = Vec::new();
        // A reset is an end too.
        let _ = stream.read_to_end(&mut answer).await;
        // An alert of TLS (RFC 8446 section 6) or nothing; never an answer in clear.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    stage.counted("pointsman_tls_handshakes_total{result=\"not-tls\"} 3").await;
    stage.proxy.has_said("127.0.0.1:").await.expect("logged with the client");
    stage.proxy.has_said("its TLS handshake failed: what it sent is no TLS").await.expect("logged with the cause");
    assert_eq!(stage.node.stats().requests, 0);
}

#[tokio::test]
async fn an_alert_is_not_lost_to_what_the_client_still_sends() {
    let stage = Stage::site(&Authority::new()).await;
    let mut stream = TcpStream::connect(stage.proxy.addr()).await.expect("connected");
    stream.write_all(&vec![0xff; 1 << 18]).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an orderly end");
    assert_eq!(answer.first(), Some(&21), "an alert (RFC 8446 section 6)");
    drop(stream);
    stage.counted("pointsman_tls_handshakes_total{result=\"not-tls\"} 1").await;
}

#[tokio::test]
async fn who_never_finishes_the_handshake_is_let_go() {
    let authority = Authority::new();
    let pair = authority.issue(&["site.example"]);
    let files = [("site.pem", pair.cert.as_str()), ("site.key", pair.key.as_str())];
    let stage = Stage::new(&format!("{SITE}, handshake_timeout: 100ms"), &files).await;
    let mut silent = TcpStream::connect(stage.proxy.addr()).await.expect("connected");
    let mut slow = TcpStream::connect(stage.proxy.addr()).await.expect("connected");
    slow.write_all(&[22, 3, 1, 2, 0]).await.expect("written");
    for stream in [&mut silent, &mut slow] {
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap_or(0), 0);
    }
    stage.counted("pointsman_tls_handshakes_total{result=\"timeout\"} 2").await;
    stage.counted("pointsman_connections 0").await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_never_looks_whole() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let mut connection = Client::new(&authority).connect(stage.proxy.addr(), "site.example").await.expect("shaken");
    let stream = connection.stream();
    stream.write_all(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: site.example\r\n\r\n").await.expect("written");
    let mut some = [0; 4096];
    stream.read_exact(&mut some).await.expect("it begins");
    stage.node.kill();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.expect("an end");
    // No word of goodbye (RFC 8446 section 6.1), and fewer bytes than were promised.
    assert!(end.is_err() || rest.len() < 999_000_000);
    if crate::LANE == "on" {
        assert_eq!(end.expect_err("cut").kind(), std::io::ErrorKind::UnexpectedEof);
    }
}
