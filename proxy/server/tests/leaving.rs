//! A process that goes: it stops, or hands over to a new one, and nothing is lost on the way. The real binary, real
//! signals, real sockets.

#[path = "leaving/drain.rs"]
mod drain;
#[path = "leaving/load.rs"]
mod load;
#[path = "leaving/owners.rs"]
mod owners;
#[path = "leaving/refused.rs"]
mod refused;
#[path = "leaving/registry.rs"]
mod registry;
#[path = "leaving/stage.rs"]
mod stage;
#[path = "leaving/stop.rs"]
mod stop;
#[path = "leaving/supervised.rs"]
mod supervised;
