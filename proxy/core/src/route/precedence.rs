//! Which of two routes that both match is the better one.

use pointsman_config::plan::{Match, PathMatch};

/// How specific a match is. Compared field by field, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    /// Of the host.
    pub host: HostRank,
    /// Of the path.
    pub path: PathRank,
    /// Whether methods are named.
    pub method: bool,
    /// How many headers must hold.
    pub headers: usize,
}

/// How specific a host is: exact before wildcard (longer suffix first) before any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    /// Not given.
    Any,
    /// `*.` and a suffix so many bytes long.
    Wildcard(usize),
    /// The whole name.
    Exact,
}

/// How specific a path is: exact before prefix (longer first) before any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    /// Not given.
    Any,
    /// A prefix so many bytes long, not counting a slash at its end.
    Prefix(usize),
    /// The whole path.
    Exact,
}

impl Precedence {
    /// How specific `matches` is.
    pub fn of(matches: &Match) -> Self {
        let host = match matches.host.as_deref() {
            None => HostRank::Any,
            Some(host) => host.strip_prefix("*.").map_or(HostRank::Exact, |suffix| HostRank::Wildcard(suffix.len())),
        };
        let path = match &matches.path {
            None => PathRank::Any,
            Some(PathMatch::Prefix(prefix)) => PathRank::Prefix(without_slash(prefix).len()),
            Some(PathMatch::Exact(_)) => PathRank::Exact,
        };
        Self { host, path, method: !matches.methods.is_empty(), headers: matches.headers.len() }
    }
}

/// `/orders/` and `/orders` are the same prefix, since prefixes end on whole segments.
pub(super) fn without_slash(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}
