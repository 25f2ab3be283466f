//! How reload changes the sockets without knowing who owns them.

use std::io;
use std::net::SocketAddr;

/// The sockets on which requests are accepted.
pub trait Doors: Send + Sync {
    /// Listens on exactly these addresses from now on. New ones are bound first: if one cannot be had, nothing changes
    /// and the error names it. Addresses no longer named stop accepting; what they accepted finishes.
    /// Answers the addresses in use, in the order asked (port 0 becomes a real one).
    fn open(&self, addresses: &[SocketAddr]) -> io::Result<Vec<SocketAddr>>;
}
