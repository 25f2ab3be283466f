//! Why a request is not served.

use super::policy::Fault;
use crate::key::Trouble;

/// Why a request is not served by a node. `refusal.rs` in the server, and nothing else, turns it into a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No route matches.
    NoRoute,
    /// A broadcast for the primary alone came from somebody else, or from one that is it no longer.
    NotPrimary,
    /// Requests that came before a broadcast did not end in time.
    Barrier,
    /// It has no usable key, and its service's rule says to refuse it.
    Key(Trouble),
    /// No node of the service may take it.
    NoNode,
    /// The node that the key belongs to may not take it, and no other may.
    OwnerDown,
    /// Its key has no owner, and only an owner may serve it.
    OwnerUnknown,
    /// Its key's owner may not take it, and no other may.
    OwnerGone,
    /// The policy refused it.
    Policy {
        /// 400 to 599.
        status: u16,
        /// One sentence for the client.
        reason: String,
    },
    /// The policy failed, and `on_fault` says refuse.
    Fault(Fault),
    /// It was parked for as long as the policy said, and nothing changed.
    Parked,
    /// Its key makes more requests than it may.
    RateLimited {
        /// Seconds after which the next is granted, rounded up.
        retry_after: u32,
    },
    /// The node that was picked has no permit free, and as many wait for one as may.
    QueueFull,
    /// It waited for a permit of a node for as long as it may.
    QueueTimeout,
    /// No connection to a node could be made.
    Connect,
    /// The connection ended before a response byte.
    Reset,
    /// No response head in time.
    Timeout,
    /// The node's answer was malformed.
    Malformed,
}
