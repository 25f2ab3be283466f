//! How reload changes the sockets without knowing who owns them.

use std::io;

use pointsman_config::plan::{Address, Listener};

/// The sockets on which requests are accepted.
pub trait Doors: Send + Sync {
    /// Listens at exactly the addresses of these from now on. New ones are bound first: if one cannot be had, nothing changes
    /// and the error names it. Addresses no longer named stop accepting; what they accepted finishes.
    /// Answers the addresses in use, in the order asked (port 0 becomes a real one).
    fn open(&self, listeners: &[Listener]) -> io::Result<Vec<Address>>;
}
