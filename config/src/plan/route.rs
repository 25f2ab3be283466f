//! Routes: which requests are taken, where they go, and what is changed on the way.

use serde::Serialize;

use super::{Broadcast, Mark};

/// A service's share of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Its name.
    pub service: String,
    /// Relative to the others of the route; the sum is at least 1.
    pub weight: u32,
}

/// An answer that sends the client elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308 (RFC 9110 §15.4).
    pub status: u16,
    /// The location, with `{scheme}`, `{host}`, `{path}`, `{rest}` and `{query}`.
    pub to: String,
    /// Bytes of a path that the match names; `{rest}` is what follows.
    pub prefix: usize,
}

/// Another path than the client asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Rewrite {
    /// The first so many bytes, which the match names, become this (no slash at its end).
    Prefix {
        /// How many.
        length: usize,
        /// What stands there instead.
        with: String,
    },
    /// All of it.
    Path(String),
}

/// What is changed in header fields: names in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Edits {
    /// Fields that stand there once, with this value.
    pub set: Vec<(String, String)>,
    /// Fields that are added to what there is.
    pub add: Vec<(String, String)>,
    /// Fields that are left out.
    pub remove: Vec<String>,
}

impl Edits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// The host that nodes are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub enum Host {
    /// As the client asked.
    #[default]
    Keep,
    /// The node's address.
    Node,
    /// This one, with its port if it has one.
    Name(String),
}

/// Copies of requests whose answers nobody sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mirror {
    /// The service that gets them.
    pub service: String,
    /// How many of the requests are copied, from 0 to 1.
    pub share: f64,
    /// Copies under way at once.
    pub concurrency: u32,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Route {
    /// What a request must look like.
    pub matches: Match,
    /// Services that share its requests; empty where they are redirected.
    pub services: Vec<Share>,
    /// Where clients are sent instead.
    pub redirect: Option<Redirect>,
    /// The path that nodes are asked for, if not the client's.
    pub rewrite: Option<Rewrite>,
    /// The host that nodes are asked for.
    pub host: Host,
    /// Who gets copies of its requests.
    pub mirror: Option<Mirror>,
    /// Where its requests go to every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<Broadcast>,
    /// What is changed in the fields that nodes get.
    pub request_headers: Edits,
    /// What is changed in the fields of nodes' answers.
    pub response_headers: Edits,
    /// Where the entry stands.
    pub mark: Mark,
}

impl Route {
    /// Whether a broadcast of this route waits for requests of the service.
    pub fn waits_for(&self, service: &str) -> bool {
        let waits = self.broadcast.as_ref().is_some_and(|broadcast| broadcast.barrier.is_some());
        waits && self.services.iter().any(|share| share.service == service)
    }
}

/// What a request must look like. All given parts must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Match {
    /// Host without port, lower case; `*.example.com` matches one or more labels.
    pub host: Option<String>,
    /// Prefix on whole segments, or exact path.
    pub path: Option<PathMatch>,
    /// Methods; empty means any.
    pub methods: Vec<String>,
    /// Headers (lower-case name, exact value) that must be present.
    pub headers: Vec<(String, String)>,
}

/// How a path is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum PathMatch {
    /// `/orders/` matches `/orders`, `/orders/` and `/orders/7`, not `/ordersx`.
    Prefix(String),
    /// The whole path.
    Exact(String),
}
