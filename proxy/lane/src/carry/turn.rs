//! Where a request is, and where it goes from there.

use pointsman_core::exchange::FailureClass;

use crate::flaw::Flaw;
use crate::hand_over::HandOver;

/// What the connection does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Waits for the next request.
    Idle,
    /// Closes.
    Close,
    /// Closes in the middle of a response, or of nothing that the client still waits for.
    Cut,
    /// Closes, once the client has had time to read.
    Linger,
    /// Leaves the lane.
    HandOver(HandOver),
    /// Becomes a tunnel, which lies on the bench.
    Tunnel,
}

/// What a phase says.
pub(super) enum Turn {
    /// Nothing to do before something happens.
    Wait,
    /// Another phase has begun.
    Go,
    /// The bench is done.
    Done(After),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Reading a request's head.
    Head,
    /// Reading of its body what the key needs.
    Ahead,
    /// Waiting for what the trip knows.
    Waiting,
    /// Connecting to a node.
    Dial,
    /// Request up, response down, both at once.
    Relay,
    /// Writing a page of our own.
    Page,
}

/// What cut a relay short.
pub(super) enum Broke {
    /// The client is gone.
    Client,
    /// The node failed.
    Node(FailureClass),
    /// The request's body is malformed.
    Flaw(Flaw),
    /// The node switched protocols, as it was asked to.
    Switched,
}
