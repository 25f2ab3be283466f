//! The brain of Pointsman: what a request asks for, who may serve it, who is picked, and what is tried again.
//!
//! This crate opens no socket, reads no clock and spawns no task. Time comes in as an argument (`now`), so a day of
//! leases is tested in a millisecond.

pub mod barrier;
pub mod cluster;
pub mod exchange;
pub mod facts;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod key;
pub mod origin;
pub mod owners;
pub mod pick;
pub mod rate;
pub mod retry;
pub mod route;
