//! Nodes join, renew, leave and drain.

use std::path::Path as FilePath;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pointsman_config::plan::Address;
use serde_json::{Value, json};

use super::AppState;
use super::body::{self, JSON_LIMIT};
use super::join;
use super::problem::Problem;
use super::services;
use crate::world::control::{Denied, Joined};

/// The node that a path names.
pub(super) struct At {
    service: String,
    id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for At {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((service, id)) = Path::<(String, String)>::from_request_parts(parts, state).await.map_err(bad_path)?;
        Ok(Self { service, id })
    }
}

/// A path whose segments cannot be read: 400.
pub(super) fn bad_path(error: PathRejection) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad-path",
        error.body_text(),
        "percent-encode the path's segments as UTF-8; GET /v1 lists the paths",
    )
}

/// `PUT /v1/services/{service}/nodes/{id}`
pub(super) async fn join(state: AppState, at: At, body: Body) -> Result<Response, Problem> {
    let (spec, ttl) = join::join(&at.id, &body::read(body, JSON_LIMIT).await?)?;
    if let Some(own) = own_address(&state, &spec.address) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "loop",
            format!("{} is an address of this proxy itself ({own}): requests would come round for ever", spec.address),
            "give the address on which the node listens",
        ));
    }
    let joined = match state.parts.control.join(&at.service, spec, ttl).await {
        Err(Denied::NoService(name)) => return Err(services::unknown(&state, &name).await),
        outcome => outcome?,
    };
    let Joined { created, drained } = joined;
    let (status, outcome) = if created { (StatusCode::CREATED, "created") } else { (StatusCode::OK, "renewed") };
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    let mut body =
        json!({ "service": at.service, "id": at.id, "outcome": outcome, "ttl_ms": ttl_ms, "drained": drained });
    if drained {
        let path = format!("/v1/services/{}/nodes/{}/undrain", at.service, at.id);
        body["next"] = format!("it was drained by an operator and takes nothing new; POST {path} ends that").into();
    }
    let mut response = (status, Json(body)).into_response();
    // A service's name may hold what a header cannot; then the header is left out.
    let here = HeaderValue::try_from(format!("/v1/services/{}/nodes/{}", at.service, at.id));
    if let (true, Ok(here)) = (created, here) {
        response.headers_mut().insert(header::LOCATION, here);
    }
    Ok(response)
}

/// What of the proxy's own listens there, if that can be told: a listener on every address is told by loopback.
fn own_address(state: &AppState, address: &Address) -> Option<&'static str> {
    let is = |own: &Address| {
        let (own, address) = match (own, address) {
            (Address::Ip(own), Address::Ip(address)) => (own, address),
            (Address::Unix(own), Address::Unix(path)) => return same_file(own, path),
            _ => return false,
        };
        let everywhere = own.ip().is_unspecified() && address.ip().to_canonical().is_loopback();
        own.port() == address.port() && (own.ip() == address.ip() || everywhere)
    };
    if is(&state.local) {
        return Some("the admin API");
    }
    state.parts.world.load().plan.listeners.iter().any(|listener| is(&listener.address)).then_some("a listener")
}

/// Whether two paths, however they are written, lead to one file.
fn same_file(a: &FilePath, b: &FilePath) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// `POST …/heartbeat`
pub(super) async fn heartbeat(state: AppState, at: At, body: Body) -> Result<Json<Value>, Problem> {
    let (load, note) = join::heartbeat(&body::read(body, JSON_LIMIT).await?)?;
    state.parts.control.heartbeat(&at.service, &at.id, load).await?;
    let Json(mut answer) = done(&at, "renewed");
    if let Some(note) = note {
        answer["note"] = note.into();
    }
    Ok(Json(answer))
}

/// `DELETE /v1/services/{service}/nodes/{id}`
pub(super) async fn leave(state: AppState, at: At) -> Result<Json<Value>, Problem> {
    state.parts.control.leave(&at.service, &at.id).await?;
    Ok(done(&at, "left"))
}

/// `POST …/drain`
pub(super) async fn drain(state: AppState, at: At) -> Result<Json<Value>, Problem> {
    state.parts.control.drain(&at.service, &at.id, true).await?;
    Ok(done(&at, "draining"))
}

/// `POST …/undrain`
pub(super) async fn undrain(state: AppState, at: At) -> Result<Json<Value>, Problem> {
    state.parts.control.drain(&at.service, &at.id, false).await?;
    Ok(done(&at, "undrained"))
}

/// `GET /v1/services/{service}/nodes/{id}`
pub(super) async fn show(state: AppState, at: At) -> Result<Json<services::SeenNode>, Problem> {
    services::node(&state, &at.service, &at.id).await.map(Json)
}

fn done(at: &At, outcome: &str) -> Json<Value> {
    Json(json!({ "service": at.service, "id": at.id, "outcome": outcome }))
}
