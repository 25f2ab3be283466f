//! The lane on real sockets: a scripted client on one side, scripted nodes on the other, bytes compared to the letter.

mod bodies;
mod exchanges;
mod failures;
mod leaving;
mod refusals;
mod rig;
mod secured;
mod tunnels;
