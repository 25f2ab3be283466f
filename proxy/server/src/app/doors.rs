//! The workers' sockets, as reload may change them.

use std::io;
use std::sync::Arc;

use pointsman_config::plan::{Address, Listener};

use crate::serve::Workers;
use crate::world::doors::Doors;

/// See [`Doors`].
pub(super) struct WorkerDoors(pub(super) Arc<Workers>);

impl Doors for WorkerDoors {
    fn open(&self, listeners: &[Listener]) -> io::Result<Vec<Address>> {
        self.0.listen(listeners)
    }
}
