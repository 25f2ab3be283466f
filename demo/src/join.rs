//! How a node keeps itself in the registry: join, renew at a third of the lease, join again when the registry no longer
//! knows it, leave. The decisions are a pure state machine ([`Standing`]); the rest sends what it decides.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::client::{Answer, Request};
use crate::span;

/// A node that drains waits so long for its last requests, and asks so often whether they are done.
const LAST_REQUESTS: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_millis(10);

/// Where and how to join.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Address of the proxy's admin API.
    pub admin: SocketAddr,
    /// Services to join.
    pub services: Vec<String>,
    /// Life of the lease without renewal.
    pub ttl: Duration,
    /// Bearer token, where the API wants one.
    pub token: Option<String>,
    /// Whether it asks for no more requests and finishes what it holds before it leaves.
    pub drain: bool,
}

/// What a node says of itself when it joins.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// Its id; part of the path, not of the body.
    #[serde(skip)]
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its number, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u64>,
    /// Relative capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Failure domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// What came of a call to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Accepted,
    /// 404: the lease lapsed, or the registry never knew the node.
    Gone,
    /// Any other status.
    Denied,
    /// No answer.
    Unreachable,
}

/// Where a node stands with one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    ttl: Duration,
    joined: bool,
    failures: u32,
}

impl Standing {
    /// A node that has not joined yet.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, joined: false, failures: 0 }
    }

    /// Whether the registry knows the node, as far as the node can tell.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// Takes note of an outcome and answers how long to wait before the next call: a heartbeat if joined, else a join.
    pub fn saw(&mut self, outcome: Outcome) -> Duration {
        let renewal = self.ttl / 3;
        match outcome {
            Outcome::Accepted => {
                (self.joined, self.failures) = (true, 0);
                renewal
            }
            Outcome::Gone if self.joined => {
                self.joined = false;
                Duration::ZERO
            }
            Outcome::Gone | Outcome::Denied | Outcome::Unreachable => {
                self.failures = self.failures.saturating_add(1);
                self.backoff().min(if self.joined { renewal } else { Duration::MAX })
            }
        }
    }

    /// 50 ms doubled each time, 1 s at most: a proxy that restarts is found again within a second, and a hundred nodes
    /// that wait for one send it a hundred requests a second.
    fn backoff(&self) -> Duration {
        Duration::from_millis(50 << self.failures.saturating_sub(1).min(5)).min(Duration::from_secs(1))
    }
}

/// Keeps `node` in `service` for as long as it is polled; adds one to `joined` each time a join is accepted.
pub async fn keep(options: &JoinOptions, service: &str, node: &Description, joined: &watch::Sender<u64>) {
    let mut standing = Standing::new(options.ttl);
    let mut told = String::new();
    loop {
        let (request, verb) = if standing.joined() {
            (Request::post(&format!("{}/heartbeat", path(service, &node.id)), &serde_json::json!({})), "renew")
        } else {
            (Request::new("PUT", &path(service, &node.id)).json(&join_body(options, node)), "join")
        };
        // An answer later than a third of the lease is worth as little as none.
        let request = with_token(request, options).patience((options.ttl / 3).max(Duration::from_millis(300)));
        let answer = request.send(options.admin).await;
        let (outcome, news) = judge(answer);
        let was_joined = standing.joined();
        let wait = standing.saw(outcome);
        if standing.joined() && !was_joined {
            joined.send_modify(|count| *count += 1);
        }
        let news = format!("{}: {verb} {service}: {news}", node.id);
        if news != told && (outcome != Outcome::Accepted || verb == "join") {
            eprintln!("{news}");
        }
        told = if outcome == Outcome::Accepted { String::new() } else { news };
        tokio::time::sleep(wait).await;
    }
}

/// Leaves every service; what cannot be reached within a second is left to the lease.
pub async fn leave(options: &JoinOptions, node: &Description) {
    let farewells = options.services.iter().map(|service| async move {
        if options.drain {
            let _ = tokio::time::timeout(LAST_REQUESTS, drain(options, service, &node.id)).await;
        }
        let request = with_token(Request::new("DELETE", &path(service, &node.id)), options);
        let _ = request.patience(Duration::from_secs(1)).send(options.admin).await;
    });
    futures::future::join_all(farewells).await;
}

/// Asks for no more requests, and waits until the proxy has none under way.
async fn drain(options: &JoinOptions, service: &str, id: &str) {
    let node = path(service, id);
    let ask = |request: Request| async { with_token(request, options).send(options.admin).await };
    let drained = ask(Request::new("POST", &format!("{node}/drain"))).await;
    if !drained.is_ok_and(|answer| answer.status < 300) {
        return;
    }
    loop {
        match ask(Request::get(&node)).await.and_then(|answer| answer.json()) {
            Ok(report) if report["in_flight"].as_u64().is_some_and(|requests| requests > 0) => {}
            _ => return,
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

fn path(service: &str, id: &str) -> String {
    format!("/v1/services/{service}/nodes/{id}")
}

fn with_token(request: Request, options: &JoinOptions) -> Request {
    match &options.token {
        Some(token) => request.header("authorization", &format!("Bearer {token}")),
        None => request,
    }
}

fn join_body(options: &JoinOptions, node: &Description) -> serde_json::Value {
    let mut body = serde_json::to_value(node).unwrap_or_default();
    body["ttl"] = span::millis(options.ttl).into();
    body
}

fn judge(answer: std::io::Result<Answer>) -> (Outcome, String) {
    match answer {
        Ok(answer) if answer.status < 300 => (Outcome::Accepted, "accepted".into()),
        Ok(answer) => {
            let outcome = if answer.status == 404 { Outcome::Gone } else { Outcome::Denied };
            (outcome, format!("{} {}", answer.status, answer.text().trim()))
        }
        Err(problem) => (Outcome::Unreachable, problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_millis(900);

    #[test]
    fn a_lease_is_renewed_at_a_third_of_its_life() {
        let mut standing = Standing::new(TTL);
        assert_eq!(standing.saw(Outcome::Accepted), TTL / 3);
        assert!(standing.joined());
        assert_eq!(standing.saw(Outcome::Accepted), TTL / 3);
    }

    #[test]
    fn a_lapsed_lease_means_joining_again_at_once() {
        let mut standing = Standing::new(TTL);
        standing.saw(Outcome::Accepted);
        assert_eq!(standing.saw(Outcome::Gone), Duration::ZERO);
        assert!(!standing.joined());
    }

    #[test]
    fn a_join_that_is_not_accepted_backs_off_up_to_a_second() {
        let mut standing = Standing::new(TTL);
        let outcomes =
            [Outcome::Gone, Outcome::Denied, Outcome::Unreachable, Outcome::Denied, Outcome::Gone, Outcome::Gone];
        let waits = outcomes.map(|outcome| standing.saw(outcome).as_millis());
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000]);
    }

    #[test]
    fn a_silent_registry_does_not_make_a_joined_node_wait_past_its_renewal() {
        let mut standing = Standing::new(TTL);
        standing.saw(Outcome::Accepted);
        for _ in 0..10 {
            assert!(standing.saw(Outcome::Unreachable) <= TTL / 3);
            assert!(standing.joined(), "silence is not a lapsed lease");
        }
    }
}
