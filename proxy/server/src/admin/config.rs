//! The configuration in force, and reading it again.

use axum::Json;
use pointsman_config::plan::Plan;
use serde_json::{Value, json};

use super::AppState;
use super::policies::settled;
use super::problem::Problem;
use crate::world::reload::Outcome;

/// `GET /v1/config`
///
/// Shows the file as it was written: what `${VAR}` stands for is never shown, nor what a key named like a secret holds.
pub(super) async fn show(state: AppState) -> Json<Value> {
    let world = state.parts.world.load_full();
    let plan = &world.plan;
    let (yaml, problem) = match std::fs::read_to_string(&plan.file) {
        Ok(text) => (Some(pointsman_config::redact(&text)), None),
        Err(error) => (None, Some(format!("{}: {error}", plan.file.display()))),
    };
    Json(json!({
        "generation": world.generation,
        "file": plan.file,
        "listeners": plan.listeners.iter().map(|l| l.address.to_string()).collect::<Vec<_>>(),
        "services": plan.services.keys().collect::<Vec<_>>(),
        "routes": plan.routes.len(),
        "last_reload": state.events.last_reload().as_deref(),
        "yaml": yaml,
        "yaml_problem": problem,
        "yaml_in_force": in_force(plan),
    }))
}

/// Whether the file, read now, says what is in force. Not so after a refused reload, and for a moment after an edit.
fn in_force(plan: &Plan) -> bool {
    let policies: Vec<&str> = plan.services.values().map(|service| service.policy.name.as_str()).collect();
    pointsman_config::load(&plan.file, &policies).is_ok_and(|now| now == *plan)
}

/// `POST /v1/config/reload`
pub(super) async fn reload(state: AppState) -> Result<Json<Outcome>, Problem> {
    let outcome = state.parts.reload.now().await.ok_or_else(Problem::stopping)?;
    settled(outcome, "correct the file and reload again; `pointsman check -c` with its path says the same offline")
}
