//! Asks the policy, proves its verdict against the membership it was asked about, and falls back with a named reason.

use super::policy::Fault;

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The policy.
    Policy,
    /// The fallback (round robin over the eligible nodes), because of this fault.
    Fallback(Fault),
}

/// A proven decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send it to the member at `index`, which is eligible and not yet tried.
    Node {
        /// Index in the membership that was asked.
        index: u32,
        /// Whether another node must not serve it.
        only: bool,
        /// Who decided.
        by: By,
    },
    /// Wait up to so many milliseconds for the membership to change, then ask again.
    Park(u32),
    /// Nobody may serve it.
    Refuse(super::super::exchange::Reason),
}
