//! What a node answers, path by path.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::business;
use super::door;
use super::orders::text;
use super::socket;
use super::state::Shared;

/// The header that names the node.
const X_NODE: HeaderName = HeaderName::from_static("x-node");
/// The header by which a client makes a request unique.
pub(super) const X_REQUEST_UNIQUE: &str = "x-request-unique";
/// One minute: longer than any timeout worth showing.
const SLOWEST_MS: u64 = 60_000;
/// Bodies of `/bytes/{n}` come in pieces of this size.
const PIECE: usize = 64 * 1024;
/// 1 GiB: a slip of the finger should not fill a disk.
const MOST_BYTES: u64 = 1 << 30;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let traffic = Router::new()
        .route("/", get(index))
        .route("/orders", post(take_order).get(list_orders))
        .route("/orders/", post(take_order).get(list_orders))
        .route("/orders/{id}", get(show_order))
        .route("/slow", any(slow))
        .route("/fail", any(fail))
        .route("/echo", any(echo))
        .route("/bytes/{n}", get(bytes_of))
        .route("/ws", any(socket::echo))
        .merge(business::router())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(shared.clone(), door::pass))
        .layer(middleware::from_fn_with_state(shared.clone(), count));
    Router::new()
        .route("/health", get(health).post(set_health))
        .route("/stats", get(stats))
        .route("/stats/ids", get(executed))
        .merge(traffic)
        .layer(middleware::from_fn_with_state(shared.clone(), name_the_node))
        .with_state(shared)
}

async fn name_the_node(State(node): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_NODE, node.header.clone());
    response
}

async fn count(State(node): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    node.journal.count_request();
    if let Some(id) = request.headers().get(X_REQUEST_UNIQUE) {
        node.journal.note(&String::from_utf8_lossy(id.as_bytes()));
    }
    next.run(request).await
}

async fn index(State(node): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "node": node.id, "ordinal": node.ordinal }))
}

async fn health(State(node): State<Arc<Shared>>) -> Response {
    let (status, delay) = node.health();
    tokio::time::sleep(delay).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, Json(json!({ "node": node.id, "status": status.as_u16() }))).into_response()
}

#[derive(Deserialize)]
struct NewHealth {
    status: Option<u16>,
    delay_ms: Option<u64>,
}

async fn set_health(State(node): State<Arc<Shared>>, Query(new): Query<NewHealth>) -> Response {
    if let Some(status) = new.status {
        if !(200..600).contains(&status) {
            return problem(StatusCode::BAD_REQUEST, &node.id, "status must lie between 200 and 599");
        }
        node.set_health(status);
    }
    if let Some(delay_ms) = new.delay_ms {
        node.set_health_delay(Duration::from_millis(delay_ms.min(SLOWEST_MS)));
    }
    let (status, delay) = node.health();
    Json(json!({ "node": node.id, "status": status, "delay_ms": u64::try_from(delay.as_millis()).unwrap_or(u64::MAX) }))
        .into_response()
}

async fn stats(State(node): State<Arc<Shared>>) -> Response {
    Json(node.stats()).into_response()
}

async fn executed(State(node): State<Arc<Shared>>) -> Json<Vec<String>> {
    Json(node.journal.executed())
}

async fn take_order(State(node): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let sent = if body.is_empty() { Ok(Map::new()) } else { serde_json::from_slice::<Map<String, Value>>(&body) };
    let mut sent = match sent {
        Ok(sent) => sent,
        Err(why) => {
            return problem(StatusCode::BAD_REQUEST, &node.id, &format!("the order is not a JSON object: {why}"));
        }
    };
    if let (false, Some(customer)) = (sent.contains_key("customer"), header_text(&headers, "x-customer-id")) {
        sent.insert("customer".into(), customer.into());
    }
    let cl_ord_id = sent.get("clOrdID").map(text);
    if let (Some(id), false) = (&cl_ord_id, headers.contains_key(X_REQUEST_UNIQUE)) {
        node.journal.note(id);
    }
    let order = node.orders.lock().unwrap_or_else(PoisonError::into_inner).take(&node.id, sent);
    let id = text(&order["id"]);
    let cl_ord_id = cl_ord_id.unwrap_or_default();
    let unique = header_text(&headers, X_REQUEST_UNIQUE).unwrap_or_else(|| cl_ord_id.clone());
    let written = node.journal.append(&cl_ord_id, &id).and_then(|()| node.ledger.add("order", &cl_ord_id, &unique));
    if let Err(why) = written {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, &node.id, &format!("the order cannot be written: {why}"));
    }
    (StatusCode::CREATED, [(header::LOCATION, format!("/orders/{id}"))], Json(Value::Object(order))).into_response()
}

async fn show_order(State(node): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match node.orders.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
        Some(order) => Json(order).into_response(),
        None => problem(StatusCode::NOT_FOUND, &node.id, &format!("no order {id} at this node")),
    }
}

#[derive(Deserialize)]
struct Wanted {
    customer: Option<String>,
}

async fn list_orders(State(node): State<Arc<Shared>>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let orders = node.orders.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = orders.newest(wanted.customer.as_deref(), 100);
    Json(json!({ "node": node.id, "taken": orders.taken(), "orders": newest }))
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default)]
    ms: u64,
}

async fn slow(State(node): State<Arc<Shared>>, Query(slow): Query<Slow>) -> Json<Value> {
    let ms = slow.ms.min(SLOWEST_MS);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Json(json!({ "node": node.id, "slept_ms": ms }))
}

#[derive(Deserialize)]
struct Fail {
    status: Option<u16>,
}

async fn fail(State(node): State<Arc<Shared>>, Query(fail): Query<Fail>) -> Response {
    let status = StatusCode::from_u16(fail.status.unwrap_or(500)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // 1xx is not an answer, so it cannot be one that was asked for.
    let status = if status.is_informational() { StatusCode::INTERNAL_SERVER_ERROR } else { status };
    problem(status, &node.id, "failed as asked")
}

async fn echo(State(node): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        headers.entry(name.to_string()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let body = match axum::body::to_bytes(body, 16 << 20).await {
        Ok(body) => body,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &node.id, &format!("the body did not arrive: {why}")),
    };
    Json(json!({
        "node": node.id,
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "body_bytes": body.len(),
        "body": String::from_utf8_lossy(&body[..body.len().min(1024)]),
    }))
    .into_response()
}

async fn bytes_of(State(node): State<Arc<Shared>>, Path(n): Path<u64>) -> Response {
    if n > MOST_BYTES {
        return problem(StatusCode::BAD_REQUEST, &node.id, "at most 1 GiB");
    }
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let whole = (0..n / PIECE as u64).map(move |_| piece.clone());
    let rest = Bytes::from(vec![b'x'; usize::try_from(n % PIECE as u64).unwrap_or(0)]);
    let pieces = whole.chain(std::iter::once(rest)).map(Ok::<_, std::convert::Infallible>);
    let body = Body::from_stream(futures::stream::iter(pieces));
    ([(header::CONTENT_LENGTH, n.to_string()), (header::CONTENT_TYPE, "application/octet-stream".into())], body)
        .into_response()
}

async fn nothing_here(State(node): State<Arc<Shared>>, request: Request) -> Response {
    problem(StatusCode::NOT_FOUND, &node.id, &format!("nothing at {}", request.uri().path()))
}

pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// An error in the shape of RFC 9457, with the node's name beside it.
pub(super) fn problem(status: StatusCode, node: &str, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "title": title, "status": status.as_u16(), "detail": detail, "node": node });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
