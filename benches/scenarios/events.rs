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
    #[serde(default)]
    pub(crate) service: String,
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
    Ok(text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect())
}
