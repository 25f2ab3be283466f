//! Errors of the admin API as problem+json (RFC 9457): what went wrong, and what to do next.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::PATHS;
use crate::world::control::Denied;

/// Rides beside the response for who writes down what became of a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reason(pub(super) &'static str);

/// An error on its way to an operator.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: String,
    next: String,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// `reason` names the kind for programs, `detail` says what went wrong, `next` what to do about it.
    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        detail: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        let (detail, next) = (detail.into(), next.into());
        Self { status, reason, detail, next, extra: Map::new(), headers: Vec::new() }
    }

    /// Adds a member to the body.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.into(), value);
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The proxy is on its way out: 503.
    pub(super) fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the proxy is stopping",
            "try again once the proxy is back",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// No service of that name: 404.
    pub(super) fn no_service(name: &str, known: &[String]) -> Self {
        Denied::NoService(name.into()).into_problem().with("services", json!(known))
    }

    /// No node of that id: 404.
    pub(super) fn no_node(service: &str, id: &str) -> Self {
        Denied::NoNode { service: service.into(), id: id.into() }.into_problem()
    }

    /// Its kind.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its own headers, besides those of every problem.
    pub(super) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers.clone()
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:pointsman:problem:{}", self.reason),
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "reason": self.reason,
            "detail": self.detail,
            "next": self.next,
        });
        if let Value::Object(map) = &mut body {
            map.extend(self.extra.clone());
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut text = self.body().to_string();
        text.push('\n');
        let head = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut response = (self.status, head, text).into_response();
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(Reason(self.reason));
        response
    }
}

/// How an order that was denied reads over HTTP.
pub(super) trait IntoProblem {
    fn into_problem(self) -> Problem;
}

impl IntoProblem for Denied {
    fn into_problem(self) -> Problem {
        let detail = self.to_string();
        match self {
            Self::NoService(_) => Problem::new(
                StatusCode::NOT_FOUND,
                "no-service",
                detail,
                "GET /v1/services lists the services; a new one is added in the YAML under `services:`",
            ),
            Self::NoNode { service, id } => Problem::new(
                StatusCode::NOT_FOUND,
                "no-node",
                detail,
                format!(
                    "PUT /v1/services/{service}/nodes/{id} with at least {{\"address\": \"IP:PORT\"}} joins it again"
                ),
            ),
            Self::OrdinalTaken { by, .. } => Problem::new(
                StatusCode::CONFLICT,
                "ordinal-taken",
                detail,
                format!("join with another ordinal, or remove node `{by}` first"),
            ),
            Self::Static { .. } => Problem::new(
                StatusCode::CONFLICT,
                "static-node",
                detail,
                "edit the node's entry in the YAML, or POST …/drain to keep new requests away from it",
            ),
            Self::Invalid(_) => {
                Problem::new(StatusCode::BAD_REQUEST, "invalid", detail, "correct the request and send it again")
            }
            Self::Storage(_) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage",
                detail,
                "nothing was changed; make room on the disk of the registry's `path`, or repair it, then send it again",
            )
            .header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Self::HandedOver => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "handed-over",
                detail,
                "send it again: the new process answers at the same address, on a new connection",
            )
            .header(header::RETRY_AFTER, HeaderValue::from_static("0"))
            .header(header::CONNECTION, HeaderValue::from_static("close")),
            Self::Stopped => Problem::stopping(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        denied.into_problem()
    }
}

/// Answers a path that is not there: 404 with a list of those that are.
pub(super) async fn no_path(uri: Uri) -> Problem {
    let paths: Vec<String> = PATHS.iter().map(|(method, path, _, what)| format!("{method} {path}: {what}")).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-path",
        format!("there is nothing at {}", uri.path()),
        "use one of the paths listed under `paths`",
    )
    .with("paths", json!(paths))
}

/// Answers a method that its path does not take: 405. The router adds `Allow`.
pub(super) async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no-method",
        format!("{} does not take {method}", uri.path()),
        "use a method that the `Allow` header names; GET /v1 lists every path",
    )
}
