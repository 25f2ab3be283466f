//! Listening sockets before anybody accepts on them: bound anew, or inherited from the process before this one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use super::door::{self, Bound};

/// The sockets of one address, on their way from one process to the next.
#[derive(Debug)]
pub struct Lent {
    /// As the configuration names it.
    pub asked: SocketAddr,
    /// In use.
    pub address: SocketAddr,
    /// One or more, all listening.
    pub sockets: Vec<OwnedFd>,
}

/// Sockets for every listener of a configuration.
pub struct Sockets {
    pub(super) bound: Vec<Bound>,
    kept: Vec<SocketAddr>,
}

impl Sockets {
    /// Binds what is not inherited, for so many workers, and listens. What was inherited and is not asked for is left to
    /// the process that lent it. The error names the address.
    pub fn bind(addresses: &[SocketAddr], workers: usize, mut lent: Vec<Lent>) -> io::Result<Self> {
        let (mut bound, mut kept) = (Vec::new(), Vec::new());
        for &asked in addresses {
            match lent.iter().position(|lent| lent.asked == asked || lent.address == asked) {
                Some(place) => {
                    let inherited = lent.remove(place);
                    kept.push(inherited.address);
                    bound.push(adopt(asked, inherited, workers)?);
                }
                None => bound.push(door::bind(asked, workers)?),
            }
        }
        Ok(Self { bound, kept })
    }

    /// Addresses in use that were inherited.
    pub fn kept(&self) -> &[SocketAddr] {
        &self.kept
    }
}

/// Takes every socket over: to close one would reset what the kernel has queued at it. Their number becomes a multiple of
/// the workers', so that each worker gets as much as the next.
fn adopt(asked: SocketAddr, lent: Lent, workers: usize) -> io::Result<Bound> {
    let mut sockets: Vec<TcpListener> = lent.sockets.into_iter().map(TcpListener::from).collect();
    // What is shared between processes stays non-blocking for both; said again, since another may have sent it.
    sockets.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
    while !sockets.len().is_multiple_of(workers) {
        sockets.push(door::sibling(asked, lent.address)?);
    }
    Ok(Bound::new(asked, lent.address, sockets))
}
