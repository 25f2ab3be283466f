//! One attempt at a node, as the gateway carries it.

use std::time::Instant;

use pointsman_core::cluster::load::InFlight;

use crate::serve::deadline::Deadline;

/// An attempt at a node. Dropping it gives the node's in-flight count back.
pub(super) struct Underway {
    _in_flight: InFlight,
    /// What the node is told of the primary.
    pub(super) epoch: Option<u64>,
    pub(super) started: Instant,
    pub(super) sent: bool,
    /// Whether the client has to send more before the node can answer.
    pub(super) waits_for_client: bool,
    /// Status of the node's answer, once its head is there.
    pub(super) answered: Option<u16>,
    /// Whether it was written down how it went.
    pub(super) noted: bool,
    pub(super) deadline: Option<Deadline>,
}

impl Underway {
    pub(super) fn new(in_flight: InFlight, epoch: Option<u64>) -> Self {
        let (started, sent, waits_for_client) = (Instant::now(), false, false);
        let (answered, noted, deadline) = (None, false, None);
        Self { _in_flight: in_flight, epoch, started, sent, waits_for_client, answered, noted, deadline }
    }
}
