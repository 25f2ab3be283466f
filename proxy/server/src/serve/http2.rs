//! Carries connections of HTTP/2, each within its bounds, and says how nodes are asked to speak it.
//!
//! The library's own bounds are those of a browser: 16 MiB of headers, as many streams as come. pingora's loop knows one
//! set of bounds a process, no end to the wait for a preface, and no word on why a connection ended; so the loop is ours,
//! and pingora carries what comes out of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora_core::protocols::{Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Ssl, Stream};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::HttpProxy;
use pointsman_config::plan::ClientLimits;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::frames::Cause;
use super::gateway::Gateway;
use super::guard::Ledger;
use super::stream::ClientStream;

/// Requests under way on one connection to a node.
const STREAMS: usize = 100;
/// Bytes of one body, and of all bodies of a connection, that a client may send before somebody has taken them.
const WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of one answer that are held for a client that does not read.
const HELD: usize = 64 << 10;
/// Streams of a connection that the library resets, over its life, because a rule was broken. [`super::frames`] counts them
/// within a while; this bounds what a client causes that does not read what it is told.
const ERRORS: usize = 900;
/// Requests that pingora refuses for what they are, before anybody hears of them, over a connection's life.
const MALFORMED: u32 = 32;
/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);

fn bounds(limits: &ClientLimits) -> H2Options {
    let mut bounds = H2Options::default();
    bounds
        .max_concurrent_streams(limits.http2.streams)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_local_error_reset_streams(Some(ERRORS))
        .max_send_buffer_size(HELD);
    bounds
}

/// What drives a connection.
type Connection = h2::server::Connection<Stream, Bytes>;

/// Carries a connection to its end. The answer is why it was closed before its client wanted that. `malformed` is told of each
/// request that is refused for its head before anybody hears of it.
pub(super) async fn carry(
    proxy: &Arc<HttpProxy<Gateway>>,
    stream: ClientStream,
    limits: &ClientLimits,
    mut stopping: watch::Receiver<bool>,
    malformed: impl Fn(),
) -> Option<Cause> {
    let ledger = Arc::clone(stream.ledger());
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let greeted = tokio::time::timeout(limits.head_timeout, server::handshake(Box::new(stream), Some(bounds(limits))));
    let mut connection = match greeted.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return ledger.ended(),
        Err(_) => return Some(Cause::Preface),
    };
    let held = (&mut connection, &digest, &*ledger);
    let cause = serve(proxy, held, limits.keep_alive, &mut stopping, malformed).await;
    if let Some(cause) = cause {
        let reason = if cause == Cause::Idle { Reason::NO_ERROR } else { Reason::ENHANCE_YOUR_CALM };
        // An error of its own it has told already.
        connection.abrupt_shutdown(reason);
        let _ = tokio::time::timeout(FAREWELL, poll_fn(|task| connection.poll_closed(task))).await;
    }
    cause.or(ledger.ended())
}

/// Until the connection ends by itself (`None`), or is to be ended.
async fn serve(
    proxy: &Arc<HttpProxy<Gateway>>,
    (connection, digest, ledger): (&mut Connection, &Arc<Digest>, &Ledger),
    keep_alive: Duration,
    stopping: &mut watch::Receiver<bool>,
    tell_malformed: impl Fn(),
) -> Option<Cause> {
    let mut under_way = JoinSet::new();
    let mut malformed = 0;
    let mut finishing = false;
    let cause = loop {
        let accepted = tokio::select! {
            biased;
            changed = stopping.changed(), if !finishing => {
                // An error means that the worker is gone, and everything with it.
                let _ = changed;
                connection.graceful_shutdown();
                finishing = true;
                continue;
            }
            // What ends it is seen while it is read and written below, which wakes this task.
            cause = poll_fn(|_| ledger.ended().map_or(Poll::Pending, Poll::Ready)) => break Some(cause),
            accepted = HttpSession::from_h2_conn(connection, Arc::clone(digest)) => accepted,
            Some(_) = under_way.join_next(), if !under_way.is_empty() => continue,
            () = tokio::time::sleep(keep_alive), if under_way.is_empty() => break Some(Cause::Idle),
        };
        match accepted {
            Ok(Some(H2Accept::Session(session))) => {
                let (proxy, stopping) = (Arc::clone(proxy), stopping.clone());
                under_way.spawn(async move {
                    proxy.process_new_http(ServerSession::new_http2(session), &stopping).await;
                });
            }
            Ok(Some(H2Accept::Rejected)) => {
                malformed += 1;
                tell_malformed();
                if malformed >= MALFORMED {
                    break Some(Cause::Errors);
                }
            }
            // It said so, or has gone.
            Ok(None) | Err(_) => break None,
        }
    };
    // They see that nobody waits any more, and are written down.
    under_way.detach_all();
    cause
}

/// Nothing but HTTP/2 to this node: by ALPN over TLS, with prior knowledge in clear.
pub(super) fn toward(peer: &mut HttpPeer) {
    peer.options.set_http_version(2, 2);
    peer.options.max_h2_streams = STREAMS;
    peer.options.h2_stream_window_size = Some(WINDOW);
    peer.options.h2_connection_window_size = Some(CONNECTION_WINDOW);
}
