//! What a policy answers.

use std::borrow::Cow;

use crate::{Members, Request};

/// What a policy answers. Indices are those of [`Members`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This one; on a failure the host may ask again.
    Node(u32),
    /// Best first: the host walks down it.
    Ranked(Vec<u32>),
    /// The one of these with the fewest requests under way as the host sends it; of several the one whose turn it is.
    /// None named: of all that may be picked. The host compares, so a policy need not be told the loads of all
    /// ([`Needs::loads`](crate::Needs)).
    Lightest(Vec<u32>),
    /// This one or nobody: a key that must not be served elsewhere.
    Only(u32),
    /// Milliseconds: wait for the membership to change, then ask again.
    Park(u32),
    /// Not served.
    Refuse {
        /// HTTP status, 400 to 599.
        status: u16,
        /// One sentence for the client.
        reason: Cow<'static, str>,
    },
}

impl From<Option<u32>> for Verdict {
    /// The node, or a 503 where there is none.
    #[inline]
    fn from(node: Option<u32>) -> Self {
        match node {
            Some(index) => Self::Node(index),
            None => Self::refuse(503, "no node of the service may take requests"),
        }
    }
}

impl Verdict {
    /// Refuses the request with an HTTP status (400 to 599) and one sentence for the client.
    #[inline]
    pub fn refuse(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refuse { status, reason: reason.into() }
    }

    /// The node that is asked first, if the verdict says so much: which is the lightest only [`Verdict::sent`] tells.
    pub fn first(&self) -> Option<u32> {
        match self {
            Self::Node(index) | Self::Only(index) => Some(*index),
            Self::Ranked(list) => list.first().copied(),
            Self::Lightest(_) | Self::Park(_) | Self::Refuse { .. } => None,
        }
    }

    /// The node that the host sends the request to: of the lightest, those in `tried` set aside, the one with the fewest
    /// requests under way by `request.loads`, and of several the one whose turn it is.
    pub fn sent(&self, request: &Request<'_>, members: &Members, tried: &[u32]) -> Option<u32> {
        let Self::Lightest(list) = self else { return self.first() };
        let named = if list.is_empty() { members.eligible() } else { list };
        let free = || named.iter().copied().filter(|index| !tried.contains(index));
        let lowest = free().map(|index| request.load(index)).min()?;
        let mut ties = free().filter(|index| request.load(*index) == lowest);
        let count = ties.clone().count() as u64;
        ties.nth((request.turn % count) as usize)
    }

    /// This verdict when the nodes in `tried` are out of the question: see [`Policy::pick_again`](crate::Policy).
    #[must_use]
    pub fn without(self, tried: &[u32], random: u64, members: &Members) -> Self {
        match self {
            Self::Node(index) if tried.contains(&index) => untried(tried, random, members),
            Self::Only(index) if tried.contains(&index) => {
                Self::refuse(503, "the only node that may serve this request failed")
            }
            Self::Ranked(mut list) => {
                list.retain(|index| !tried.contains(index));
                if list.is_empty() { untried(tried, random, members) } else { Self::Ranked(list) }
            }
            Self::Lightest(mut list) if !list.is_empty() => {
                list.retain(|index| !tried.contains(index));
                if list.is_empty() { untried(tried, random, members) } else { Self::Lightest(list) }
            }
            other => other,
        }
    }

    /// The verdict in words.
    pub fn describe(&self, members: &Members) -> String {
        let name = |index: &u32| match members.node(*index) {
            Some(node) => match node.ordinal {
                Some(ordinal) => format!("{} (ordinal {ordinal})", node.id),
                None => node.id.clone(),
            },
            None => format!("#{index}, which is not there"),
        };
        match self {
            Self::Node(index) => format!("node {}", name(index)),
            Self::Only(index) => format!("node {} or nobody", name(index)),
            Self::Ranked(list) => format!("in this order: {}", list.iter().map(name).collect::<Vec<_>>().join(", ")),
            Self::Lightest(list) if list.is_empty() => "the least loaded of all that are up".to_owned(),
            Self::Lightest(list) => {
                format!("the least loaded of {}", list.iter().map(name).collect::<Vec<_>>().join(", "))
            }
            Self::Park(ms) => format!("wait up to {ms} ms for the membership to change"),
            Self::Refuse { status, reason } => format!("refused with {status}: {reason}"),
        }
    }
}

/// Any eligible node not tried yet, each as likely as the other.
fn untried(tried: &[u32], random: u64, members: &Members) -> Verdict {
    let left = || members.eligible().iter().copied().filter(|index| !tried.contains(index));
    match left().count() as u64 {
        0 => Verdict::refuse(503, "every node that may serve this request was tried"),
        count => left().nth((random % count) as usize).into(),
    }
}
