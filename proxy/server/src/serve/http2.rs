//! How much one connection may take over HTTP/2, and how nodes are asked to speak it.
//!
//! The library's own bounds are those of a browser: 16 MiB of headers, as many streams as come.

use std::time::Duration;

use pingora_core::apps::HttpServerOptions;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::upstreams::peer::HttpPeer;

/// Requests under way on one connection.
const STREAMS: u32 = 100;
/// Bytes of a head, as RFC 9113 §6.5.2 counts them.
const HEAD: u32 = 64 << 10;
/// Bytes of one body, and of all bodies of a connection, that a client may send before somebody has taken them.
const WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of one answer that are held for a client that does not read.
const HELD: usize = 64 << 10;
/// A connection on which nothing is under way is closed after this; the lane waits as long.
const IDLE: Duration = Duration::from_secs(75);

/// The bounds of a connection.
pub(super) fn bounds() -> H2Options {
    let mut bounds = H2Options::default();
    bounds
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(HELD);
    bounds
}

/// What pingora is told beside.
pub(super) fn options() -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(IDLE);
    options
}

/// Nothing but HTTP/2 to this node: by ALPN over TLS, with prior knowledge in clear.
pub(super) fn toward(peer: &mut HttpPeer) {
    peer.options.set_http_version(2, 2);
    peer.options.max_h2_streams = STREAMS as usize;
    peer.options.h2_stream_window_size = Some(WINDOW);
    peer.options.h2_connection_window_size = Some(CONNECTION_WINDOW);
}
