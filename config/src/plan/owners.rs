//! Owners: keys that belong to the node at which they were seen first.

use std::time::Duration;

use serde::Serialize;

use super::{KeyRule, Mark, Place};
use crate::units::serialize_duration;

/// How a service keeps owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owners {
    /// When a claim counts.
    pub claim: ClaimMode,
    /// Keys of a request, looked up in this order; the first that has an owner decides. One or more.
    pub find: Vec<KeyRule>,
    /// From what a key's owner is learnt.
    pub learn: Vec<Learn>,
    /// The value of a response that names a key which nobody will ask for again.
    pub release: Option<KeyRule>,
    /// Places in the bodies of responses that `learn` and `release` name by their index here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// What becomes of a request whose key has no owner.
    pub on_unknown: OnUnknown,
    /// What becomes of a request whose owner may not take it.
    pub on_gone: OnGone,
    /// Whether a node that comes back owns what it owned.
    pub bound_to: BoundTo,
    /// How long a request may be parked.
    #[serde(serialize_with = "serialize_duration")]
    pub park: Duration,
    /// How long an owner is known after the last request that asked for it.
    #[serde(serialize_with = "serialize_duration")]
    pub ttl: Duration,
    /// Owners that are known at most.
    pub capacity: u32,
    /// Where the section stands.
    pub mark: Mark,
}

/// When a claim counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ClaimMode {
    /// At once; the shared store hears of it later.
    Behind,
    /// Once the shared store has it: two proxies never disagree.
    Sync,
}

/// From what a key's owner is learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Learn {
    /// A key of the request, claimed for the node that was picked before the request is sent.
    Request(KeyRule),
    /// A header or a place in the body of the response, claimed for the node that answered.
    Response(KeyRule),
}

impl Learn {
    /// The rule, if it is one of requests.
    pub fn of_request(&self) -> Option<&KeyRule> {
        match self {
            Self::Request(rule) => Some(rule),
            Self::Response(_) => None,
        }
    }
}

/// What becomes of a request whose key has no owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnUnknown {
    /// The policy picks by the key.
    Hash,
    /// The primary takes it.
    Primary,
    /// It waits for an owner to be learnt.
    Park,
    /// It is refused.
    Refuse,
}

/// What becomes of a request whose owner may not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnGone {
    /// The primary takes it.
    Primary,
    /// The policy picks by the key, and the key belongs to the node that it picks.
    Policy,
    /// It waits for the owner to come back.
    Park,
    /// It is refused.
    Refuse,
}

/// What a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BoundTo {
    /// The node of this id, whenever it is there: it keeps its state on disk.
    Node,
    /// This life of it: what it knew is gone with its process.
    Life,
}
