//! Who may ask: who has a token where there are any; without them, nobody but programs and pages on this machine.
//!
//! Without tokens the socket is a Unix socket, whose file says who may connect, or it is on loopback, so the danger left is a browser on this machine that visits a hostile
//! site. Two checks close it: the `Host` must be a name of this machine (a hostile name that resolves to 127.0.0.1, "DNS
//! rebinding", is refused), and what changes something must not come from another site's page.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pointsman_config::plan::{Admin, Token};

use super::audited::{self, Change};
use super::door::Caller;
use super::problem::Problem;
use super::{Shared, page};
use crate::world::clock;
use attempts::Try;

pub(super) mod attempts;
pub(super) mod roles;

use roles::Need;

/// Who asks, once that is known.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// The token's name; `loopback` or `unix` where there are no tokens.
    pub(super) name: String,
    /// `None`: over a Unix socket.
    pub(super) from: Option<SocketAddr>,
}

/// Somebody who is turned away.
struct Refused {
    who: Who,
    problem: Problem,
}

/// What is asked for.
struct Asked<'a> {
    need: Need,
    /// "PUT /v1/policies/{name}"
    what: String,
    service: Option<String>,
    caller: Option<SocketAddr>,
    request: &'a Request,
}

/// Runs before every handler.
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(Caller(caller)): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let matched = parts.extensions.get::<MatchedPath>().cloned();
    // As the handlers see them: decoded.
    let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let params: Vec<(&str, &str)> = params.iter().flatten().collect();
    let service = params.iter().find(|(name, _)| *name == "service").map(|(_, value)| (*value).to_owned());
    let request = Request::from_parts(parts, body);
    let matched = matched.as_ref().map(MatchedPath::as_str);
    let change = Change::of(request.method(), matched, params.iter().copied());
    let need = Need::of(request.method(), matched);
    let what = format!("{} {}", request.method(), matched.unwrap_or_else(|| request.uri().path()));
    let judged = judge(&shared, &Asked { need, what, service, caller, request: &request });
    match judged {
        Ok(who) => match change {
            Some(change) => audited::carry_out(shared, change, who, request, next).await,
            None => next.run(request).await,
        },
        Err(Refused { who, problem }) => {
            shared.parts.metrics.admin().refused(problem.reason());
            // Of those who try too often there is no end.
            if let Some(change) = change.filter(|_| problem.status() != StatusCode::TOO_MANY_REQUESTS) {
                audited::refused(&shared, &change, &who, problem.reason()).await;
            }
            // The page holds no data: shown with the 401, it asks for the token and sends it with what it fetches.
            let asks_itself = problem.status() == StatusCode::UNAUTHORIZED && page::wanted(&request);
            if asks_itself { page::sign_in(&problem) } else { problem.into_response() }
        }
    }
}

fn judge(shared: &Shared, asked: &Asked) -> Result<Who, Refused> {
    let who = |name: &str| Who { name: name.into(), from: asked.caller };
    let stranger = |problem| Refused { who: who(NOBODY), problem };
    if asked.need == Need::Nothing {
        return Ok(who(NOBODY));
    }
    let world = shared.parts.world.load();
    match &world.plan.admin {
        Some(admin) if !admin.tokens.is_empty() => {
            let token = bearer(shared, admin, asked).map_err(stranger)?;
            let granted = roles::grants(token, asked.need, &asked.what, asked.service.as_deref());
            granted.map(|()| who(&token.name)).map_err(|problem| Refused { who: who(&token.name), problem })
        }
        Some(_) if shared.local.is_local() => match shared.local.ip() {
            Some(local) => local_only(asked.request, local).map(|()| who(LOOPBACK)).map_err(stranger),
            // No browser connects there: the mode of the file says who does.
            None => Ok(who(UNIX)),
        },
        // It was opened by a configuration that is not in force any more.
        _ => Err(stranger(Problem::new(
            StatusCode::FORBIDDEN,
            "closed",
            format!("the configuration in force grants nobody anything at {}", shared.local),
            "say under `admin` in the YAML who may ask; a change of its address waits for a restart",
        ))),
    }
}

/// What those are called who asked for what needs no token, or had none.
const NOBODY: &str = "nobody";

/// What those are called who need none.
const LOOPBACK: &str = "loopback";
const UNIX: &str = "unix";

/// Whose token is offered.
fn bearer<'a>(shared: &Shared, admin: &'a Admin, asked: &Asked) -> Result<&'a Token, Problem> {
    let offered = asked.request.headers().get(header::AUTHORIZATION);
    let text = offered.and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    });
    let found = text.and_then(|text| roles::find(&admin.tokens, text));
    let attempt =
        Try { from: asked.caller.map(|caller| caller.ip()), per_minute: admin.failed_attempts, now: clock::now() };
    // Looking without a token is how a page begins.
    let counts = offered.is_some() || !is_safe(asked.request.method());
    if !shared.attempts.hears(attempt, found.map(|token| token.name.as_str()), counts) {
        return Err(too_often(admin.failed_attempts));
    }
    if let Some(token) = found {
        return Ok(token);
    }
    let detail =
        if text.is_some() { "the token is none of those that are configured" } else { "this API wants a token" };
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "no-token",
        detail,
        "send `Authorization: Bearer TOKEN`; `pointsman admin token` makes one, and its hash stands under `admin.tokens`",
    )
    .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pointsman\"")))
}

fn too_often(per_minute: u32) -> Problem {
    let wait = 60_u32.div_ceil(per_minute);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-attempts",
        "too many requests from this address had no right token",
        "correct the token of whoever asks from there, and wait; tokens that were right from there before still are",
    )
    .header(header::RETRY_AFTER, HeaderValue::from(wait))
}

fn local_only(request: &Request, local: SocketAddr) -> Result<(), Problem> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let named = request.uri().authority().map(axum::http::uri::Authority::as_str);
    if ![host, named].into_iter().flatten().all(|name| is_this_machine(name, local)) || host.or(named).is_none() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-host",
            format!("`Host: {}` is not a name of this machine", host.unwrap_or_default()),
            format!("call it as http://{local}/, or configure `admin.tokens`"),
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
