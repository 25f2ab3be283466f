//! Policies in a sandbox: wasmtime behind `pointsman_core`'s [`Policy`](pointsman_core::pick::policy::Policy).
//!
//! [`Host`] compiles a component into a [`Module`] and proves that it is a policy; [`Host::policy`] sets one up for a
//! service as a [`WasmPolicy`]. Whatever a guest does, it costs the pick that it was asked for and no more: calls run
//! on a budget of fuel with a watchdog behind it, memory and tables are capped, answers are bounded and proven, and
//! an instance that failed is thrown away. A module that keeps failing is quarantined, and the version that served
//! before it serves again.
//!
//! What is not there: no WASI, no clock, no chance, no call back into the host. A policy imports nothing.

mod artifact;
mod bindings;
mod budget;
mod builtin;
mod cache;
mod compiler;
mod contract;
mod cpu;
mod digest;
mod engine;
mod functions;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod host;
mod instance;
mod limits;
mod load_error;
mod module;
mod options;
mod policy;
mod pool;
mod proof;
mod quarantine;
mod version;

pub use builtin::{builtin, builtins};
pub use cpu::may_step_back;
pub use digest::Digest;
pub use host::{Host, StartError};
pub use limits::Limits;
pub use load_error::{LoadCause, LoadError};
pub use module::Module;
pub use options::HostOptions;
pub use policy::{OnQuarantine, QuarantineNotice, Status, WasmPolicy};
pub use quarantine::Tolerance;
pub use version::ConfigureError;
