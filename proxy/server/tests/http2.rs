//! HTTP/2 at the front door and behind it, as clients and nodes see it: the real binary, real sockets.

#[path = "http2/abuse.rs"]
mod abuse;
#[path = "http2/bodies.rs"]
mod bodies;
#[path = "http2/bounds.rs"]
mod bounds;
#[path = "http2/clients.rs"]
mod clients;
#[path = "http2/nodes.rs"]
mod nodes;
#[path = "http2/stage.rs"]
mod stage;
