//! One address on which requests are accepted: a listening socket a worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

use super::worker::{Order, Orders};

/// Connections that the kernel holds until a worker accepts them; a burst of reconnects after a reload is about this.
const BACKLOG: i32 = 4096;

/// How long to wait for workers to close their sockets. They do so at once unless a worker is stuck.
const CLOSING: Duration = Duration::from_secs(2);

/// An open address. Workers stop accepting when it is closed or dropped.
pub(super) struct Door {
    asked: SocketAddr,
    address: SocketAddr,
    open: watch::Sender<()>,
    /// Ends when the last worker has closed its socket.
    closed: mpsc::Receiver<()>,
}

/// Sockets bound and listening, not yet accepting.
pub(super) struct Bound {
    asked: SocketAddr,
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

/// What a worker needs to accept on one socket.
pub(super) struct Share {
    /// The address in use.
    pub(super) address: SocketAddr,
    pub(super) socket: TcpListener,
    /// Ends when the door is closed.
    pub(super) open: watch::Receiver<()>,
    /// Dropped with the socket.
    pub(super) closed: mpsc::Sender<()>,
}

/// Binds `workers` sockets to one address; port 0 gives all of them the same free port.
pub(super) fn bind(asked: SocketAddr, workers: usize) -> io::Result<Bound> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {asked}: {error}"));
    // Without SO_REUSEPORT, or a second proxy of the same user would be let in and take every other connection.
    let probe = socket(asked, false).map_err(named)?;
    let address = probe.local_addr().map_err(named)?.as_socket().unwrap_or(asked);
    drop(probe);
    let sockets: io::Result<Vec<TcpListener>> = (0..workers)
        .map(|_| {
            let socket = socket(address, true)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect();
    Ok(Bound { asked, address, sockets: sockets.map_err(named)? })
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier process that are still in TIME_WAIT must not hold the address.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0` in one configuration is two addresses, not one.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Bound {
    /// Hands each worker its socket.
    pub(super) fn open(self, workers: &[Orders]) -> Door {
        let (open, opened) = watch::channel(());
        let (closed, all_closed) = mpsc::channel();
        for (socket, orders) in self.sockets.into_iter().zip(workers) {
            let share = Share { address: self.address, socket, open: opened.clone(), closed: closed.clone() };
            if orders.send(Order::Accept(share)).is_err() {
                log::error!("a worker has ended and accepts nothing on {}", self.address);
            }
        }
        Door { asked: self.asked, address: self.address, open, closed: all_closed }
    }
}

impl Door {
    /// The address in use.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is what was asked for: the same words, or the same place.
    pub(super) fn answers_to(&self, asked: SocketAddr) -> bool {
        self.asked == asked || self.address == asked
    }

    /// Stops accepting; returns when the sockets are closed.
    pub(super) fn close(self) {
        drop(self.open);
        if matches!(self.closed.recv_timeout(CLOSING), Err(mpsc::RecvTimeoutError::Timeout)) {
            log::warn!("a worker has not yet closed its socket on {}", self.address);
        }
    }
}
