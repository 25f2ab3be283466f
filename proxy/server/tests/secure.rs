//! TLS at the front door, as clients see it: the real binary, real certificates, real sockets.

/// `secure_without_lane.rs` runs the same tests with `off`.
const LANE: &str = "on";

#[path = "secure/certificates.rs"]
mod certificates;
#[path = "secure/clients.rs"]
mod clients;
#[path = "secure/listeners.rs"]
mod listeners;
#[path = "secure/nodes.rs"]
mod nodes;
#[path = "secure/pipelining.rs"]
mod pipelining;
#[path = "secure/stage.rs"]
mod stage;
#[path = "secure/tunnels.rs"]
mod tunnels;
