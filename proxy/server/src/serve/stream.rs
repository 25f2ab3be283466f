//! A client's connection as pingora reads and writes it.
//!
//! pingora writes head and body apart and counts on a buffer below to send them together. Its own buffer cannot be
//! switched on from outside its listeners, which we do not use; so here is one, of its size.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::{ALPN, SslDigest};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use pointsman_config::plan::ClientLimits;
use pointsman_lane::{Peer, Stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

use super::frames::Frames;
use super::guard::{Guard, Ledger};
use super::remark::{Remarks, named};
use crate::metrics::Metrics;
use crate::world::clock;

/// What fits into one packet on most networks (the usual maximum segment size). Larger writes pass the buffer by.
const BUFFER: usize = 1460;

/// What one read takes before it is judged.
const PIECE: usize = 16 * 1024;

/// A connection to a client, its writes gathered until they are flushed.
#[derive(Debug)]
pub(super) struct ClientStream {
    socket: BufWriter<Stream>,
    digest: Arc<SocketDigest>,
    secure: Option<Arc<SslDigest>>,
    /// Judges what is read before pingora sees it.
    guard: Guard,
    /// Counts what passes, where HTTP/2 is spoken.
    frames: Option<Box<Watched>>,
}

/// The frames that pass, and where what they tell is written down.
struct Watched {
    frames: Frames,
    client: Option<SocketAddr>,
    metrics: Arc<Metrics>,
}

static RESETS: Remarks = Remarks::new();

/// Asked for by pingora.
impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("frames", &self.frames).field("client", &self.client).finish_non_exhaustive()
    }
}

impl Watched {
    /// Tells of streams that were reset because the client broke a rule: the library does that, and says nothing.
    fn tell_resets(&mut self) {
        for (code, count) in self.frames.reset() {
            self.metrics.clients().http2_reset(code, count);
            RESETS.warn(format_args!(
                "{}: {count} of its HTTP/2 streams broke a rule and were reset: {code}",
                named(self.client)
            ));
        }
    }
}

impl ClientStream {
    /// `http2`: both sides know that HTTP/2 is spoken.
    pub(super) fn new(
        stream: Stream,
        peer: &Peer,
        before: Vec<u8>,
        http2: bool,
        limits: &ClientLimits,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let digest = SocketDigest::from_raw_fd(stream.socket().as_raw_fd());
        // The cell is new, so this cannot fail.
        let _ = digest.peer_addr.set(peer.address.map(Into::into));
        // Only that there is one is ever asked.
        let secure =
            matches!(stream, Stream::Secured(_)).then(|| SslDigest::new("", "", None, None, Vec::new()).into());
        let frames = http2.then(|| {
            let mut frames = Frames::new(limits.http2, clock::now());
            frames.read(&before, clock::now());
            Box::new(Watched { frames, client: peer.address, metrics: Arc::clone(metrics) })
        });
        let guard = if http2 { Guard::open } else { Guard::holding };
        Self {
            socket: BufWriter::with_capacity(BUFFER, stream),
            digest: Arc::new(digest),
            secure,
            guard: guard(before, peer.subject.clone(), limits),
            frames,
        }
    }

    /// What is known of the connection.
    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        self.guard.ledger()
    }

    /// Reads what pingora is given as it is, since it is HTTP/2 or a tunnel.
    fn read_on(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(watched) = &mut self.frames else { return Pin::new(self.socket.get_mut()).poll_read(cx, into) };
        if self.guard.ledger().ended().is_some() {
            // Whoever drives the connection was woken to end it.
            return Poll::Pending;
        }
        let before = into.filled().len();
        ready!(Pin::new(self.socket.get_mut()).poll_read(cx, into))?;
        watched.frames.read(&into.filled()[before..], clock::now());
        self.tell(cx);
        Poll::Ready(Ok(()))
    }

    /// Reads for the gateway, which looks at a body; pingora gets nothing of it yet.
    fn show(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(shown) = self.guard.show() {
                return shown;
            }
            let mut room = [0; PIECE];
            let mut piece = ReadBuf::new(&mut room);
            ready!(Pin::new(self.socket.get_mut()).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.guard.take(piece.filled());
        }
    }

    /// Looks at what was taken of these pieces.
    fn written(&mut self, cx: &Context<'_>, mut taken: usize, parts: &[io::IoSlice<'_>]) {
        let Some(watched) = &mut self.frames else { return };
        let now = clock::now();
        for part in parts {
            let count = taken.min(part.len());
            watched.frames.written(&part[..count], now);
            taken -= count;
        }
        watched.tell_resets();
        self.tell(cx);
    }

    /// Tells whoever drives the connection that it is to end.
    fn tell(&self, cx: &Context<'_>) {
        if let Some(cause) = self.frames.as_ref().and_then(|watched| watched.frames.cause()) {
            self.guard.ledger().end(cause);
            cx.waker().wake_by_ref();
        }
    }
}

impl Drop for ClientStream {
    /// An answer that is cut must be seen to be cut: what of it lies here goes out, if the socket takes it at once.
    fn drop(&mut self) {
        if !self.socket.buffer().is_empty() {
            // An error means that the client has gone, or reads too slowly to see the end anyway.
            let _ = Pin::new(&mut self.socket).poll_flush(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.guard.is_watched() {
            return this.show(cx);
        }
        if this.guard.is_open() {
            return this.read_on(cx, into);
        }
        loop {
            if let Some(given) = this.guard.give(into) {
                return Poll::Ready(given);
            }
            if this.guard.is_full() {
                // Whoever is done with the request before reads again, so nobody has to be woken.
                return Poll::Pending;
            }
            let mut room = [0; PIECE];
            let mut piece = ReadBuf::new(&mut room);
            ready!(Pin::new(this.socket.get_mut()).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.guard.take(piece.filled());
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.written(cx, count, &[io::IoSlice::new(bytes)]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, parts))?;
        self.written(cx, count, parts);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // An error means that the client has gone already.
        let _ = AsyncWriteExt::shutdown(&mut self.socket).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.socket.get_ref().socket().as_raw_fd()
    }
}

impl Ssl for ClientStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.secure.clone()
    }

    /// HTTP/2 is not left to pingora's own loop ([`super::http2`]).
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        None
    }
}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    /// There is no proxy before this one; pingora carries what is hung up here from the connection to the gateway.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.guard.ledger().digest()
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl Peek for ClientStream {}
