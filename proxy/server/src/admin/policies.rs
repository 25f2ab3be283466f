//! Policies in force, and new versions of them.

use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::AppState;
use super::body::{self, WASM_LIMIT};
use super::join::check_id;
use super::nodes::bad_path;
use super::problem::Problem;
use crate::world::reload::{Outcome, PolicyReport};

/// `GET /v1/policies`
pub(super) async fn list(state: AppState) -> Result<Json<Value>, Problem> {
    let policies = state.parts.reload.policies().await.ok_or_else(Problem::stopping)?;
    Ok(Json(json!({ "policies": policies })))
}

/// `GET /v1/policies/{name}`
pub(super) async fn show(
    state: AppState,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<PolicyReport>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let policies = state.parts.reload.policies().await.ok_or_else(Problem::stopping)?;
    let known: Vec<String> = policies.iter().map(|policy| policy.name.clone()).collect();
    policies.into_iter().find(|policy| policy.name == name).map(Json).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no-policy",
            format!("no policy `{name}` is in force"),
            "use one that `policies` lists; a policy is loaded when a service of the YAML uses it",
        )
        .with("policies", json!(known))
    })
}

/// `PUT /v1/policies/{name}`
pub(super) async fn upload(
    state: AppState,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<Outcome>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    check_id(&name)?;
    let wasm = body::read(body, WASM_LIMIT).await?;
    if !wasm.starts_with(b"\0asm") {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "not-wasm",
            "the body is not a WebAssembly component: it does not begin with \\0asm",
            format!("curl --data-binary @{name}.wasm -X PUT …/v1/policies/{name} sends the file as it is"),
        ));
    }
    let outcome = state.parts.reload.upload(&name, wasm.into()).await.ok_or_else(Problem::stopping)?;
    settled(outcome, "do what the problem's help says and upload again")
}

/// What became of a reload: 200, or 422 with every problem.
pub(super) fn settled(outcome: Outcome, next: &str) -> Result<Json<Outcome>, Problem> {
    if outcome.outcome != "refused" {
        return Ok(Json(outcome));
    }
    let Outcome { generation, outcome, problems } = outcome;
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "refused",
        format!(
            "{} problem{}; generation {generation} keeps serving",
            problems.len(),
            if problems.len() == 1 { "" } else { "s" }
        ),
        next,
    )
    .with("generation", json!(generation))
    .with("outcome", json!(outcome))
    .with("problems", json!(problems)))
}
