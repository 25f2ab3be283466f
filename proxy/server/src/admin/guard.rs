//! Who may ask: a bearer token where one is configured; without one, nobody but programs and pages on this machine.
//!
//! Without a token the socket is on loopback, so the danger left is a browser on this machine that visits a hostile
//! site. Two checks close it: the `Host` must be a name of this machine (a hostile name that resolves to 127.0.0.1, "DNS
//! rebinding", is refused), and what changes something must not come from another site's page.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::{Shared, page};

/// What callers must present. Only its digest is kept.
#[derive(Clone)]
pub(super) struct Token {
    digest: [u8; 32],
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// A token by its text.
    pub(super) fn new(text: &str) -> Self {
        Self { digest: Sha256::digest(text).into() }
    }

    /// Whether `offered` is the token. Digests of equal length are compared without an early exit, so time says
    /// nothing of how much was right.
    fn admits(&self, offered: &str) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered).into();
        let difference = self.digest.iter().zip(offered).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

/// Runs before every handler.
pub(super) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/livez" | "/readyz") {
        return next.run(request).await;
    }
    let allowed = match &shared.token {
        Some(token) => bearer(token, request.headers()),
        None => local_only(&request, shared.local),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        // The page holds no data: shown with the 401, it asks for the token and sends it with what it fetches.
        Err(refused) if shared.token.is_some() && page::wanted(&request) => page::sign_in(&refused),
        Err(refused) => refused.into_response(),
    }
}

fn bearer(token: &Token, headers: &HeaderMap) -> Result<(), Problem> {
    let offered = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    let detail = match offered {
        Some(offered) if token.admits(offered) => return Ok(()),
        Some(_) => "the token is not the one that is configured",
        None => "this API wants a token",
    };
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "no-token",
        detail,
        "send `Authorization: Bearer TOKEN`, with the first line of the file that `admin.token_file` names",
    )
    .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pointsman\"")))
}

fn local_only(request: &Request, local: SocketAddr) -> Result<(), Problem> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let named = request.uri().authority().map(axum::http::uri::Authority::as_str);
    if ![host, named].into_iter().flatten().all(|name| is_this_machine(name, local)) || host.or(named).is_none() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-host",
            format!("`Host: {}` is not a name of this machine", host.unwrap_or_default()),
            format!("call it as http://{local}/, or configure `admin.token_file`"),
        ));
    }
    if is_safe(request.method()) || same_site(request.headers(), host.unwrap_or_default()) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "cross-site",
        "a page of another site may not change anything here",
        format!("use the page at http://{local}/, or a client that is not a browser"),
    ))
}

/// Whether the method changes nothing (RFC 9110 §9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether `Host` is a name or an address of loopback, or the address listened on.
fn is_this_machine(host: &str, local: SocketAddr) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip == local.ip(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether a request comes from no page, or from our own. Browsers set both headers, and pages cannot forge them.
fn same_site(headers: &HeaderMap, host: &str) -> bool {
    let fetched_here = headers
        .get("sec-fetch-site")
        .is_none_or(|value| value.as_bytes() == b"same-origin" || value.as_bytes() == b"none");
    let own_origin = headers.get(header::ORIGIN).is_none_or(|value| {
        value.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).is_some_and(|from| from == host)
    });
    fetched_here && own_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_only_itself() {
        let token = Token::new("0123456789abcdef");
        assert!(token.admits("0123456789abcdef"));
        for other in ["", "0123456789abcdee", "0123456789abcdef0", "0123456789abcde", "0123456789ABCDEF"] {
            assert!(!token.admits(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(hidden)");
    }

    #[test]
    fn hosts_of_this_machine() {
        let local = "127.0.0.1:9901".parse().expect("address");
        for host in
            ["127.0.0.1:9901", "127.0.0.1", "localhost:9901", "LOCALHOST", "localhost.", "[::1]:9901", "127.9.9.9"]
        {
            assert!(is_this_machine(host, local), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9901",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]:9901",
        ] {
            assert!(!is_this_machine(host, local), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        let ask = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("value"));
            same_site(&headers, "localhost:9901")
        };
        assert!(same_site(&HeaderMap::new(), "localhost:9901"));
        assert!(ask("origin", "http://localhost:9901"));
        for origin in [
            "http://localhost:3000",
            "https://localhost:9901",
            "null",
            "http://evil.example",
            "http://localhost:9901.evil",
        ] {
            assert!(!ask("origin", origin), "{origin}");
        }
        assert!(ask("sec-fetch-site", "same-origin") && ask("sec-fetch-site", "none"));
        assert!(!ask("sec-fetch-site", "cross-site") && !ask("sec-fetch-site", "same-site"));
    }
}
