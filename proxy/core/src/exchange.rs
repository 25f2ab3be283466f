//! One request from its head to its last byte, without I/O: `step(event, now) -> action`.
//!
//! Both lanes drive the same exchange, so a feature is written once. Waiting is an action, not an await.

use std::sync::Arc;

use crate::cluster::load::InFlight;
use crate::cluster::node::Node;
use crate::pick::picker::By;
use crate::pick::policy::Fault;

/// Why a request is not served by a node. `refusal.rs` in the server, and nothing else, turns it into a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No route matches.
    NoRoute,
    /// No node of the service may take it.
    NoNode,
    /// The node that the key belongs to may not take it, and no other may.
    OwnerDown,
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
    /// No connection to a node could be made.
    Connect,
    /// The connection ended before a response byte.
    Reset,
    /// No response head in time.
    Timeout,
    /// The node's answer was malformed.
    Malformed,
}

/// How an attempt failed before a response byte went to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// No connection was made: nothing was sent.
    Connect,
    /// The connection ended before a response byte.
    Reset,
    /// No response head in time.
    Timeout,
    /// The node's answer was malformed.
    Malformed,
    /// A response with this status arrived; it has not gone to the client yet.
    Status(u16),
}

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub class: FailureClass,
    /// Whether any byte of the request may have reached the node.
    pub sent: bool,
    /// Whether the request's body, as far as it was read, can be sent again.
    pub replayable: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The head was read.
    Start,
    /// The membership changed while parked, or the time to wait is over.
    Wake,
    /// The attempt failed.
    Failed(Failure),
}

/// One attempt at one node.
#[derive(Debug)]
pub struct Attempt {
    /// Where to.
    pub node: Arc<Node>,
    /// Keeps the node's in-flight count until the response body is through.
    pub in_flight: InFlight,
    /// 1 for the first.
    pub number: u32,
    /// The membership that was asked.
    pub version: u64,
    /// Who decided.
    pub by: By,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Action {
    /// Connect to this node and send the request.
    Connect(Attempt),
    /// Wait until the membership is newer than `version`, or until `until`; then step with [`Event::Wake`].
    Park {
        /// Version that was asked.
        version: u64,
        /// Time at which to stop waiting, on the clock of `now`.
        until: std::time::Duration,
    },
    /// Pass on the response that the last attempt brought (a status that is not, or may not be, tried again).
    PassOn,
    /// Answer this.
    Answer(Reason),
}
