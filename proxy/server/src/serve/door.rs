//! One address on which requests are accepted: listening sockets, the same number for each worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use pointsman_config::plan::{Address, Listener};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use super::sockets::Lent;
use super::worker::{Order, Orders};
use crate::listening::SocketFile;

/// Connections that the kernel holds until a worker accepts them; a burst of reconnects after a reload is about this.
const BACKLOG: i32 = 4096;

/// How long to wait for workers to do something with their sockets. They do so at once unless a worker is stuck.
const CLOSING: Duration = Duration::from_secs(2);

/// An open address. When it is closed or dropped, workers accept whom the kernel has let in already, and close.
pub(super) struct Door {
    asked: Address,
    address: Address,
    /// Of a Unix socket. Dropped before the sockets: who finds no file does not wait for an answer.
    file: Option<SocketFile>,
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
    asked: Address,
    address: Address,
    sockets: Vec<OwnedFd>,
    file: Option<SocketFile>,
}

/// What a worker needs to accept on one socket.
pub(super) struct Share {
    /// The address in use.
    pub(super) address: Address,
    pub(super) socket: OwnedFd,
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
    /// Dropped with the socket.
    pub(super) closed: std_mpsc::Sender<()>,
}

/// Binds `workers` sockets to one address; port 0 gives all of them the same free port. In the file system one socket has
/// the name, and each worker accepts on a descriptor of its own of that.
pub(super) fn bind(listener: &Listener, workers: usize) -> io::Result<Bound> {
    let asked = &listener.address;
    let named = named(asked);
    match asked {
        Address::Ip(ip) => {
            // Without SO_REUSEPORT, or a second proxy of the same user would be let in and take every other connection.
            let probe = socket(*ip, false).map_err(&named)?;
            let address = probe.local_addr().map_err(&named)?.as_socket().unwrap_or(*ip);
            drop(probe);
            let sockets: io::Result<_> = (0..workers).map(|_| sibling(asked, address)).collect();
            Ok(Bound::new(asked.clone(), address.into(), sockets?, None))
        }
        Address::Unix(path) => {
            let (file, socket) = SocketFile::bind(path, listener.mode(), BACKLOG).map_err(&named)?;
            let sockets = duplicates(&socket, workers).map_err(&named)?;
            Ok(Bound::new(asked.clone(), asked.clone(), sockets, Some(file)))
        }
    }
}

/// One more socket at an address in use.
pub(super) fn sibling(asked: &Address, address: SocketAddr) -> io::Result<OwnedFd> {
    let named = named(asked);
    let socket = socket(address, true).map_err(&named)?;
    socket.listen(BACKLOG).map_err(&named)?;
    Ok(socket.into())
}

/// As many descriptors of one socket. Each worker is woken by a connection, and one of them gets it: where Unix sockets
/// are used, few connections carry much.
pub(super) fn duplicates(socket: &OwnedFd, workers: usize) -> io::Result<Vec<OwnedFd>> {
    (0..workers).map(|_| socket.try_clone()).collect()
}

fn named(asked: &Address) -> impl Fn(io::Error) -> io::Error {
    let asked = asked.clone();
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
    pub(super) fn new(asked: Address, address: Address, sockets: Vec<OwnedFd>, file: Option<SocketFile>) -> Self {
        Self { asked, address, sockets, file }
    }

    /// Hands each worker its sockets.
    pub(super) fn open(self, workers: &[Orders]) -> Door {
        let (closed, all_closed) = std_mpsc::channel();
        let mut shares = Vec::new();
        for (socket, orders) in self.sockets.into_iter().zip(workers.iter().cycle()) {
            let (asks, asked) = mpsc::unbounded_channel();
            let share = Share { address: self.address.clone(), socket, asks: asked, closed: closed.clone() };
            if orders.send(Order::Accept(share)).is_err() {
                log::error!("a worker has ended and accepts nothing on {}", self.address);
            }
            shares.push(asks);
        }
        Door { asked: self.asked, address: self.address, file: self.file, shares, closed: all_closed }
    }
}

impl Door {
    /// The address in use.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is what was asked for: the same words, or the same place.
    pub(super) fn answers_to(&self, asked: &Address) -> bool {
        self.asked == *asked || self.address == *asked
    }

    /// Lets in from now on whom this mode lets in, where it is one in the file system.
    pub(super) fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.set_mode(mode)).map_err(named(&self.asked))
    }

    /// What another process has bound is this one's from now on: to remove, and to say who may connect.
    pub(super) fn take_over(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(SocketFile::take_over) {
            log::error!("{}: its mode stays as it was: {error}", self.address);
        }
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
        let file = self.file.as_ref().map(SocketFile::id);
        Ok(Lent { asked: self.asked.clone(), address: self.address.clone(), sockets, file })
    }

    /// Stops accepting, without closing on those whom the kernel has let in: another process holds the same sockets.
    pub(super) fn leave(mut self) {
        if let Some(file) = self.file.take() {
            file.leave();
        }
        for share in &self.shares {
            // As above.
            let _ = share.send(Ask::Leave);
        }
        self.close();
    }

    /// Accepts whom the kernel has let in, then no more; returns when the sockets are closed.
    pub(super) fn close(self) {
        drop(self.file);
        drop(self.shares);
        if matches!(self.closed.recv_timeout(CLOSING), Err(std_mpsc::RecvTimeoutError::Timeout)) {
            log::warn!("a worker has not yet closed its socket on {}", self.address);
        }
    }
}
