//! Which node a key belongs to: looked up, listed, given to another, released.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::{Extension, Json};
use pointsman_core::cluster::membership::{Member, Membership};
use pointsman_core::owners::decide::{Course, Rules};
use pointsman_core::owners::{Owner, OwnerTable};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AppState;
use super::body::{self, JSON_LIMIT};
use super::nodes::bad_path;
use super::problem::Problem;
use crate::world::{Service, clock};

/// Keys that one answer lists, where nothing is said, and at most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 10_000;

/// What may stand in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    node: Option<String>,
    limit: Option<usize>,
}

/// What is given, and to whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gift {
    /// All keys of this node.
    from: Option<String>,
    /// This key.
    key: Option<String>,
    to: String,
}

/// Rides beside the response for who writes down what became of a gift.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// Keys that have another owner now, or the same under a higher epoch.
    pub(super) moved: usize,
    /// `from`, `key`, `to` and `moved`.
    pub(super) told: Value,
}

/// `GET /v1/services/{service}/owners?node=NODE&limit=N`
pub(super) async fn list(
    state: AppState,
    name: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let Query(Wanted { node, limit }) = wanted.map_err(|error| {
        let next = "?node=NODE lists the keys of a node, and &limit=N says how many at most";
        Problem::new(StatusCode::BAD_REQUEST, "bad-query", error.body_text(), next)
    })?;
    let (_, table) = keeper(&state, &name)?;
    let Some(node) = node else {
        return Ok(Json(json!({ "service": name, "owners": table.len(), "nodes": by_node(&table) })));
    };
    let limit = limit.unwrap_or(LISTED).min(MOST_LISTED);
    let listed = table.list(&node, limit, clock::now());
    let owned: u32 = table.lives().iter().filter(|life| *life.node == *node).map(|life| life.owned()).sum();
    let keys = listed
        .into_iter()
        .map(|(key, owner)| json!({ "key": key, "epoch": owner.epoch, "idle_s": owner.idle.as_secs() }));
    Ok(Json(json!({ "service": name, "node": node, "owned": owned, "keys": keys.collect::<Vec<_>>() })))
}

/// `GET /v1/services/{service}/owners/{key}`
pub(super) async fn show(
    state: AppState,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path((name, key)) = path.map_err(bad_path)?;
    let (service, table) = keeper(&state, &name)?;
    let members = service.state.members().load_full();
    let owner = table.peek(&key, clock::now()).ok_or_else(|| nobodys(&name, &key))?;
    Ok(Json(seen(&service, &table, &key, owner, &members)))
}

/// `DELETE /v1/services/{service}/owners/{key}`
pub(super) async fn release(
    state: AppState,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path((name, key)) = path.map_err(bad_path)?;
    let (_, table) = keeper(&state, &name)?;
    let owner = table.release(&key, clock::now()).ok_or_else(|| nobodys(&name, &key))?;
    Ok(Json(json!({ "service": name, "key": key, "node": *table.life(owner).node, "outcome": "released" })))
}

/// `POST /v1/services/{service}/owners/reassign`
pub(super) async fn reassign(
    state: AppState,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<(Extension<Given>, Json<Value>), Problem> {
    let Path(name) = name.map_err(bad_path)?;
    let next = r#"send {"from": "n1", "to": "n2"} for all keys of a node, or {"key": "order-17", "to": "n2"} for one"#;
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-json", detail, next);
    let gift: Gift =
        serde_json::from_slice(&body::read(body, JSON_LIMIT).await?).map_err(|error| bad(error.to_string()))?;
    let (service, table) = keeper(&state, &name)?;
    let members = service.state.members().load_full();
    let to = members.members().iter().find(|member| member.node.spec.id == gift.to);
    let to = &to.ok_or_else(|| Problem::no_node(&name, &gift.to))?.node;
    let (moved, told) = match (gift.from, gift.key) {
        (Some(from), None) if from == gift.to => return Err(bad("`from` and `to` are the same node".into())),
        (Some(from), None) => {
            let moved = table.reassign_all(&from, &to.spec.id, to.incarnation);
            (moved, json!({ "from": from, "to": gift.to, "moved": moved }))
        }
        (None, Some(key)) => {
            let from = table.peek(&key, clock::now()).map(|owner| table.life(owner).node.to_string());
            let given = table.reassign(&key, &to.spec.id, to.incarnation, clock::now());
            given.ok_or_else(|| nobodys(&name, &key))?;
            (1, json!({ "from": from, "key": key, "to": gift.to, "moved": 1 }))
        }
        _ => return Err(bad("one of `from` and `key` says what is given".into())),
    };
    Ok((Extension(Given { moved, told }), Json(json!({ "service": name, "to": gift.to, "moved": moved }))))
}

/// What a change of owners changes, as it is now.
pub(super) fn look(service: &Service, key: Option<&str>) -> Value {
    let Some(table) = &service.state.owners else { return Value::Null };
    let Some(key) = key else { return by_node(table) };
    let owner = table.peek(key, clock::now());
    json!({ "key": key, "node": owner.map(|owner| table.life(owner).node.to_string()) })
}

/// Where a request with this key goes, as far as owners decide; `None`: the service keeps none. The index is that of the
/// owner, where it takes requests.
pub(super) fn route(service: &Service, key: Option<&str>, members: &Membership) -> Option<(Value, Option<u32>)> {
    let (table, plan) = (service.state.owners.as_ref()?, service.plan.owners.as_ref()?);
    let Some(key) = key else { return Some((json!({ "owner": null, "goes_to": "policy" }), None)) };
    let owner = table.peek(key, clock::now());
    let course = Rules::from(plan).course(table, owner, members, true);
    let id = |index: u32| members.get(index).map(|member| member.node.spec.id.clone());
    let (goes_to, node, index) = match course {
        Course::Owner(index) => ("owner", id(index), Some(index)),
        Course::Primary(index) => ("primary", id(index), None),
        Course::Policy => ("policy", None, None),
        Course::Park => ("park", None, None),
        Course::Unknown => ("refused: owner-unknown", None, None),
        Course::Gone => ("refused: owner-gone", None, None),
    };
    let owner = owner.map(|owner| seen(service, table, key, owner, members));
    Some((json!({ "owner": owner, "goes_to": goes_to, "node": node }), index))
}

fn seen(service: &Service, table: &OwnerTable, key: &str, owner: Owner, members: &Membership) -> Value {
    let life = table.life(owner);
    let index = service.plan.owners.as_ref().and_then(|plan| Rules::from(plan).index_of(&life, members));
    let member = index.and_then(|index| members.get(index));
    json!({
        "service": *service.state.name,
        "key": key,
        "node": *life.node,
        "epoch": owner.epoch,
        "idle_s": owner.idle.as_secs(),
        "there": member.is_some_and(Member::eligible),
    })
}

/// How many keys each node owns.
fn by_node(table: &OwnerTable) -> Value {
    let mut nodes = std::collections::BTreeMap::<String, u64>::new();
    for life in table.lives() {
        *nodes.entry(life.node.to_string()).or_default() += u64::from(life.owned());
    }
    nodes.retain(|_, owned| *owned > 0);
    json!(nodes)
}

/// A service that keeps owners.
fn keeper(state: &AppState, name: &str) -> Result<(Arc<Service>, Arc<OwnerTable>), Problem> {
    let world = state.parts.world.load_full();
    let Some(service) = world.services.get(name) else {
        return Err(Problem::no_service(name, &world.services.keys().cloned().collect::<Vec<_>>()));
    };
    let table = service.state.owners.clone().ok_or_else(|| {
        let detail = format!("service `{name}` keeps no owners");
        Problem::new(StatusCode::NOT_FOUND, "no-owners", detail, "give it `owners`, as docs/keys.md describes them")
    })?;
    Ok((Arc::clone(service), table))
}

fn nobodys(service: &str, key: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-owner",
        format!("nobody owns the key `{key}` of service `{service}`"),
        format!("GET /v1/services/{service}/owners?node=NODE lists keys that are owned"),
    )
}
