//! A client's connection as pingora reads and writes it.
//!
//! pingora writes head and body apart and counts on a buffer below to send them together. Its own buffer cannot be
//! switched on from outside its listeners, which we do not use; so here is one, of its size.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::TcpStream;

use super::guard::Guard;

/// What fits into one packet on most networks (the usual maximum segment size). Larger writes pass the buffer by.
const BUFFER: usize = 1460;

/// What one read takes before it is judged.
const PIECE: usize = 16 * 1024;

/// A TCP connection to a client, its writes gathered until they are flushed.
#[derive(Debug)]
pub(super) struct ClientStream {
    socket: BufWriter<TcpStream>,
    digest: Arc<SocketDigest>,
    /// Judges what is read before pingora sees it.
    guard: Guard,
}

impl ClientStream {
    pub(super) fn new(socket: TcpStream, client: SocketAddr, before: Vec<u8>) -> Self {
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        // The cell is new, so this cannot fail.
        let _ = digest.peer_addr.set(Some(client.into()));
        Self {
            socket: BufWriter::with_capacity(BUFFER, socket),
            digest: Arc::new(digest),
            guard: Guard::holding(before),
        }
    }
}

impl Drop for ClientStream {
    /// An answer that is cut must be seen to be cut: what of it lies here goes out, if the socket takes it at once.
    fn drop(&mut self) {
        if !self.socket.buffer().is_empty() {
            // An error means that the client has gone, or reads too slowly to see the end anyway.
            let _ = self.socket.get_ref().try_write(self.socket.buffer());
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        if this.guard.is_open() {
            return Pin::new(this.socket.get_mut()).poll_read(cx, into);
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, parts)
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
        self.socket.get_ref().as_raw_fd()
    }
}

impl Ssl for ClientStream {}

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
