//! Clients that have to say who they are.

use pointsman_demo::client::Request;
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncReadExt;

use crate::stage::{Authority, Client, SITE, Stage};

async fn stage(site: &Authority, clients: &Authority) -> Stage {
    let pair = site.issue(&["site.example"]);
    let files = [("site.pem", &pair.cert), ("site.key", &pair.key), ("clients.pem", &clients.pem())];
    let files = files.map(|(name, text)| (name, text.as_str()));
    Stage::new(&format!("{SITE}, client_ca: clients.pem"), &files).await
}

#[tokio::test]
async fn a_client_with_a_certificate_is_known_by_its_subject() {
    let (site, clients) = (Authority::new(), Authority::new());
    let stage = stage(&site, &clients).await;
    for (version, name) in [(&TLS12, "till-7"), (&TLS13, "till-8")] {
        let client = Client::speaking(&site, &[version], Some(&clients.client(name)));
        for round in 0..2 {
            // The second time the session is resumed.
            let id = format!("{name}-{round}");
            let mut connection = client.connect(stage.proxy.addr(), "site.example").await.expect("shaken");
            let request = Request::get("/echo").header("x-request-id", &id);
            assert_eq!(connection.exchange(&request).await.expect("answered").status, 200);
            let subject = stage.logged(&id).await["subject"].as_str().expect("a subject").to_owned();
            assert!(subject.contains("O=Acme") && subject.contains(&format!("CN={name}")), "{subject}");
        }
    }
}

#[tokio::test]
async fn a_key_may_be_the_subject_of_a_clients_certificate() {
    let (site, clients) = (Authority::new(), Authority::new());
    let proven = stage(&site, &clients).await;
    let client = Client::speaking(&site, &[&TLS13], Some(&clients.client("till-7"))).offering(&["http/1.1"]);
    let mut connection = client.connect(proven.proxy.addr(), "site.example").await.expect("shaken");
    for _ in 0..2 {
        assert_eq!(connection.exchange(&Request::get("/known")).await.expect("answered").status, 200);
    }
    let client = Client::speaking(&site, &[&TLS13], Some(&clients.client("till-7"))).offering(&["h2"]);
    let stream = client.shake(proven.proxy.addr(), "site.example").await.expect("shaken");
    let (mut requests, connection) = h2::client::handshake(stream).await.expect("spoken");
    tokio::spawn(connection);
    let request = http::Request::get("https://site.example/known").body(()).expect("a request");
    let (response, _) = requests.send_request(request, true).expect("sent");
    assert_eq!(response.await.expect("answered").status(), 200);
    // Who need not prove anything has no subject.
    let open = Stage::site(&site).await;
    let mut connection = Client::new(&site).connect(open.proxy.addr(), "site.example").await.expect("shaken");
    let answer = connection.exchange(&Request::get("/known")).await.expect("answered");
    assert_eq!((answer.status, &answer.json().expect("JSON")["reason"]), (400, &"key-missing".into()));
}

#[tokio::test]
async fn a_client_without_one_or_with_a_strangers_is_not_let_in() {
    let (site, clients) = (Authority::new(), Authority::new());
    let stage = stage(&site, &clients).await;
    let stranger = Authority::new().client("till-7");
    let expired = clients.issue_with(&["till-7"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    for (number, own) in (1..).zip([None, Some(&stranger), Some(&expired)]) {
        let client = Client::speaking(&site, &[&TLS13], own);
        // In TLS 1.3 a client has shaken hands before it hears the answer.
        if let Ok(mut stream) = client.shake(stage.proxy.addr(), "site.example").await {
            stream.read(&mut [0; 64]).await.expect_err("an alert");
        }
        stage.counted(&format!("pointsman_tls_handshakes_total{{result=\"client-certificate\"}} {number}")).await;
    }
    assert_eq!(stage.node.stats().requests, 0);
}
