//! Who is the primary: for nodes and programs that ask.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::AppState;
use super::nodes::bad_path;
use super::problem::Problem;
use super::services::find;

/// `GET /v1/services/{service}/primary`
pub(super) async fn show(state: AppState, name: Result<Path<String>, PathRejection>) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let service = find(&state.parts.control, &name).await?;
    let Some(primary) = service.primary else {
        let detail = format!("service `{name}` elects no primary");
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no-election",
            detail,
            "add `primary: on` to the service in the YAML",
        ));
    };
    let epoch = primary.epoch;
    match (primary.node, primary.vacancy) {
        (Some((id, address)), _) => Ok(Json(
            json!({ "service": name, "id": id, "address": address, "epoch": epoch, "since_ms": primary.since_ms }),
        )),
        (None, vacancy) => {
            let (why, detail) = vacancy.map_or(("unknown", String::new()), |vacancy| (vacancy.why, vacancy.detail));
            let problem = Problem::new(
                StatusCode::NOT_FOUND,
                "no-primary",
                format!("service `{name}` has no primary now: {detail}"),
                "ask again, or follow GET /v1/events: `primary-elected` tells of the next",
            );
            Err(problem.with("epoch", json!(epoch)).with("why", json!(why)))
        }
    }
}
