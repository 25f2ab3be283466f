//! How tunnels leave a node.

use std::time::Duration;

use serde::Serialize;

use crate::units::serialize_duration;

/// How what cannot just finish, such as a WebSocket, leaves a node that drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Drain {
    /// Each is asked to leave at a moment of its own within so long: those who come back must not come all at once.
    #[serde(serialize_with = "serialize_duration")]
    pub spread: Duration,
    /// So long after the drain began, what is still there is cut. Not less than `spread`.
    #[serde(serialize_with = "serialize_duration")]
    pub deadline: Duration,
}

impl Default for Drain {
    /// Asked within 10 s, cut after 60 s.
    fn default() -> Self {
        Self { spread: Duration::from_secs(10), deadline: Duration::from_secs(60) }
    }
}
