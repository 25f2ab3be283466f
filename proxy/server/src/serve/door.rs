//! One address on which requests are accepted: listening sockets, the same number for each worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use super::sockets::Lent;
use super::worker::{Order, Orders};

/// Connections that the kernel holds until a worker accepts them; a burst of reconnects after a reload is about this.
const BACKLOG: i32 = 4096;

/// How long to wait for workers to do something with their sockets. They do so at once unless a worker is stuck.
const CLOSING: Duration = Duration::from_secs(2);

/// An open address. When it is closed or dropped, workers accept whom the kernel has let in already, and close.
pub(super) struct Door {
    asked: SocketAddr,
    address: SocketAddr,
    /// One a socket.
    shares: Vec<mpsc::UnboundedSender<Ask>>,
    /// Ends when the last worker has closed its socket.
    closed: std_mpsc::Receiver<()>,
}

/// What whoever accepts on a socket is asked, besides to close it, which is when nobody can ask any more.
pub(super) enum Ask {
    /// Give another descriptor of the same socket.
    Lend(std_mpsc::Sender<io::Result<OwnedFd>>),
    /// Stop, and leave whom the kernel has let in to the process that holds the same socket.
    Leave,
}

/// Sockets bound and listening, not yet accepted on.
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
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
    /// Dropped with the socket.
    pub(super) closed: std_mpsc::Sender<()>,
}

/// Binds `workers` sockets to one address; port 0 gives all of them the same free port.
pub(super) fn bind(asked: SocketAddr, workers: usize) -> io::Result<Bound> {
    let named = named(asked);
    // Without SO_REUSEPORT, or a second proxy of the same user would be let in and take every other connection.
    let probe = socket(asked, false).map_err(&named)?;
    let address = probe.local_addr().map_err(&named)?.as_socket().unwrap_or(asked);
    drop(probe);
    let sockets: io::Result<_> = (0..workers).map(|_| sibling(asked, address)).collect();
    Ok(Bound::new(asked, address, sockets?))
}

/// One more socket at an address in use.
pub(super) fn sibling(asked: SocketAddr, address: SocketAddr) -> io::Result<TcpListener> {
    let named = named(asked);
    let socket = socket(address, true).map_err(&named)?;
    socket.listen(BACKLOG).map_err(&named)?;
    Ok(socket.into())
}

fn named(asked: SocketAddr) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("cannot listen on {asked}: {error}"))
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
    pub(super) fn new(asked: SocketAddr, address: SocketAddr, sockets: Vec<TcpListener>) -> Self {
        Self { asked, address, sockets }
    }

    /// Hands each worker its sockets.
    pub(super) fn open(self, workers: &[Orders]) -> Door {
        let (closed, all_closed) = std_mpsc::channel();
        let mut shares = Vec::new();
        for (socket, orders) in self.sockets.into_iter().zip(workers.iter().cycle()) {
            let (asks, asked) = mpsc::unbounded_channel();
            let share = Share { address: self.address, socket, asks: asked, closed: closed.clone() };
            if orders.send(Order::Accept(share)).is_err() {
                log::error!("a worker has ended and accepts nothing on {}", self.address);
            }
            shares.push(asks);
        }
        Door { asked: self.asked, address: self.address, shares, closed: all_closed }
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

    /// Other descriptors of the same sockets, for another process.
    pub(super) fn lend(&self) -> io::Result<Lent> {
        let (lend, lent) = std_mpsc::channel();
        for share in &self.shares {
            // An error means that the worker has ended; then the wait below is over at once.
            let _ = share.send(Ask::Lend(lend.clone()));
        }
        drop(lend);
        let next = || lent.recv_timeout(CLOSING).map_err(|_| io::Error::other("a worker does not give its sockets"))?;
        let sockets = self.shares.iter().map(|_| next()).collect::<io::Result<_>>()?;
        Ok(Lent { asked: self.asked, address: self.address, sockets })
    }

    /// Stops accepting, without closing on those whom the kernel has let in: another process holds the same sockets.
    pub(super) fn leave(self) {
        for share in &self.shares {
            // As above.
            let _ = share.send(Ask::Leave);
        }
        self.close();
    }

    /// Accepts whom the kernel has let in, then no more; returns when the sockets are closed.
    pub(super) fn close(self) {
        drop(self.shares);
        if matches!(self.closed.recv_timeout(CLOSING), Err(std_mpsc::RecvTimeoutError::Timeout)) {
            log::warn!("a worker has not yet closed its socket on {}", self.address);
        }
    }
}
