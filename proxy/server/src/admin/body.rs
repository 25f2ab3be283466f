//! Reads request bodies, bounded in size and time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::problem::Problem;

/// What a JSON body may hold. A join with 64 labels of full length is below 32 KiB.
pub(super) const JSON_LIMIT: usize = 64 * 1024;

/// What a policy may hold. JavaScript components are about 12 MB.
pub(super) const WASM_LIMIT: usize = 32 * 1024 * 1024;

/// How long a body may take: a client that stops half-way does not hold a connection for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the whole body.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    // What is announced as too large is not even kept up to the limit.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let kept = if announced > limit { 0 } else { limit };
    let reading = async {
        let mut chunks = body.into_data_stream();
        let mut whole = BytesMut::new();
        let mut length = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "broken-body",
                    format!("the body broke off: {error}"),
                    "send it again, whole",
                )
            })?;
            length += chunk.len();
            if length <= kept {
                whole.extend_from_slice(&chunk);
            } else if length > limit.saturating_mul(2) {
                break;
            }
            // In between it is read and dropped: closing on a client that still sends would cost it the answer.
        }
        if length <= limit {
            return Ok(whole.freeze());
        }
        Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the body is larger than {} KiB", limit / 1024),
            "send less",
        ))
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| {
        Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow-body",
            format!("the body did not arrive within {} s", PATIENCE.as_secs()),
            "send it again",
        ))
    })
}
