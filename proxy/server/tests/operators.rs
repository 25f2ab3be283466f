//! The operators' address of the real binary: who is let in, what is written down, and as whom the proxy runs.

#[path = "operators/admission.rs"]
mod admission;
#[path = "operators/audited.rs"]
mod audited;
#[path = "operators/deployed.rs"]
mod deployed;
#[path = "operators/privileges.rs"]
mod privileges;
#[path = "operators/secrets.rs"]
mod secrets;
/// Authorities and TLS clients.
#[allow(dead_code, reason = "the stage of the listeners' tests has more")]
#[path = "secure/stage.rs"]
mod stage;
#[path = "operators/upgraded.rs"]
mod upgraded;

/// For the stage.
const LANE: &str = "on";
