//! Waiting for what another process does.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Half a minute: a debug build on two busy cores compiles its policies in a few seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer; `None` once [`PATIENCE`] has run out. What is waited for happens in another process, so
/// asking every 5 ms is the only event there is.
pub async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
