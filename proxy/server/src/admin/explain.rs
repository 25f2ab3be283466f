//! Where a key goes now, and why: the policy's own words, from an instance that no request waits for.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use pointsman_core::key::stable_hash;
use pointsman_core::pick::policy::Ask;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

use super::AppState;
use super::nodes::bad_path;
use super::owners;
use super::problem::Problem;
use crate::world::clock;

/// What may stand in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The routing key; absent asks about a request without one.
    key: Option<String>,
}

/// `GET /v1/services/{service}/route?key=KEY`
///
/// The answer holds for this moment: the turn is that of the next request, and is not used up.
pub(super) async fn route(
    state: AppState,
    name: Result<Path<String>, PathRejection>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let Query(Question { key }) = question.map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-query",
            error.body_text(),
            "give the key as ?key=KEY, percent-encoded; nothing else stands in the query",
        )
    })?;
    let world = state.parts.world.load_full();
    let Some(service) = world.services.get(&name) else {
        return Err(Problem::no_service(&name, &world.services.keys().cloned().collect::<Vec<_>>()));
    };
    let policy = service.picker.policy();
    let members = service.state.members().load_full();
    let headers = vec![None; policy.needs().headers.len()];
    let owned = owners::route(service, key.as_deref(), &members);
    let ask = Ask {
        owner: owned.as_ref().and_then(|(_, index)| *index).filter(|_| policy.needs().owner),
        turn: service.state.turn.load(Ordering::Relaxed),
        random: rand::random(),
        now_ms: u64::try_from(clock::now().as_millis()).unwrap_or(u64::MAX),
        key_hash: key.as_deref().map(stable_hash),
        key: key.as_deref(),
        headers: Some(&headers),
        attempt: 1,
        ..Ask::default()
    };
    let about = policy.about();
    let explanation = policy.explain(&members, &ask).map_err(|fault| {
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "policy-fault",
            format!("policy `{}` failed when it was asked to explain: {}", about.name, fault.label()),
            "GET /v1/policies shows its faults; if it fails for requests too, upload a version that does not",
        )
    })?;
    let mut answer = json!({
        "service": name,
        "key": key,
        "policy": about.name,
        "membership": members.version(),
        "explanation": explanation,
    });
    if let Some((owned, _)) = owned {
        answer["owned"] = owned;
    }
    Ok(Json(answer))
}
