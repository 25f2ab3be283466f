//! The checked configuration: what is true, as against what was written (`raw`).
//!
//! A [`Plan`] cannot be wrong: every name it mentions exists, every address parsed, every duration is within bounds.
//! It serialises for people and tests to read (durations as text such as `800ms`); it is not read back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::units::{serialize_duration, serialize_optional_duration};

mod address;
mod admin;
mod broadcast;
mod client;
mod drain;
mod health;
mod key;
mod network;
mod owners;
mod policy;
mod primary;
mod route;
mod run_as;
mod sticky;
mod tls;
mod told;

pub use address::{Address, Authority, LONGEST_PATH, NoAddress};
pub use admin::{Admin, Audit, OnAuditError, Role, Token, TokenHash};
pub use broadcast::{Broadcast, Gather, Recipients, Sender};
pub use client::{ClientLimits, Http2Limits};
pub use drain::Drain;
pub use health::{HealthCheck, Probe};
pub use key::{
    BodyPlace, DEFAULT_BODY_LIMIT, KeyPart, KeyRule, KeySource, KeyStep, NoKey, Otherwise, PathTemplate, Place,
    Repeated, Segment, XmlPath,
};
pub use network::{Network, NoNetwork};
pub use owners::{BoundTo, ClaimMode, Learn, OnGone, OnUnknown, Owners};
pub use policy::{PolicyUse, Setting};
pub use primary::Primary;
pub use route::{Edits, Host, Match, Mirror, PathMatch, Redirect, Rewrite, Route, Share};
pub use run_as::RunAs;
pub use sticky::{Secrets, StickyCookie};
pub use tls::{Authorities, Certificate, NodeTls, Protocol, Tls, TlsVersion};
pub use told::{ForwardedHeaders, Told};

/// A whole checked configuration file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The file it was read from, as given by the operator.
    pub file: PathBuf,
    /// Where the proxy accepts requests.
    pub listeners: Vec<Listener>,
    /// The operators' API; absent means none is opened.
    pub admin: Option<Admin>,
    /// Proxies that stand before this one and whose word for a client's address counts.
    pub trusted_proxies: Vec<Network>,
    /// What nodes are told of who asks.
    pub forwarded_headers: ForwardedHeaders,
    /// Where those proxies say so.
    pub trusted_header: TrustedHeader,
    /// Where the access log goes.
    pub access_log: AccessLog,
    /// Where nodes join.
    pub registry: Registry,
    /// Policies that the operator brings, by name. Built-in ones need no entry.
    pub policies: BTreeMap<String, PolicySource>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
    /// Routes in the order written; precedence is decided by the router, not by this order alone.
    pub routes: Vec<Route>,
    /// The share of the memory that it may take from which on the proxy turns new clients away; `None`: never.
    #[serde(skip_serializing_if = "is_default_share")]
    pub shed_at_memory: Option<f64>,
    /// Whom to become where the proxy is started as root; `None`: nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
}

/// Where new clients are turned away unless something else is said: what is left suffices for those inside.
pub const SHED_AT_MEMORY: f64 = 0.95;

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn is_default_share(share: &Option<f64>) -> bool {
    *share == Some(SHED_AT_MEMORY)
}

/// Where trusted proxies say who their client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum TrustedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Plan {
    /// How TLS is spoken at each address that speaks it: those of listeners, and the operators'.
    pub fn served_over_tls(&self) -> impl Iterator<Item = &Tls> {
        let listeners = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        listeners.chain(self.admin.iter().filter_map(|admin| admin.tls.as_ref()))
    }

    /// Every file with the hash of a token, or with the secrets of a cookie.
    pub fn secret_files(&self) -> impl Iterator<Item = &std::path::Path> {
        let hashes = self.admin.iter().flat_map(|admin| &admin.tokens).filter_map(|token| token.hash_file.as_deref());
        let cookies = self.services.values().filter_map(|service| service.sticky_cookie.as_ref());
        hashes.chain(cookies.filter_map(|cookie| cookie.secret_file.as_deref()))
    }
}

/// A position in the YAML file, both 1-based. Line 0: unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Mark {
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
}

/// A socket on which requests are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Address; port 0 asks the system for one.
    pub address: Address,
    /// Who may connect, where it is a Unix socket: the bits of chmod(2), as said.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "address::serialize_mode")]
    pub mode: Option<u32>,
    /// How TLS is spoken; `None`: in clear.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken: offered over TLS, known from its first bytes in clear.
    pub http2: bool,
    /// Whether the express lane may carry HTTP/1.1 here.
    pub lane: bool,
    /// Whether a trusted proxy says first whose connection it passes on (PROXY protocol).
    pub proxy_protocol: bool,
    /// What its clients are granted.
    pub limits: ClientLimits,
    /// Where the address stands.
    pub mark: Mark,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, rotated when it reaches `max_bytes`, `keep` old ones kept.
    File {
        /// Path of the live file.
        path: PathBuf,
        /// Size at which it is rotated.
        max_bytes: u64,
        /// How many rotated files are kept.
        keep: u32,
    },
}

/// Where nodes join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Registry {
    /// A store inside the proxy, on disk.
    Embedded {
        /// Folder of the log and checkpoints.
        path: PathBuf,
    },
}

/// A policy that the operator brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicySource {
    /// The component's file.
    pub wasm: PathBuf,
    /// Time that one call may take; the watchdog behind the fuel.
    #[serde(serialize_with = "serialize_duration")]
    pub budget: Duration,
    /// Linear memory that one instance may hold, in bytes.
    pub memory: u64,
    /// Where the entry stands.
    pub mark: Mark,
}

/// A named group of nodes that answer the same requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The policy that picks among its nodes.
    pub policy: PolicyUse,
    /// How the routing key is pulled out of a request, if one is.
    pub key: Option<KeyRule>,
    /// Places in the bodies of requests that its rules name by their index here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// How owners of keys are kept; `None`: none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owners: Option<Owners>,
    /// How a primary is elected; `None`: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<Primary>,
    /// How clients are brought back to their nodes; `None`: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_cookie: Option<StickyCookie>,
    /// Nodes that stand in the file; joined ones come beside these.
    pub nodes: Vec<StaticNode>,
    /// How its nodes are spoken to over TLS; `None`: in clear.
    pub tls: Option<NodeTls>,
    /// What its nodes speak.
    pub protocol: Protocol,
    /// Active health check, if any.
    pub health: Option<HealthCheck>,
    /// What is tried again, and how often.
    pub retry: Retry,
    /// When a node is taken out because requests to it fail; `None`: never.
    pub eject: Option<Eject>,
    /// Per-node permits.
    pub limits: Limits,
    /// How many requests a key may make; `None`: no bound.
    pub rate: Option<Rate>,
    /// Upstream timeouts.
    pub timeouts: Timeouts,
    /// How tunnels leave a node that drains.
    pub drain: Drain,
    /// What happens when no node is up.
    pub all_down: AllDown,
    /// Ramp of a node that comes up; `None` is off.
    pub slow_start: Option<SlowStart>,
    /// Where the entry stands.
    pub mark: Mark,
}

/// What is done with a request whose policy failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnFault {
    /// 503: a wrong node would be worse.
    Refuse,
    /// Any eligible node, in turn.
    RoundRobin,
}

/// A node that stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticNode {
    /// Unique in its service.
    pub id: String,
    /// Number, unique in its service, from 1.
    pub ordinal: Option<u64>,
    /// Where it listens.
    pub address: Address,
    /// Relative capacity, 1 to 65535; 0 is refused (drain the node instead).
    pub weight: u32,
    /// Failure domain; empty when not given.
    pub zone: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

/// What is tried again, and how often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retry {
    /// Attempts in all, 1 to 10.
    pub attempts: u32,
    /// Failure classes that are tried again, where that is safe.
    pub on: Vec<RetryOn>,
    /// Retries as a share of the requests of the last 10 s (plus 10 a second); `None`: no bound.
    pub budget: Option<f64>,
    /// How long an attempt may take where another may follow; `None`: as long as `timeouts` say.
    #[serde(serialize_with = "serialize_optional_duration")]
    pub timeout: Option<Duration>,
}

/// A failure class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RetryOn {
    /// No connection: nothing was sent.
    Connect,
    /// The connection ended before a response byte, or what came was no response.
    Reset,
    /// No response head in time.
    Timeout,
    /// This status.
    Status(u16),
}

/// When a node is taken out because requests to it fail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eject {
    /// Failures in a row.
    pub failures: u32,
    /// Share of the requests that it finished within the window that failed.
    pub share: f64,
    /// Requests within the window below which the share says nothing.
    pub requests: u32,
    /// Length of the window.
    #[serde(serialize_with = "serialize_duration")]
    pub window: Duration,
    /// How long it is out the first time; each time soon after doubles it.
    #[serde(serialize_with = "serialize_duration")]
    pub time: Duration,
    /// How long at most.
    #[serde(serialize_with = "serialize_duration")]
    pub max_time: Duration,
    /// Share of all nodes that may be out at once; one may be, where there are two.
    pub max_share: f64,
    /// What counts as a failure.
    pub on: Vec<RetryOn>,
}

/// Per-node permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Requests that may be under way at one node; `None`: no bound.
    pub connections_per_node: Option<u32>,
    /// Requests that may wait for a permit.
    pub queue: u32,
    /// How long they may wait.
    #[serde(serialize_with = "serialize_duration")]
    pub queue_timeout: Duration,
}

/// How many requests a key may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// What is counted by; a request without it counts as its client's.
    pub key: KeyRule,
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// Upstream timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// For a TCP connection to be made.
    #[serde(serialize_with = "serialize_duration")]
    pub connect: Duration,
    /// From the request sent to the response head.
    #[serde(serialize_with = "serialize_duration")]
    pub response: Duration,
    /// Between two reads of a response body, and of a pooled connection's life while unused.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
}

/// Ramp of a node that comes up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SlowStart {
    /// How long until it has its full share.
    #[serde(serialize_with = "serialize_duration")]
    pub window: Duration,
    /// The share that it begins with.
    pub floor: f64,
}

/// What happens when no node is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AllDown {
    /// 503 at once.
    Fail,
    /// Reads try nodes although their checks fail; what may change something gets 503.
    TryAny,
    /// Whatever the method, try nodes although their checks fail.
    TryAnyWrites,
}
