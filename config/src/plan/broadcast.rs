//! Routes whose requests go to every node of their service.

use std::time::Duration;

use serde::Serialize;

use super::Mark;
use crate::units::serialize_optional_duration;

/// How a request goes to every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broadcast {
    /// When the client is answered.
    pub answer: Gather,
    /// Which nodes are sent it.
    pub to: Recipients,
    /// Who may send it.
    pub from: Sender,
    /// It waits so long at most until every request of its service that came before has ended. `None`: it does not wait.
    #[serde(serialize_with = "serialize_optional_duration")]
    pub barrier: Option<Duration>,
    /// Bytes that the request's body, and each node's, may have.
    pub limit: u64,
    /// Where it stands.
    pub mark: Mark,
}

/// When the client of a broadcast is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Gather {
    /// When every node has answered, or failed to; good if all did well.
    All,
    /// When more than half of the nodes have done well, or no longer can.
    Quorum,
    /// With the first answer that is good; the others are not waited for.
    First,
}

/// Which nodes a broadcast goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Recipients {
    /// Every node of the service.
    All,
    /// Every node but the primary.
    Backups,
}

/// Who may send a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sender {
    /// Whoever reaches the route.
    Anyone,
    /// Who shows the epoch of the service's primary, and no older one.
    Primary,
}
