//! Certificates that change while traffic flows.

use pointsman_demo::client::Request;
use rcgen::date_time_ymd;

use crate::stage::{Authority, Client, SITE, Stage};

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_reload() {
    let (old, new) = (Authority::new(), Authority::new());
    let stage = Stage::site(&old).await;
    let mut kept = Client::new(&old).connect(stage.proxy.addr(), "site.example").await.expect("shaken");
    Client::new(&new).shake(stage.proxy.addr(), "site.example").await.expect_err("another authority's");
    let pair = new.issue(&["site.example"]);
    stage.write(&[("site.pem", &pair.cert), ("site.key", &pair.key)]);
    stage.counted("pointsman_certificate_reloads_total{outcome=\"swapped\"} 1").await;
    let mut connection = Client::new(&new).connect(stage.proxy.addr(), "site.example").await.expect("shaken");
    assert_eq!(connection.exchange(&Request::get("/echo")).await.expect("answered").status, 200);
    assert_eq!(kept.exchange(&Request::get("/echo")).await.expect("on the one from before").status, 200);
    assert!(stage.proxy.said().contains("certificate-renewed"));
}

#[tokio::test]
async fn a_bad_certificate_is_shown_to_the_operator_and_to_nobody_else() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let expired = authority.issue_with(&["site.example"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let other = authority.issue(&["site.example"]);
    let bad = [
        (other.cert.as_str(), "rubbish", "there is no private key in "),
        (expired.cert.as_str(), expired.key.as_str(), "has expired"),
        (other.cert.as_str(), expired.key.as_str(), "is not that of the certificate in"),
        ("", other.key.as_str(), "there is no certificate in "),
    ];
    for (number, (cert, key, said)) in (1..).zip(bad) {
        stage.write(&[("site.pem", cert), ("site.key", key)]);
        stage.counted(&format!("pointsman_certificate_reloads_total{{outcome=\"refused\"}} {number}")).await;
        stage.proxy.has_said(said).await.expect("said");
        Client::new(&authority).shake(stage.proxy.addr(), "site.example").await.expect("the one from before");
    }
    let said = stage.proxy.said();
    // As any problem of the configuration: where it is named, and what to do.
    assert!(said.contains("pointsman.yaml:2:") && said.contains("= help: "), "{said}");
    stage.write(&[("site.pem", &other.cert), ("site.key", &other.key)]);
    stage.counted("pointsman_certificate_reloads_total{outcome=\"swapped\"} 1").await;
}

#[tokio::test]
async fn a_configuration_that_names_a_bad_certificate_is_refused() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let other = authority.issue(&["other.example"]);
    stage.write(&[("other.pem", &other.cert)]);
    // A key that belongs to another certificate.
    let wrong = stage.yaml("certificates: [{ cert: other.pem, key: site.key }]");
    stage.proxy.write_config(&wrong).expect("written");
    let outcome = stage.proxy.admin.reload().await.expect("answered");
    assert_eq!(outcome["outcome"], "refused");
    assert!(outcome["problems"][0].as_str().is_some_and(|p| p.contains("is not that of the certificate")), "{outcome}");
    Client::new(&authority).shake(stage.proxy.addr(), "site.example").await.expect("the one from before");
    stage.write(&[("other.key", &other.key)]);
    stage.proxy.write_config(&stage.yaml("certificates: [{ cert: other.pem, key: other.key }]")).expect("written");
    stage.counted("pointsman_config_generation 2").await;
    Client::new(&authority).shake(stage.proxy.addr(), "other.example").await.expect("the new one");
}

#[tokio::test]
async fn a_listener_never_speaks_in_clear_while_it_becomes_a_secure_one() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    // On an address of its own: between here and the proxy's turn another test might be given the port.
    let free = std::net::TcpListener::bind("127.0.0.77:0").expect("a port").local_addr().expect("its address");
    let two = stage
        .yaml(SITE)
        .replace("listeners: [", &format!("listeners: [{{ address: \"{free}\", tls: {{ {SITE} }} }}, "));
    stage.proxy.write_config(&two).expect("written");
    // From the first moment at which it accepts.
    let answer = pointsman_demo::harness::until(|| async {
        Request::get("/echo").send(free).await.err().filter(|e| e.kind() != std::io::ErrorKind::ConnectionRefused)
    });
    answer.await.expect("never an answer in clear");
    stage.counted("pointsman_config_generation 2").await;
    let mut connection = Client::new(&authority).connect(free, "site.example").await.expect("shaken");
    assert_eq!(connection.exchange(&Request::get("/echo")).await.expect("answered").status, 200);
    // And the other way round: the same socket in clear.
    let clear = two.replace(&format!("{free}\", tls: {{ {SITE} }}"), &format!("{free}\""));
    stage.proxy.write_config(&clear).expect("written");
    stage.counted("pointsman_config_generation 3").await;
    assert_eq!(Request::get("/echo").send(free).await.expect("in clear").status, 200);
}

#[tokio::test]
async fn metrics_tell_when_a_certificate_expires() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    for year in [2090, 2091] {
        let until = date_time_ymd(year, 7, 1);
        let pair = authority.issue_with(&["site.example"], |params| params.not_after = until);
        stage.write(&[("site.pem", &pair.cert), ("site.key", &pair.key)]);
        let (file, seconds) = (stage.proxy.folder().join("site.pem"), until.unix_timestamp());
        let family = "pointsman_certificate_expiry_timestamp_seconds";
        stage.counted(&format!("{family}{{file=\"{}\"}} {seconds}", file.display())).await;
    }
}
