//! What the services look like now.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde::Serialize;
use serde_json::{Value, json};

use super::AppState;
use super::nodes::bad_path;
use super::problem::Problem;
use crate::world::World;
use crate::world::control::{Control, NodeReport, PrimaryReport, ServiceReport};

/// A service as operators see it, its nodes with what live counters say.
#[derive(Serialize)]
struct Seen {
    name: String,
    policy: String,
    version: u64,
    high_water: u64,
    #[serde(flatten)]
    office: Option<Office>,
    nodes: Vec<SeenNode>,
}

/// The primary of a service that elects one.
#[derive(Serialize)]
struct Office {
    /// Its id; `null` while there is none.
    primary: Option<String>,
    epoch: u64,
}

/// A node as operators see it.
#[derive(Serialize)]
pub(super) struct SeenNode {
    #[serde(flatten)]
    pub(super) report: NodeReport,
    /// Requests it was picked for in this life of it. Absent when the node has just come or gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
}

/// `GET /v1/services`
pub(super) async fn list(state: AppState) -> Result<Json<Value>, Problem> {
    let services = state.parts.control.report().await?;
    let world = state.parts.world.load_full();
    let services: Vec<Seen> = services.into_iter().map(|service| seen(&world, service)).collect();
    Ok(Json(json!({ "generation": world.generation, "services": services })))
}

/// `GET /v1/services/{service}`
pub(super) async fn show(state: AppState, name: Result<Path<String>, PathRejection>) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let service = find(&state.parts.control, &name).await?;
    Ok(Json(json!(seen(&state.parts.world.load(), service))))
}

/// `POST /v1/services/{service}/high-water/lower`
pub(super) async fn lower(state: AppState, name: Result<Path<String>, PathRejection>) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let mark = state.parts.control.lower_mark(&name).await?;
    Ok(Json(json!({ "service": name, "high_water": mark.now, "was": mark.was })))
}

/// One node of a service, or a 404.
pub(super) async fn node(state: &AppState, service: &str, id: &str) -> Result<SeenNode, Problem> {
    let service = seen(&state.parts.world.load(), find(&state.parts.control, service).await?);
    let node = service.nodes.into_iter().find(|node| node.report.id == id);
    node.ok_or_else(|| Problem::no_node(&service.name, id))
}

/// A 404 that names the services that are there.
pub(super) async fn unknown(state: &AppState, name: &str) -> Problem {
    match find(&state.parts.control, name).await {
        Err(problem) => problem,
        // It has come meanwhile.
        Ok(_) => Problem::no_service(name, &[name.to_owned()]),
    }
}

/// One service, or a 404 that names those that are there.
pub(super) async fn find(control: &Control, name: &str) -> Result<ServiceReport, Problem> {
    let mut all = control.report().await?;
    match all.iter().position(|service| service.name == name) {
        Some(index) => Ok(all.swap_remove(index)),
        None => Err(Problem::no_service(name, &all.into_iter().map(|service| service.name).collect::<Vec<_>>())),
    }
}

fn seen(world: &World, service: ServiceReport) -> Seen {
    let members = world.services.get(&service.name).map(|known| known.state.members().load_full());
    let requests: std::collections::HashMap<u64, u64> = members
        .iter()
        .flat_map(|members| members.members())
        .map(|member| (member.node.incarnation.0, member.node.load.started()))
        .collect();
    let nodes = service.nodes.into_iter().map(|report| {
        let requests = requests.get(&report.incarnation).copied();
        SeenNode { report, requests }
    });
    let office = |PrimaryReport { node, epoch, .. }| Office { primary: node.map(|(id, _)| id), epoch };
    let office = service.primary.map(office);
    Seen {
        name: service.name,
        policy: service.policy,
        version: service.version,
        high_water: service.high_water,
        office,
        nodes: nodes.collect(),
    }
}
