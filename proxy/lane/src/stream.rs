//! A client's connection as the lane reads and writes it: a plain socket, or one whose bytes somebody ciphers.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::socket::Socket;

/// A connection over which other bytes go than the lane reads and writes, such as TLS after its handshake.
///
/// A read that is pending must mean that nothing more can be had from what the socket has given so far: the lane then
/// waits for the socket. What a write takes may be held back until a flush.
pub trait Secured: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {
    /// The socket below.
    fn socket(&self) -> &TcpStream;

    /// Whether a read would be ready although the socket has nothing to read.
    fn holds_input(&self) -> bool;
}

/// A client's connection. Being asked which one costs a plain socket a branch and nothing else.
#[derive(Debug)]
pub enum Stream {
    /// The bytes as they are.
    Plain(Socket),
    /// Ciphered.
    Secured(Box<dyn Secured>),
}

impl Stream {
    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket.get_ref(),
            Self::Secured(secured) => secured.socket(),
        }
    }

    /// Ready once a read may be. Needs no buffer.
    pub(crate) fn poll_read_ready(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.get_ref().poll_read_ready(task),
            Self::Secured(secured) if secured.holds_input() => Poll::Ready(Ok(())),
            Self::Secured(secured) => secured.socket().poll_read_ready(task),
        }
    }

    /// Says that nothing more follows, where the protocol has a word for it (RFC 8446 §6.1), if the socket takes it at
    /// once. Only after a whole message: without that word the client knows that something was cut off.
    pub(crate) fn say_goodbye(&mut self) {
        if let Self::Secured(secured) = self {
            // Pending or an error: the client reads nothing, or has gone.
            let _ = Pin::new(secured).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket.into())
    }
}

/// Calls the same method on whichever stream it is.
macro_rules! either {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Self::Plain(socket) => Pin::new(socket).$method($($argument),*),
            Self::Secured(secured) => Pin::new(secured).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_read(task, into))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(task, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored(task, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Secured(secured) => secured.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(task))
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(task))
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address and port; `None`: it came over a Unix socket, and has none.
    pub address: Option<SocketAddr>,
    /// The subject of the certificate it proved to hold, if it had to.
    pub subject: Option<Arc<str>>,
    /// Whether its bytes come ciphered.
    pub secure: bool,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Some(address).into()
    }
}

impl From<Option<SocketAddr>> for Peer {
    fn from(address: Option<SocketAddr>) -> Self {
        Self { address, subject: None, secure: false }
    }
}
