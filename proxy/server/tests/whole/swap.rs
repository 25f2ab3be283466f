use pointsman_demo::client::Request;
use pointsman_demo::load::{self, LoadOptions};

use crate::stage::{YAML, nodes, proxy};

fn component(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../policies/dist/{name}.wasm", env!("CARGO_MANIFEST_DIR"))).expect("a built policy")
}

#[tokio::test]
async fn policies_and_configurations_swap_under_load_without_a_failed_request() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 3, &["api"]).await;
    let load = load::start(LoadOptions::new(proxy.addr()).ask("GET", "/bytes/64").connections(8).rate(300.0))
        .expect("load starts");
    load.reached(50).await;
    for round in 0..10 {
        let name = ["two-choices", "round-robin"][round % 2];
        let answer = proxy.admin.put_bytes("/v1/policies/round-robin", component(name)).await.expect("answered");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let yaml = YAML.replace("fall: 2", ["fall: 3", "fall: 2"][round % 2]);
        proxy.write_config(&yaml).expect("written");
        let outcome = proxy.admin.reload().await.expect("answered");
        assert_ne!(outcome["outcome"], "refused", "{outcome}");
        load.further(10).await;
    }
    let report = load.stop_and_finish().await;
    assert_eq!(report.failed, 0, "{:?} {:?}", report.failures, report.samples);
}

#[tokio::test]
async fn an_upload_survives_a_restart() {
    let mut proxy = proxy().await;
    let answer = proxy.admin.put_bytes("/v1/policies/round-robin", component("two-choices")).await.expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.text());
    proxy.kill().await.expect("killed");
    proxy.restart().await.expect("serves again");
    let policies = proxy.admin.get("/v1/policies").await.expect("answered").text();
    assert!(policies.contains("uploaded") && policies.contains("two-choices"), "{policies}");
}

#[tokio::test]
async fn a_module_that_is_no_policy_is_refused_and_the_old_one_serves() {
    let proxy = proxy().await;
    let _nodes = nodes(&proxy, 1, &["api"]).await;
    for (bytes, says) in [
        (b"not wasm at all".to_vec(), "not a WebAssembly component"),
        (b"\0asm\x01\0\0\0".to_vec(), "core module"),
        (component("round-robin")[..2000].to_vec(), "damaged"),
    ] {
        let answer = proxy.admin.put_bytes("/v1/policies/round-robin", bytes).await.expect("answered");
        assert!([400, 422].contains(&answer.status), "{}", answer.text());
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    proxy.has_said("policy-refused service= node= policy `round-robin`").await.expect("told in the log, too");
    assert_eq!(Request::get("/echo").send(proxy.addr()).await.expect("answered").status, 200);
}

#[tokio::test]
async fn another_policy_uploaded_under_a_name_is_told_from_a_faulty_one() {
    let proxy = proxy().await;
    let upload = proxy.admin.put_bytes("/v1/policies/customer-modulo", component("round-robin"));
    let answer = upload.await.expect("answered");
    assert_eq!(answer.status, 422, "{}", answer.text());
    let text = answer.text();
    assert!(text.contains("names itself `round-robin`, and would be uploaded as that"), "{text}");
    assert!(!text.contains("correct the component"), "{text}");
}
