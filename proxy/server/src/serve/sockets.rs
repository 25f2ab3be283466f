//! Listening sockets before anybody accepts on them: bound anew, or inherited from the process before this one.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use pointsman_config::plan::{Address, Listener};

use super::door::{self, Bound};
use crate::listening::{FileId, SocketFile};

/// The sockets of one address, on their way from one process to the next.
#[derive(Debug)]
pub struct Lent {
    /// As the configuration names it.
    pub asked: Address,
    /// In use.
    pub address: Address,
    /// One or more, all listening.
    pub sockets: Vec<OwnedFd>,
    /// Of a Unix socket, as whoever bound it knows it.
    pub file: Option<FileId>,
}

/// Sockets for every listener of a configuration.
pub struct Sockets {
    pub(super) bound: Vec<Bound>,
    kept: Vec<Address>,
}

impl Sockets {
    /// Binds what is not inherited, for so many workers, and listens. What was inherited and is not asked for is left to
    /// the process that lent it. The error names the address.
    pub fn bind(listeners: &[Listener], workers: usize, mut lent: Vec<Lent>) -> io::Result<Self> {
        let (mut bound, mut kept) = (Vec::new(), Vec::new());
        for listener in listeners {
            let asked = &listener.address;
            match lent.iter().position(|lent| lent.asked == *asked || lent.address == *asked) {
                Some(place) => {
                    let inherited = lent.remove(place);
                    kept.push(inherited.address.clone());
                    bound.push(adopt(listener, inherited, workers)?);
                }
                None => bound.push(door::bind(listener, workers)?),
            }
        }
        Ok(Self { bound, kept })
    }

    /// Addresses in use that were inherited.
    pub fn kept(&self) -> &[Address] {
        &self.kept
    }
}

/// Takes every socket over: to close one would reset what the kernel has queued at it. Their number becomes a multiple of
/// the workers', so that each worker gets as much as the next.
fn adopt(listener: &Listener, lent: Lent, workers: usize) -> io::Result<Bound> {
    let asked = listener.address.clone();
    let Lent { address, mut sockets, file, .. } = lent;
    match &address {
        Address::Ip(ip) => {
            // What is shared between processes stays non-blocking for both; said again, since another may have sent it.
            sockets = sockets.into_iter().map(non_blocking).collect::<io::Result<_>>()?;
            while !sockets.len().is_multiple_of(workers) {
                sockets.push(door::sibling(&asked, *ip)?);
            }
            Ok(Bound::new(asked, address, sockets, None))
        }
        Address::Unix(path) => {
            let file = inherited(path, file, listener.mode())?;
            // All of them are one socket.
            let socket = sockets.pop().ok_or_else(|| io::Error::other(format!("no socket came for {asked}")))?;
            let sockets = door::duplicates(&socket, workers)?;
            Ok(Bound::new(asked, address, sockets, Some(file)))
        }
    }
}

fn non_blocking(socket: OwnedFd) -> io::Result<OwnedFd> {
    let socket = TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn inherited(path: &Arc<Path>, known: Option<FileId>, mode: u32) -> io::Result<SocketFile> {
    let text = || format!("cannot listen on unix:{}: its file was removed or replaced", path.display());
    SocketFile::inherited(path, known, mode).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, text()))
}
