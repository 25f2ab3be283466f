//! Owners of keys on disk: a snapshot, and logs of what changed since.
//!
//! Everything is frames with a checksum, as the registry's own log. Requests put their changes into a [`Queue`], which never
//! waits; whoever keeps the owners takes them out and appends them to the [`Ledger`], many with one sync. What has not been
//! synced when the process is killed is lost: the changes of the last batch.

mod entry;
mod found;
mod late;
mod ledger;
mod queue;

pub use found::Found;
pub use late::{Late, LateReader};
pub use ledger::{Ledger, Opened, folder_of};
pub use queue::Queue;
