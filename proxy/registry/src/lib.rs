//! Where nodes join, kept on disk: what was acknowledged is there after a restart, a `kill -9` or a half-written file.
//!
//! Only what must outlive the proxy is written: the nodes that joined, who is drained, the highest ordinal that a
//! service ever had, and its primary with the epoch. Heartbeats are not: a node that comes back from disk gets a full TTL
//! to show that it lives.

mod disk;
mod frame;
pub mod owners;
mod state;
mod store;

pub use disk::{Disk, Folder};
pub use state::{Change, Kept, Office, Service, State};
pub use store::{Damage, Opened, RegistryError, Store};
