use pointsman_demo::client::Request;
use pointsman_demo::harness::{Proxy, ProxyOptions, until};

use crate::stage::{BINARY, YAML, nodes, proxy};

async fn generation(proxy: &Proxy) -> u64 {
    let text = proxy.admin.get("/metrics").await.expect("metrics").text();
    let line = text.lines().find(|l| l.starts_with("pointsman_config_generation ")).expect("a gauge");
    line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

/// The configuration with a second listener.
fn with_listener(address: std::net::SocketAddr) -> String {
    let text = YAML.replacen(" }]", &format!(" }}, {{ address: \"{address}\", lane: {} }}]", crate::LANE), 1);
    assert_ne!(text, *YAML);
    text
}

#[tokio::test]
async fn a_file_that_is_edited_is_live_by_itself() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    proxy.write_config(&YAML.replace("match: {}", "match: { path: /only }")).expect("written");
    until(|| async {
        let answer = Request::get("/elsewhere").send(proxy.addr()).await.ok()?;
        (answer.status == 404).then_some(())
    })
    .await
    .expect("the new routes are live");
    assert_eq!(Request::get("/only").send(proxy.addr()).await.expect("answered").header("x-node"), Some("oms-1"));
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_every_problem_and_the_old_one_serves() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let before = generation(&proxy).await;
    let wrong = YAML.replace("policy: round-robin", "polcy: round-robin").replace("fall: 2", "fall: many");
    std::fs::write(proxy.config(), wrong).expect("written in place");
    let answer = proxy.admin.send(Request::new("POST", "/v1/config/reload")).await.expect("answered");
    assert_eq!(answer.status, 422, "{}", answer.text());
    let text = answer.text();
    for part in ["polcy", "did you mean", "many", "pointsman.yaml"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert_eq!(generation(&proxy).await, before);
    assert_eq!(Request::get("/x").send(proxy.addr()).await.expect("answered").header("x-node"), Some("oms-1"));
}

#[tokio::test]
async fn a_missing_or_empty_file_never_means_no_routes() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    std::fs::write(proxy.config(), "").expect("emptied");
    assert_eq!(proxy.admin.reload().await.expect("answered")["outcome"], "refused");
    std::fs::remove_file(proxy.config()).expect("removed");
    assert_eq!(proxy.admin.reload().await.expect("answered")["outcome"], "refused");
    assert_eq!(Request::get("/echo").send(proxy.addr()).await.expect("answered").status, 200);
}

#[tokio::test]
async fn a_listener_comes_and_goes_without_dropping_the_other() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let mut kept = pointsman_demo::client::Connection::open(proxy.addr()).await.expect("connected");
    kept.exchange(&Request::get("/echo")).await.expect("answered");

    let two = with_listener(free);
    proxy.write_config(&two).expect("written");
    until(|| async { Request::get("/echo").send(free).await.ok().filter(|a| a.status == 200) })
        .await
        .expect("the new listener answers");
    kept.exchange(&Request::get("/echo")).await.expect("the old connection lives");

    proxy.write_config(&YAML).expect("written");
    until(|| async { tokio::net::TcpStream::connect(free).await.err() }).await.expect("the listener is gone");
    kept.exchange(&Request::get("/echo")).await.expect("the old connection lives");
}

#[tokio::test]
async fn a_port_that_is_taken_refuses_the_reload() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let before = std::fs::read(proxy.config()).expect("there");
    let two = with_listener(address);
    proxy.write_config(&two).expect("written");
    let outcome = proxy.admin.reload().await.expect("answered");
    assert_eq!(outcome["outcome"], "refused", "{outcome}");
    let problem = outcome["problems"][0].as_str().expect("a problem");
    assert!(
        problem.contains(&address.to_string()) && problem.contains("pointsman.yaml:") && problem.contains('^'),
        "{problem}"
    );
    std::fs::write(proxy.config(), before).expect("written");
    let told = proxy.admin.answers("/v1/config", |a| a.text().contains("the file says again what is in force")).await;
    told.expect("the file that is back is acknowledged");
    assert_eq!(Request::get("/echo").send(proxy.addr()).await.expect("answered").status, 200);
}

#[tokio::test]
async fn a_thousand_hangups_settle_on_the_last_content() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    for _ in 0..1000 {
        proxy.signal(libc::SIGHUP).expect("signalled");
    }
    proxy.write_config(&YAML.replace("match: {}", "match: { path: /last }")).expect("written");
    proxy.signal(libc::SIGHUP).expect("signalled");
    until(|| async { Request::get("/x").send(proxy.addr()).await.ok().filter(|a| a.status == 404) })
        .await
        .expect("the last content is live");
    assert_eq!(
        Request::get("/last").send(proxy.addr()).await.expect("answered").status,
        404,
        "the node has no such page"
    );
}

#[tokio::test]
async fn a_wrong_start_says_why_and_with_which_code() {
    let problem = Proxy::start(BINARY, "listeners: 7\nservces: {}\n").await.expect_err("it cannot serve").to_string();
    assert!(problem.contains("exit status: 3"), "{problem}");
    assert!(problem.contains("servces") && problem.contains("did you mean `services`"), "{problem}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let yaml = YAML.replace("@listen@", &taken.local_addr().expect("its address").to_string());
    let problem = Proxy::start_with(ProxyOptions::new(BINARY, &yaml)).await.expect_err("taken").to_string();
    assert!(problem.contains("exit status: 4"), "{problem}");
}

#[test]
fn a_check_does_not_try_addresses_and_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pointsman.yaml");
    let yaml = YAML.replace("@listen@", &taken.local_addr().expect("its address").to_string());
    std::fs::write(&file, yaml.replace("@admin@", "127.0.0.1:0")).expect("written");
    let check = std::process::Command::new(BINARY).arg("check").arg("-c").arg(&file).output().expect("runs");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.contains("addresses were not tried"), "{check:?}");
}

#[tokio::test]
async fn a_setting_that_a_policy_refuses_is_shown_where_it_stands() {
    let proxy = proxy().await;
    for (with, column, help) in
        [("failover: nxt", "nxt", "did you mean `next`?"), ("failovr: next", "failovr", "did you mean `failover`?")]
    {
        let yaml = YAML.replace("failover: next", with);
        assert_ne!(yaml, *YAML);
        proxy.write_config(&yaml).expect("written");
        let outcome = proxy.admin.reload().await.expect("answered");
        let problem = outcome["problems"][0].as_str().expect("a problem");
        let (line, column) = yaml
            .lines()
            .zip(1..)
            .find_map(|(text, line)| Some((line, text.find(column)? + 1)))
            .expect("it stands in the file");
        assert!(problem.contains(&format!("pointsman.yaml:{line}:{column}\n")), "{problem}");
        assert!(problem.contains(help), "{problem}");
    }
}

#[tokio::test]
async fn a_termination_finishes_what_runs() {
    let mut proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    let to = proxy.addr();
    let slow = tokio::spawn(async move { Request::get("/slow?ms=800").send(to).await });
    proxy
        .admin
        .answers("/v1/services/api", |a| a.json().is_ok_and(|r| r["nodes"][0]["in_flight"] == 1))
        .await
        .expect("under way");
    proxy.signal(libc::SIGTERM).expect("signalled");
    let answer = slow.await.expect("joined").expect("answered although the proxy stops");
    assert_eq!(answer.status, 200);
    assert_eq!(proxy.ended().await.expect("ended"), Some(0));
}

#[tokio::test]
async fn a_log_beside_a_refused_file_leads_to_no_further_reload() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    std::fs::write(proxy.config(), "listeners: 7").expect("written");
    let refused = |text: &str| -> u64 {
        let line = text.lines().find(|l| l.starts_with("pointsman_reloads_total{outcome=\"refused\"}"));
        line.and_then(|l| l.rsplit(' ').next()).and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let first = proxy.admin.answers("/metrics", |a| refused(&a.text()) > 0).await.expect("refused by itself").text();
    // Each of these requests is a line in the access log, which lies in the folder that is watched.
    for _ in 0..50 {
        Request::get("/echo").send(proxy.addr()).await.expect("answered");
    }
    proxy.write_config(&YAML.replace("match: {}", "match: { path: /after }")).expect("written");
    until(|| async { Request::get("/x").send(proxy.addr()).await.ok().filter(|a| a.status == 404) })
        .await
        .expect("a good file is live");
    let last = proxy.admin.get("/metrics").await.expect("metrics").text();
    assert!(
        refused(&last) <= refused(&first) + 1,
        "reloads without a change: {} then {}",
        refused(&first),
        refused(&last)
    );
}
