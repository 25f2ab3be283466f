//! What machines ask: is it alive, is it ready, how is it doing.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::problem::Problem;
use super::{AppState, Need, PATHS};

/// `GET /livez`: the process runs and this thread answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`
pub(super) async fn readyz(state: AppState) -> Result<&'static str, Problem> {
    let Some(why_not) = state.parts.ready.why_not() else { return Ok("ready\n") };
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-ready",
        why_not,
        "ask again; GET /v1/services shows how the nodes stand",
    )
    .header(header::RETRY_AFTER, HeaderValue::from_static("1")))
}

/// `GET /metrics`, in Prometheus' text format 0.0.4.
pub(super) async fn metrics(state: AppState) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.parts.metrics.render()).into_response()
}

/// `GET /v1`: every path.
pub(super) async fn paths() -> Json<Value> {
    let entry = |(method, path, need, what): &(&str, &str, Need, &str)| json!({ "method": method, "path": path, "what": what, "roles": need.roles() });
    Json(json!({ "paths": PATHS.iter().map(entry).collect::<Vec<_>>() }))
}
