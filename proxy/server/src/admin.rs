//! The operators' API: nodes join and leave here, policies and configurations are swapped, and whoever runs the proxy
//! sees what it does. It runs on a thread of its own; nothing here is on the request path.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post, put};
use pointsman_config::plan::Address;
use socket2::SockRef;
use tokio::sync::oneshot;

use crate::audit::Audit;
use crate::listening::Listening;
use crate::metrics::Metrics;
use crate::world::WorldCell;
use crate::world::bus::Bus;
use crate::world::control::Control;
use crate::world::reload::Reload;
use crate::world::secure::AskSpeech;

mod audited;
mod body;
mod config;
mod door;
mod entrance;
mod events;
mod explain;
mod fields;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod join;
mod nodes;
mod owners;
mod page;
mod policies;
mod primary;
mod probes;
mod problem;
mod ready;
mod ring;
mod services;
#[cfg(test)]
mod tests;

use door::Caller;
pub use entrance::Entrance;
use guard::attempts::Attempts;
pub use guard::roles::{Need, hash};
pub use ready::Ready;

/// Every path, with its method, what it takes to ask for it, and what it is for: what a 404 lists, what tokens are held
/// against, and what the documentation must name.
pub const PATHS: [(&str, &str, Need, &str); 26] = [
    ("GET", "/", Need::Read, "the operator's page"),
    ("GET", "/livez", Need::Nothing, "200 while the process runs"),
    ("GET", "/readyz", Need::Nothing, "200 once every listener accepts and every service had its first checks"),
    ("GET", "/metrics", Need::Read, "figures in Prometheus' text format"),
    ("GET", "/v1/services", Need::Look, "every service with its nodes"),
    ("GET", "/v1/services/{service}", Need::Look, "one service with its nodes"),
    ("GET", "/v1/services/{service}/route?key=KEY", Need::Look, "which node a key goes to now, and why"),
    ("GET", "/v1/services/{service}/primary", Need::Look, "who is the primary, and in which epoch"),
    (
        "POST",
        "/v1/services/{service}/high-water/lower",
        Need::All,
        "lower the mark of ordinals to the nodes that are there",
    ),
    ("GET", "/v1/services/{service}/owners?node=NODE&limit=N", Need::Look, "which keys belong to a node"),
    ("GET", "/v1/services/{service}/owners/{key}", Need::Look, "which node a key belongs to"),
    ("DELETE", "/v1/services/{service}/owners/{key}", Need::Nodes, "nobody will ask for a key again"),
    ("POST", "/v1/services/{service}/owners/reassign", Need::Nodes, "give keys to another node"),
    ("GET", "/v1/services/{service}/nodes/{id}", Need::Look, "one node"),
    ("PUT", "/v1/services/{service}/nodes/{id}", Need::Nodes, "join"),
    ("DELETE", "/v1/services/{service}/nodes/{id}", Need::Nodes, "leave"),
    ("POST", "/v1/services/{service}/nodes/{id}/heartbeat", Need::Nodes, "renew the lease"),
    ("POST", "/v1/services/{service}/nodes/{id}/drain", Need::Nodes, "take nothing new"),
    ("POST", "/v1/services/{service}/nodes/{id}/undrain", Need::Nodes, "take new requests again"),
    ("GET", "/v1/policies", Need::Read, "the policies in force"),
    ("GET", "/v1/policies/{name}", Need::Read, "one policy"),
    ("PUT", "/v1/policies/{name}", Need::All, "upload a new version of a policy"),
    ("GET", "/v1/config", Need::Read, "the configuration in force"),
    ("POST", "/v1/config/reload", Need::All, "read the configuration again"),
    ("GET", "/v1/events", Need::Read, "what happens, as server-sent events"),
    ("GET", "/v1", Need::Token, "this list"),
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
    /// Whether this process accepts.
    pub entrance: Entrance,
    /// Writes down changes.
    pub audit: Audit,
    /// How connections are begun.
    pub speech: AskSpeech,
}

/// What handlers share.
struct Shared {
    parts: AdminParts,
    attempts: Attempts,
    /// Where the API listens.
    local: Address,
    events: Arc<events::EventLog>,
}

type AppState = axum::extract::State<Arc<Shared>>;

/// Serves the admin API on `socket`, which listens at `local`, until the future is dropped. Events count from the start of the
/// process.
///
/// # Errors
/// When the socket cannot be used, or when others than this machine reach it and the world in force names no tokens.
pub fn serve(socket: OwnedFd, local: Address, parts: AdminParts) -> impl Future<Output = io::Result<()>> + Send {
    let bus = parts.bus.listen_from_the_start();
    async move {
        let nobody = parts.world.load().plan.admin.as_ref().is_none_or(|admin| admin.tokens.is_empty());
        if nobody && !local.is_local() {
            return Err(io::Error::other(format!(
                "the admin API would listen on {local} for anyone; give `admin.tokens`, or listen on 127.0.0.1"
            )));
        }
        SockRef::from(&socket).set_nonblocking(true)?;
        let listener = parts.entrance.guard(Listening::new(socket, &local)?);
        let (door, opened) = door::open(listener, local.clone(), Arc::clone(&parts.speech), Arc::clone(&parts.metrics));
        let events = Arc::new(events::EventLog::default());
        let follow = Arc::clone(&events).follow(bus);
        let app = router(Arc::new(Shared { parts, attempts: Attempts::default(), local, events }))
            .into_make_service_with_connect_info::<Caller>();
        let (open, left) = oneshot::channel::<()>();
        let opened = async {
            opened.await;
            drop(open);
            // What is under way ends by itself.
            std::future::pending::<()>().await;
        };
        // An error means that the door has closed: nothing is ever sent.
        let left = async { drop(left.await) };
        tokio::select! {
            served = async { axum::serve(door, app).with_graceful_shutdown(left).await } => served,
            () = follow => Ok(()),
            () = opened => Ok(()),
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
        .route("/v1/services/{service}/primary", get(primary::show))
        .route("/v1/services/{service}/high-water/lower", post(services::lower))
        .route("/v1/services/{service}/owners", get(owners::list))
        .route("/v1/services/{service}/owners/reassign", post(owners::reassign))
        .route("/v1/services/{service}/owners/{key}", get(owners::show).delete(owners::release))
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
