//! The workers' sockets, as reload may change them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::serve::Workers;
use crate::world::doors::Doors;

/// See [`Doors`].
pub(super) struct WorkerDoors(pub(super) Arc<Workers>);

impl Doors for WorkerDoors {
    fn open(&self, addresses: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
        self.0.listen(addresses)
    }
}
