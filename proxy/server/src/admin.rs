//! The operators' API: nodes join and leave here, policies and configurations are swapped, and whoever runs the proxy
//! sees what it does. It runs on a thread of its own; nothing here is on the request path.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post, put};
use axum::serve::ListenerExt;

use crate::metrics::Metrics;
use crate::world::WorldCell;
use crate::world::bus::Bus;
use crate::world::control::Control;
use crate::world::reload::Reload;

mod body;
mod config;
mod events;
mod explain;
mod fields;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod join;
mod nodes;
mod page;
mod policies;
mod probes;
mod problem;
mod ready;
mod ring;
mod services;
#[cfg(test)]
mod tests;

pub use ready::Ready;

/// Every path, with its methods and what it is for: what a 404 lists, and what the documentation must name.
pub const PATHS: [(&str, &str, &str); 21] = [
    ("GET", "/", "the operator's page"),
    ("GET", "/livez", "200 while the process runs"),
    ("GET", "/readyz", "200 once every listener accepts and every service had its first checks"),
    ("GET", "/metrics", "figures in Prometheus' text format"),
    ("GET", "/v1/services", "every service with its nodes"),
    ("GET", "/v1/services/{service}", "one service with its nodes"),
    ("GET", "/v1/services/{service}/route?key=KEY", "which node a key goes to now, and why"),
    ("POST", "/v1/services/{service}/high-water/lower", "lower the mark of ordinals to the nodes that are there"),
    ("GET", "/v1/services/{service}/nodes/{id}", "one node"),
    ("PUT", "/v1/services/{service}/nodes/{id}", "join"),
    ("DELETE", "/v1/services/{service}/nodes/{id}", "leave"),
    ("POST", "/v1/services/{service}/nodes/{id}/heartbeat", "renew the lease"),
    ("POST", "/v1/services/{service}/nodes/{id}/drain", "take nothing new"),
    ("POST", "/v1/services/{service}/nodes/{id}/undrain", "take new requests again"),
    ("GET", "/v1/policies", "the policies in force"),
    ("GET", "/v1/policies/{name}", "one policy"),
    ("PUT", "/v1/policies/{name}", "upload a new version of a policy"),
    ("GET", "/v1/config", "the configuration in force"),
    ("POST", "/v1/config/reload", "read the configuration again"),
    ("GET", "/v1/events", "what happens, as server-sent events"),
    ("GET", "/v1", "this list"),
];

/// What the admin API works with.
#[derive(Clone)]
pub struct AdminParts {
    /// Reaches the single writer of memberships.
    pub control: Control,
    /// Reaches the reload task.
    pub reload: Reload,
    /// The configuration in force.
    pub world: WorldCell,
    /// What happens.
    pub bus: Bus,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Whether the proxy is ready for traffic.
    pub ready: Ready,
    /// What callers must present; `None` only on a loopback address. Only its digest is kept.
    pub token: Option<String>,
}

/// What handlers share.
struct Shared {
    parts: AdminParts,
    token: Option<guard::Token>,
    /// Where the API listens.
    local: SocketAddr,
    events: Arc<events::EventLog>,
}

type AppState = axum::extract::State<Arc<Shared>>;

/// Serves the admin API on `listener` until the future is dropped. Events count from the call on, not from the first
/// poll.
///
/// # Errors
/// When the socket cannot be used, or when it is not on loopback and there is no token.
pub fn serve(listener: std::net::TcpListener, mut parts: AdminParts) -> impl Future<Output = io::Result<()>> + Send {
    let bus = parts.bus.listen();
    let token = parts.token.take().map(|text| guard::Token::new(&text));
    async move {
        let local = listener.local_addr()?;
        if token.is_none() && !local.ip().is_loopback() {
            return Err(io::Error::other(format!(
                "the admin API would listen on {local} for anyone; give `admin.token_file`, or listen on 127.0.0.1"
            )));
        }
        listener.set_nonblocking(true)?;
        // Answers are small: waiting to fill a segment would only delay them. A socket that refuses still works.
        let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let events = Arc::new(events::EventLog::default());
        let follow = Arc::clone(&events).follow(bus);
        let app = router(Arc::new(Shared { parts, token, local, events }));
        tokio::select! {
            served = async { axum::serve(listener, app).await } => served,
            () = follow => Ok(()),
        }
    }
}

/// The paths of [`PATHS`] and what answers them.
fn router(shared: Arc<Shared>) -> Router {
    let node = get(nodes::show).put(nodes::join).delete(nodes::leave);
    Router::new()
        .route("/", get(page::show))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .route("/v1", get(probes::paths))
        .route("/v1/services", get(services::list))
        .route("/v1/services/{service}", get(services::show))
        .route("/v1/services/{service}/route", get(explain::route))
        .route("/v1/services/{service}/high-water/lower", post(services::lower))
        .route("/v1/services/{service}/nodes/{id}", node)
        .route("/v1/services/{service}/nodes/{id}/heartbeat", post(nodes::heartbeat))
        .route("/v1/services/{service}/nodes/{id}/drain", post(nodes::drain))
        .route("/v1/services/{service}/nodes/{id}/undrain", post(nodes::undrain))
        .route("/v1/policies", get(policies::list))
        .route("/v1/policies/{name}", put(policies::upload).get(policies::show))
        .route("/v1/config", get(config::show))
        .route("/v1/config/reload", post(config::reload))
        .route("/v1/events", get(events::stream))
        .fallback(problem::no_path)
        .method_not_allowed_fallback(problem::no_method)
        // Each handler bounds its own body (admin/body.rs).
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::check))
        .with_state(shared)
}
