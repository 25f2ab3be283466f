//! The Pointsman proxy. `main` parses the command line, `app` puts the parts together; the four rooms `serve`,
//! `control`, `reload` and `admin` know `world` and `metrics`, never each other.

pub mod access_log;
pub mod admin;
pub mod app;
pub mod audit;
pub mod cli;
pub mod control;
pub mod exit;
pub mod listening;
pub mod metrics;
pub mod refusal;
pub mod reload;
pub mod serve;
pub mod world;

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
