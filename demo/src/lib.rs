//! What stands around the proxy when it is shown, tested or measured: nodes of a small order-management system
//! ([`node`]), a server that answers with as little work as possible ([`bare`]), a load generator that counts every
//! failure ([`load`]), and a harness that starts the real proxy ([`harness`]).

pub mod bare;
pub mod client;
pub mod harness;
pub mod join;
pub mod load;
pub mod node;
pub mod span;
pub mod wire;

mod own_thread;
