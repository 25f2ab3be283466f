//! Watching a node's standing from outside, through the admin API, every two milliseconds.

use std::time::{Duration, Instant};

use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::Admin;

use crate::access::now_ms;

/// From one answer to the next question: with the question itself, a change is seen three or four milliseconds late.
const PAUSE: Duration = Duration::from_millis(2);
/// A change that takes longer is not coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the node stands as wanted and answers when that was first seen, in milliseconds since 1970: never too early.
pub(crate) async fn standing(admin: &Admin, service: &str, node: &str, wanted: &str) -> Result<f64, String> {
    let problem = |problem: std::io::Error| format!("the admin API: {problem}");
    let request = Request::get(&format!("/v1/services/{service}"));
    let mut connection = Connection::open(admin.address()).await.map_err(problem)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = connection.exchange(&request).await.and_then(|answer| answer.json()).map_err(problem)?;
        let seen = now_ms();
        let found = report["nodes"].as_array().and_then(|nodes| nodes.iter().find(|each| each["id"] == node));
        if found.is_some_and(|found| found["standing"] == wanted) {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            return Err(format!("{node} of {service} is not `{wanted}` within {PATIENCE:?}: {found:?}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
