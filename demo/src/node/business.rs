//! What systems that split their work by key do: accounts at a shard, a payment that waits for its order, trades of a client,
//! executions of an order, sessions. A node that is asked about what it should know and does not says 421 (Misdirected
//! Request, RFC 9110, section 15.5.20), and counts it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answers::{X_REQUEST_UNIQUE, header_text, problem};
use super::door::Reign;
use super::ledger::Whose;
use super::message;
use super::state::Shared;

/// Sent where a request goes to the owner of its key.
const OWNER_EPOCH: &str = "pointsman-owner-epoch";
/// Sent with every request to a service that elects a primary.
const EPOCH: &str = "pointsman-epoch";

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/users/{name}", put(open_account).get(show_account))
        .route("/users/{name}/trades", post(trade_of_user))
        .route("/payments/{order}", post(pay))
        .route("/placed/{order}", post(place))
        .route("/trades", post(trade))
        .route("/executions", post(execute))
        .route("/sessions/{login}", put(log_in).get(show_session))
        .route("/drop-copy/{stream}", get(drop_copy))
}

async fn open_account(State(node): State<Arc<Shared>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    node.enter("user", &name, &headers, StatusCode::CREATED, json!({ "user": name }))
}

async fn show_account(State(node): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match node.ledger.knows("user", &name) {
        Some(_) => answer(&node, StatusCode::OK, json!({ "user": name })),
        None => node.misrouted(&format!("no account `{name}` at this shard")),
    }
}

async fn trade_of_user(State(node): State<Arc<Shared>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if node.ledger.knows("user", &name).is_none() {
        return node.misrouted(&format!("no account `{name}` at this shard"));
    }
    node.enter("trade", &name, &headers, StatusCode::CREATED, json!({ "user": name }))
}

/// A payment may come before its order: then it waits for it.
async fn pay(State(node): State<Arc<Shared>>, Path(order): Path<String>, headers: HeaderMap) -> Response {
    let (status, waits) = match node.ledger.knows("placed", &order) {
        Some(_) => (StatusCode::OK, false),
        None => (StatusCode::ACCEPTED, true),
    };
    node.enter("payment", &order, &headers, status, json!({ "order": order, "waits": waits }))
}

async fn place(State(node): State<Arc<Shared>>, Path(order): Path<String>, headers: HeaderMap) -> Response {
    let paid = match node.ledger.knows("payment", &order) {
        Some(Whose::Ours) => "here",
        Some(Whose::Theirs) => "at a replica",
        None => "no",
    };
    node.enter("placed", &order, &headers, StatusCode::CREATED, json!({ "order": order, "paid": paid }))
}

async fn trade(State(node): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(client) = find(&headers, &body, message::CLIENT) else {
        return problem(StatusCode::BAD_REQUEST, &node.id, "the trade names no client");
    };
    node.enter("trade", &client, &headers, StatusCode::CREATED, json!({ "client": client }))
}

/// An execution belongs to the node that has its order. The primary takes it where no owner was found: the proxy then says
/// in which epoch, and names no owner's.
async fn execute(
    State(node): State<Arc<Shared>>,
    Extension(reign): Extension<Reign>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(order) = find(&headers, &body, message::ORDER) else {
        return problem(StatusCode::BAD_REQUEST, &node.id, "the execution names no order");
    };
    let known = node.ledger.knows("order", &order).is_some();
    let adopted = !known && headers.contains_key(EPOCH) && !headers.contains_key(OWNER_EPOCH);
    if !known && !adopted {
        return node.misrouted(&format!("an execution for order `{order}`, which this node never saw"));
    }
    if let (true, Some(refused)) = (adopted, node.door.refuse(reign, &node.id)) {
        return refused;
    }
    node.enter("execution", &order, &headers, StatusCode::OK, json!({ "order": order, "adopted": adopted }))
}

async fn log_in(State(node): State<Arc<Shared>>, Path(login): Path<String>, headers: HeaderMap) -> Response {
    node.enter("session", &login, &headers, StatusCode::CREATED, json!({ "session": login }))
}

async fn show_session(State(node): State<Arc<Shared>>, Path(login): Path<String>) -> Response {
    match node.ledger.knows("session", &login) {
        Some(_) => answer(&node, StatusCode::OK, json!({ "session": login })),
        None => node.misrouted(&format!("`{login}` did not log in at this node")),
    }
}

/// The primary alone has all there is to copy.
async fn drop_copy(
    State(node): State<Arc<Shared>>,
    Extension(reign): Extension<Reign>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = node.door.refuse(reign, &node.id) {
        return refused;
    }
    // The one that it was asked in: the node may have been told of a later one meanwhile.
    let epoch = header_text(&headers, EPOCH).and_then(|epoch| epoch.parse::<u64>().ok());
    answer(&node, StatusCode::OK, json!({ "epoch": epoch }))
}

fn find(headers: &HeaderMap, body: &[u8], place: message::Place) -> Option<String> {
    let kind = header_text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    message::read(&kind, body, place)
}

fn answer(node: &Shared, status: StatusCode, mut body: Value) -> Response {
    body["node"] = node.id.as_str().into();
    (status, Json(body)).into_response()
}

impl Shared {
    /// Notes the entry and answers.
    fn enter(&self, kind: &str, key: &str, headers: &HeaderMap, status: StatusCode, body: Value) -> Response {
        let unique = header_text(headers, X_REQUEST_UNIQUE).unwrap_or_default();
        match self.ledger.add(kind, key, &unique) {
            Ok(()) => answer(self, status, body),
            Err(why) => {
                let why = format!("the ledger cannot be written: {why}");
                problem(StatusCode::INTERNAL_SERVER_ERROR, &self.id, &why)
            }
        }
    }

    fn misrouted(&self, why: &str) -> Response {
        self.count_misrouted();
        problem(StatusCode::MISDIRECTED_REQUEST, &self.id, why)
    }
}
