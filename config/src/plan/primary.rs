//! The primary of a service.

use std::time::Duration;

use serde::Serialize;

use crate::units::serialize_duration;

/// How a service's primary is elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Primary {
    /// How long the service stays without one after the last was deposed, so that it has stopped before the next begins.
    #[serde(serialize_with = "serialize_duration")]
    pub takeover_after: Duration,
}
