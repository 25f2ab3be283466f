//! A node as the registry or the configuration describes it.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use pointsman_config::plan::Address;

use super::load::NodeLoad;

/// Which life of a node this is. A node that comes back, or the same id at a new address, is a new incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

/// Where a node came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It stands in the YAML.
    Static,
    /// It joined through the registry.
    Joined,
}

/// What is said of a node when it is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Unique in its service.
    pub id: String,
    /// Number, unique in its service, from 1.
    pub ordinal: Option<u64>,
    /// Where it listens.
    pub address: Address,
    /// Relative capacity, 1 to 65535.
    pub weight: u32,
    /// Failure domain; empty when not given.
    pub zone: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

/// One incarnation of a node.
#[derive(Debug, Clone)]
pub struct Node {
    /// What was said of it.
    pub spec: NodeSpec,
    /// Which life this is; never reused within a process.
    pub incarnation: Incarnation,
    /// Where it came from.
    pub source: Source,
    /// Its live counters.
    pub load: Arc<NodeLoad>,
}
