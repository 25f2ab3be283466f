//! The operator's page: one document with its style and script inside, so that it needs nothing else from anywhere.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const PAGE: &str = include_str!("../../../ui/index.html");
const STYLE: &str = include_str!("../../../ui/page.css");
/// In the order in which they build on each other.
const SCRIPT: &str = concat!(
    include_str!("../../../ui/net.js"),
    include_str!("../../../ui/figures.js"),
    include_str!("../../../ui/view.js"),
    include_str!("../../../ui/page.js"),
);

/// `GET /`
pub(super) async fn show() -> Response {
    document(StatusCode::OK)
}

/// Whether a browser asks for the page.
pub(super) fn wanted(request: &Request) -> bool {
    request.uri().path() == "/" && matches!(*request.method(), Method::GET | Method::HEAD)
}

/// The page beside a 401: it holds no data, asks for the token, and sends it with what it fetches.
pub(super) fn sign_in(refused: &Problem) -> Response {
    let mut response = document(refused.status());
    response.headers_mut().extend(refused.headers());
    response
}

/// The page under a policy that lets it run nothing but its own script and reach nothing but this server.
fn document(status: StatusCode) -> Response {
    // A fresh number a response: what is injected into the page cannot know it, so it never runs.
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = PAGE
        .replace("<!-- style -->", &format!("<style nonce=\"{nonce}\">\n{STYLE}</style>"))
        .replace("<!-- script -->", &format!("<script nonce=\"{nonce}\">\n{SCRIPT}</script>"));
    let mut response = (status, page).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
