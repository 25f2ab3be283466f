use tokio::net::TcpListener;

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn check(timeout: Duration, probe: Probe) -> HealthCheck {
    HealthCheck { probe, tls: None, interval: LONG, timeout, fall: 1, rise: 1, jitter: 0.0 }
}

fn http(expect: &[(u16, u16)]) -> Probe {
    Probe::Http { path: "/health?deep=1".into(), expect: expect.to_vec(), host: None, headers: vec![] }
}

/// Probes a node that answers these bytes and then ends the connection; `None`: it says nothing and stays.
async fn probe(check: &HealthCheck, answer: Option<Vec<u8>>) -> (Outcome, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let mut prober = Prober::new(listener.local_addr().expect("address").into(), check);
    let node = async {
        let (mut stream, _) = listener.accept().await.expect("connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.expect("request") == 0 {
                break;
            }
        }
        match answer {
            // The prober may have hung up, having read enough.
            Some(bytes) => drop(stream.write_all(&bytes).await),
            None => drop(stream.read_buf(&mut request).await),
        }
        String::from_utf8(request).expect("text")
    };
    tokio::join!(prober.probe(), node)
}

async fn outcome(expect: &[(u16, u16)], answer: &str) -> Outcome {
    probe(&check(LONG, http(expect)), Some(answer.as_bytes().to_vec())).await.0
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(reason.to_owned().into())
}

#[tokio::test]
async fn a_status_passes_or_fails_as_expected() {
    assert_eq!(outcome(&[(200, 299)], "HTTP/1.1 204 No Content\r\n\r\n").await, Outcome::Passed);
    assert_eq!(outcome(&[(200, 200), (401, 401)], "HTTP/1.1 401 Who\r\n\r\n").await, Outcome::Passed);
    assert_eq!(outcome(&[(200, 299)], "HTTP/1.0 200 OK\r\nserver: old\r\n\r\nbody").await, Outcome::Passed);
    let busy = outcome(&[(200, 299), (304, 304)], "HTTP/1.1 503 Busy\r\n\r\n").await;
    assert_eq!(busy, failed("status 503, expected 200-299, 304"));
}

#[tokio::test]
async fn interim_responses_are_skipped() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(outcome(&[(200, 200)], answer).await, Outcome::Passed);
    assert_eq!(outcome(&[(101, 101)], "HTTP/1.1 101 Switching Protocols\r\n\r\n").await, Outcome::Passed);
}

#[tokio::test]
async fn what_is_no_response_says_what_it_is() {
    assert_eq!(outcome(&[(200, 200)], "").await, failed("the connection ended before a response head"));
    assert_eq!(
        outcome(&[(200, 200)], "HTTP/1.1 200 OK\r\n").await,
        failed("the connection ended before a response head")
    );
    assert_eq!(
        outcome(&[(200, 200)], "SSH-2.0-OpenSSH\r\n\r\n").await,
        failed("malformed response: invalid HTTP version")
    );
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(3 * LONGEST_HEAD));
    assert_eq!(outcome(&[(200, 200)], &endless).await, failed("the response head is longer than 16 KiB"));
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let (outcome, _) = probe(&check(Duration::from_millis(30), http(&[(200, 200)])), None).await;
    assert_eq!(outcome, failed("connected, but no response head within 30ms"));
}

#[tokio::test]
async fn the_request_says_what_was_configured() {
    let answer = || Some(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let (_, plain) = probe(&check(LONG, http(&[(200, 200)])), answer()).await;
    let port = plain.split("Host: 127.0.0.1:").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("host");
    let expected = format!(
        "GET /health?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nUser-Agent: pointsman-check\r\n\r\n"
    );
    assert_eq!(plain, expected);
    let headers = vec![("x-probe".to_owned(), "1".to_owned()), ("user-agent".to_owned(), "me".to_owned())];
    let named = Probe::Http { path: "/".into(), expect: vec![(200, 200)], host: Some("oms".into()), headers };
    let (outcome, full) = probe(&check(LONG, named), answer()).await;
    assert_eq!(outcome, Outcome::Passed);
    assert_eq!(full, "GET / HTTP/1.1\r\nHost: oms\r\nConnection: close\r\nx-probe: 1\r\nuser-agent: me\r\n\r\n");
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp_and_none_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let mut prober = Prober::new(listener.local_addr().expect("address").into(), &check(LONG, Probe::Tcp));
    assert_eq!(prober.probe().await, Outcome::Passed);
    drop(listener);
    assert_eq!(prober.probe().await, failed("connection refused"));
}
