//! The tests of `secure.rs` with every request carried by pingora.

const LANE: &str = "off";

#[path = "secure/certificates.rs"]
mod certificates;
#[path = "secure/clients.rs"]
mod clients;
#[path = "secure/listeners.rs"]
mod listeners;
#[path = "secure/nodes.rs"]
mod nodes;
#[path = "secure/stage.rs"]
mod stage;
#[path = "secure/tunnels.rs"]
mod tunnels;
