//! Unix sockets before the proxy, behind it and for its operators: the real binary, real sockets, with the lane and without.

#[path = "sockets/listeners.rs"]
mod listeners;
#[path = "sockets/nodes.rs"]
mod nodes;
#[path = "sockets/operators.rs"]
mod operators;
#[path = "sockets/stage.rs"]
mod stage;
