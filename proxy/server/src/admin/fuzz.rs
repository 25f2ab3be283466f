//! What the fuzzer throws bodies at (docs/hardening.md), and what must hold whatever they are. Compiled for tests and for
//! the fuzzer only.

use std::time::Duration;

use axum::response::IntoResponse;
use pointsman_core::cluster::node::NodeSpec;
use pointsman_registry::{Change, Kept};

use super::body::JSON_LIMIT;
use super::join::{heartbeat, join};
use super::problem::Problem;

/// A body of a join or of a heartbeat. The first byte says which, or that the id stands in the first line.
pub fn bodies(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else { return };
    if rest.len() > JSON_LIMIT {
        return;
    }
    match kind % 3 {
        0 => joined("oms-1", rest),
        1 => renewed(rest),
        _ => {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let (id, body) = rest.split_at(end);
            joined(&String::from_utf8_lossy(id), body);
        }
    }
}

fn joined(id: &str, body: &[u8]) {
    match join(id, body) {
        Ok((spec, ttl)) => {
            sound(&spec, ttl);
            // What is taken is written to the registry's log, and read from there after a restart.
            let change = Change::Put { service: "s".into(), node: Kept::new(&spec, ttl) };
            let written = serde_json::to_vec(&change).expect("it can be written");
            assert_eq!(serde_json::from_slice::<Change>(&written).expect("it can be read"), change);
        }
        Err(problem) => told(problem, body),
    }
}

fn sound(spec: &NodeSpec, ttl: Duration) {
    assert!(spec.address.ip().is_none_or(|address| address.port() != 0 && !address.ip().is_unspecified()));
    assert!((1..=65_535).contains(&spec.weight) && spec.ordinal != Some(0));
    assert!(!spec.id.is_empty() && spec.id.is_ascii() && spec.id.len() <= 128);
    assert!(spec.zone.len() <= 128 && spec.labels.len() <= 64);
    assert!(!spec.labels.iter().any(|(key, text)| key.contains(char::is_control) || text.contains(char::is_control)));
    assert!((Duration::from_millis(300)..=Duration::from_secs(24 * 3600)).contains(&ttl));
}

fn renewed(body: &[u8]) {
    match heartbeat(body) {
        Ok((load, _)) => {
            let share = load.and_then(|load| load.utilisation);
            assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
        Err(problem) => told(problem, body),
    }
}

/// A refusal says what to do, and does not blow up what was sent.
fn told(problem: Problem, sent: &[u8]) {
    assert!(problem.status().is_client_error());
    let body = problem.body();
    assert!(body["detail"].as_str().is_some_and(|text| !text.is_empty()) && body["next"].is_string(), "{body}");
    let length = body.to_string().len();
    assert!(length <= 4096 + 64 * sent.len(), "{length} bytes for {}", sent.len());
    let _ = problem.into_response();
}

#[test]
fn what_was_found_in_bodies_stays_found() {
    crate::replay::replay("bodies", bodies);
}
