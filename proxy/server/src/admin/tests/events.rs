//! Server-sent events: from now on, from a number, and over a gap.

use tokio::io::BufReader;
use tokio::net::TcpStream;

use super::{Api, block};
use crate::admin::ring::KEPT;

/// Opens the stream and reads its head.
async fn listen(api: &Api, path: &str, headers: &[&str]) -> BufReader<TcpStream> {
    let mut stream = api.open("GET", path, headers, b"").await;
    let head = block(&mut stream).await;
    assert!(head[0].contains("200"), "{head:?}");
    assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
    stream
}

/// The next event as (id, kind, data). Sizes of chunks stand on lines of their own and are skipped.
async fn next(stream: &mut BufReader<TcpStream>) -> (String, String, serde_json::Value) {
    loop {
        let lines = block(stream).await;
        let field = |name: &str| {
            lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|v| v.trim_start().to_owned())
        };
        if let Some(data) = field("data") {
            let data = serde_json::from_str(&data).expect("JSON");
            return (field("id").unwrap_or_default(), field("event").unwrap_or_default(), data);
        }
    }
}

/// The number of an id, without the part that tells of which process it is.
fn number(id: &str) -> u64 {
    let (process, number) = id.split_once('-').expect("two parts");
    assert!(process.len() == 8 && process.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    number.parse().expect("a number")
}

/// Waits until the API has heard so many notices: the ring is filled by a task of its own.
async fn heard(api: &Api, seq: u64) {
    let mut stream = listen(api, &format!("/v1/events?since={}", seq - 1), &[]).await;
    while next(&mut stream).await.2["seq"] != seq {}
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens() {
    let api = Api::start().await;
    let mut stream = listen(&api, "/v1/events", &[]).await;
    api.bus.tell("node-up", "oms", "oms-1", "passed 2 checks");
    let (id, kind, data) = next(&mut stream).await;
    assert_eq!((number(&id), kind.as_str()), (1, "node-up"));
    assert_eq!(
        (&data["service"], &data["node"], &data["message"]),
        (&"oms".into(), &"oms-1".into(), &"passed 2 checks".into())
    );
    api.bus.tell("node-down", "oms", "oms-1", "two\nlines");
    let (id, _, data) = next(&mut stream).await;
    assert_eq!((number(&id), &data["message"]), (2, &"two\nlines".into()));
}

#[tokio::test]
async fn a_reader_that_was_away_goes_on_where_it_stopped() {
    let api = Api::start().await;
    (0..5).for_each(|_| api.bus.tell("node-up", "oms", "a", "x"));
    heard(&api, 5).await;
    let mut stream = listen(&api, "/v1/events?since=0", &[]).await;
    let ids: Vec<String> = vec![next(&mut stream).await.0, next(&mut stream).await.0, next(&mut stream).await.0];
    assert_eq!(ids.iter().map(|id| number(id)).collect::<Vec<_>>(), [1, 2, 3]);
    for (path, header) in [
        ("/v1/events".to_owned(), format!("Last-Event-ID: {}", ids[2])),
        (format!("/v1/events?since={}", ids[2]), "X: y".into()),
    ] {
        let mut stream = listen(&api, &path, &[&header]).await;
        assert_eq!(number(&next(&mut stream).await.0), 4);
        assert_eq!(number(&next(&mut stream).await.0), 5);
    }
}

#[tokio::test]
async fn an_id_of_another_process_is_told_as_a_gap() {
    let (before, after) = (Api::start().await, Api::start().await);
    for api in [&before, &after] {
        (0..3).for_each(|_| api.bus.tell("node-up", "oms", "a", "x"));
        heard(api, 3).await;
    }
    let id = next(&mut listen(&before, "/v1/events?since=1", &[]).await).await.0;
    let mut stream = listen(&after, "/v1/events", &[&format!("Last-Event-ID: {id}")]).await;
    let (none, kind, data) = next(&mut stream).await;
    assert_eq!(
        (none.as_str(), kind.as_str(), data),
        ("", "gap", serde_json::json!({ "missed": null, "why": "process" }))
    );
    assert_eq!(number(&next(&mut stream).await.0), 1, "and all that is kept");
    let mut stream = listen(&after, "/v1/events?since=900", &[]).await;
    assert_eq!(next(&mut stream).await.1, "gap", "a number that was never given is another's, too");
}

#[tokio::test]
async fn a_primary_is_told_with_its_epoch_and_why() {
    let api = Api::start().await;
    let mut stream = listen(&api, "/v1/events", &[]).await;
    api.bus.tell_of_primary("primary-deposed", "oms", "oms-1", (7, "down"), "it failed its checks");
    let (_, kind, data) = next(&mut stream).await;
    assert_eq!((kind.as_str(), &data["epoch"], &data["why"]), ("primary-deposed", &7.into(), &"down".into()));
}

#[tokio::test]
async fn what_is_gone_is_told_as_a_gap() {
    let api = Api::start().await;
    for seq in 1..=KEPT as u64 + 10 {
        api.bus.tell("node-up", "oms", "a", "x");
        // The bus itself holds 1,024 too: let it be read in between.
        if seq % 500 == 0 {
            heard(&api, seq).await;
        }
    }
    heard(&api, KEPT as u64 + 10).await;
    let mut stream = listen(&api, "/v1/events", &["Last-Event-ID: 4"]).await;
    let (id, kind, data) = next(&mut stream).await;
    assert_eq!((id.as_str(), kind.as_str(), &data["missed"]), ("", "gap", &6.into()));
    assert_eq!(number(&next(&mut stream).await.0), 11);
}

#[tokio::test]
async fn the_last_reload_is_shown_with_the_configuration() {
    let api = Api::start().await;
    api.bus.tell("reload-refused", "", "", "line 3: no such policy");
    heard(&api, 1).await;
    let last = api.get("/v1/config").await.json()["last_reload"].clone();
    assert_eq!((&last["kind"], &last["message"]), (&"reload-refused".into(), &"line 3: no such policy".into()));
}

#[tokio::test]
async fn an_id_that_is_none_is_refused() {
    let api = Api::start().await;
    api.call("GET", "/v1/events", &["Last-Event-ID: x"], b"").await.problem(400, "bad-event-id");
    for id in ["x", "-1", "1-", "zz-1", "1-x", "+1", "1-+1"] {
        api.get(&format!("/v1/events?since={id}")).await.problem(400, "bad-event-id");
    }
    api.get("/v1/events?since=x").await.problem(400, "bad-event-id");
    api.get("/v1/events?sinse=1").await.problem(400, "bad-event-id");
}
