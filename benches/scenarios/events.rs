//! The proxy's own account of what happened.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_demo::client::Connection;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One event of `/v1/events`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) at_ms: u64,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) service: String,
    #[serde(default)]
    pub(crate) node: String,
}

impl Event {
    /// Whether a policy sees other nodes from then on.
    pub(crate) fn changes_members(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "node-joined"
                | "node-left"
                | "node-up"
                | "node-down"
                | "node-ejected"
                | "node-readmitted"
                | "node-draining"
                | "node-undrained"
                | "lease-lost"
        )
    }
}

/// A stream of events has no end: what is kept is sent at once, and then nothing for a while.
const QUIET: Duration = Duration::from_millis(300);

/// All that are kept.
pub(crate) async fn all(admin: SocketAddr) -> Result<Vec<Event>, String> {
    let problem = |problem: std::io::Error| format!("/v1/events: {problem}");
    let mut connection = Connection::open(admin).await.map_err(problem)?;
    let stream = connection.stream();
    let head = format!("GET /v1/events?since=0 HTTP/1.1\r\nhost: {admin}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(problem)?;
    let mut text = Vec::new();
    while let Ok(read) = tokio::time::timeout(QUIET, stream.read_buf(&mut text)).await {
        if read.map_err(problem)? == 0 {
            break;
        }
    }
    // Chunk sizes stand on lines of their own, between events.
    let text = String::from_utf8_lossy(&text);
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("/v1/events: {}", text.lines().next().unwrap_or("no answer")));
    }
    // One that is cut in two by the end of a chunk would be missed in silence, and so would a gap.
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = events.map(|event| serde_json::from_str(event).map_err(|why| format!("/v1/events: `{event}`: {why}")));
    events.collect()
}
