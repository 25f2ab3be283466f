//! Listening sockets, on the network or in the file system, as whoever accepts on them sees them: `serve`, `admin` and `app`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use pointsman_config::plan::Address;
use tokio::net::{TcpListener, TcpStream, UnixListener};

mod file;

pub use file::{FileId, SocketFile};

/// A socket that is accepted on.
#[derive(Debug)]
pub enum Listening {
    /// On the network.
    Ip(TcpListener),
    /// In the file system.
    Unix(UnixListener),
}

impl Listening {
    /// One that listens at `address` already and does not block. To be called on a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(socket: OwnedFd, address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Ip(_) => Self::Ip(TcpListener::from_std(socket.into())?),
            Address::Unix(_) => Self::Unix(UnixListener::from_std(socket.into())?),
        })
    }

    /// The next connection, with the client's address where it has one. Nothing is lost when the future is dropped.
    ///
    /// A Unix connection is handed out as a `TcpStream`, too: the kernel reads, writes, watches and closes both by the same
    /// calls, and so whoever carries bytes need not know. Only what asks for addresses or sets options of TCP must.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        match self {
            Self::Ip(socket) => socket.accept().await.map(|(stream, client)| (stream, Some(client))),
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((TcpStream::from_std(OwnedFd::from(stream.into_std()?).into())?, None))
            }
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ip(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
