//! Requests that only the primary may serve.

use serde::Deserialize;

use crate::{Members, Verdict, Wait};

/// What becomes of a request for the primary while nobody is primary, or the primary could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoPrimary {
    /// It waits for the next primary, for a bounded time.
    #[default]
    Park,
    /// 503 at once.
    Refuse,
    /// The first node that may be picked, in member order.
    Next,
}

impl NoPrimary {
    /// The primary unless it is in `tried`, then what is said here. Nobody else where it is not [`Self::Next`].
    #[inline]
    pub fn send(self, wait: Wait, members: &Members, tried: &[u32]) -> Verdict {
        let usable = |index: &u32| members.is_eligible(*index) && !tried.contains(index);
        match (members.primary().filter(usable), self) {
            (Some(primary), Self::Next) => Verdict::Node(primary),
            (Some(primary), Self::Park | Self::Refuse) => Verdict::Only(primary),
            (None, Self::Park) => wait.park(),
            (None, Self::Refuse) => Verdict::refuse(503, "no primary may take the request"),
            (None, Self::Next) => members.eligible().iter().copied().find(usable).into(),
        }
    }
}
