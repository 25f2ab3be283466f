//! What is kept, and how it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pointsman_core::cluster::node::{Address, NodeSpec};
use serde::{Deserialize, Serialize};

/// A node that joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Unique in its service.
    pub id: String,
    /// Number, unique in its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u64>,
    /// Where it listens.
    pub address: Address,
    /// Relative capacity.
    pub weight: u32,
    /// Failure domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Free labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its lease in milliseconds.
    pub ttl_ms: u64,
}

impl Kept {
    /// A node as it joined.
    pub fn new(spec: &NodeSpec, ttl: Duration) -> Self {
        let NodeSpec { id, ordinal, address, weight, zone, labels } = spec.clone();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        Self { id, ordinal, address, weight, zone, labels, ttl_ms }
    }

    /// What is said of it.
    pub fn spec(&self) -> NodeSpec {
        let Self { id, ordinal, address, weight, zone, labels, .. } = self.clone();
        NodeSpec { id, ordinal, address, weight, zone, labels }
    }

    /// Its lease.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

/// One change. The names on disk are part of the file format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Change {
    /// A node joined, or is described anew.
    Put {
        /// Service.
        service: String,
        /// The node.
        node: Kept,
    },
    /// A node left, or its lease lapsed. Its drain stays.
    Remove {
        /// Service.
        service: String,
        /// Id of the node.
        id: String,
    },
    /// A drain begins or ends.
    Drain {
        /// Service.
        service: String,
        /// Id of the node.
        id: String,
        /// Whether it begins.
        on: bool,
    },
    /// An ordinal counts; the mark rises to it if it is lower.
    Ordinal {
        /// Service.
        service: String,
        /// The ordinal.
        ordinal: u64,
    },
    /// An operator lowered the mark.
    Lower {
        /// Service.
        service: String,
        /// The mark from now on, if it was higher.
        ordinal: u64,
    },
    /// A primary was elected, or deposed.
    Primary {
        /// Service.
        service: String,
        /// What holds from now on, unless a later election is kept already.
        #[serde(flatten)]
        office: Office,
    },
}

/// Who is the primary of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Office {
    /// Of the primary, or of the last there was; 0: there never was one.
    pub epoch: u64,
    /// The primary's id; `None`: nobody is it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// When it was elected, in milliseconds since 1970, for people.
    pub since_ms: u64,
}

impl Change {
    /// The service it concerns.
    pub fn service(&self) -> &str {
        match self {
            Self::Put { service, .. }
            | Self::Remove { service, .. }
            | Self::Drain { service, .. }
            | Self::Ordinal { service, .. }
            | Self::Lower { service, .. }
            | Self::Primary { service, .. } => service,
        }
    }
}

/// What is kept of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Nodes that joined, by id.
    pub nodes: BTreeMap<String, Kept>,
    /// Ids of nodes that are drained, static ones too.
    pub drains: BTreeSet<String>,
    /// The highest ordinal that ever counted.
    pub high_water: u64,
    /// Who is the primary.
    pub office: Office,
}

/// What is kept, by service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Services by name.
    pub services: BTreeMap<String, Service>,
}

impl State {
    /// Carries out a change. Doing it twice is doing it once.
    pub fn apply(&mut self, change: &Change) {
        let service = self.services.entry(change.service().to_owned()).or_default();
        match change {
            Change::Put { node, .. } => drop(service.nodes.insert(node.id.clone(), node.clone())),
            Change::Remove { id, .. } => drop(service.nodes.remove(id)),
            Change::Drain { id, on: true, .. } => drop(service.drains.insert(id.clone())),
            Change::Drain { id, on: false, .. } => drop(service.drains.remove(id)),
            Change::Ordinal { ordinal, .. } => service.high_water = service.high_water.max(*ordinal),
            Change::Lower { ordinal, .. } => service.high_water = service.high_water.min(*ordinal),
            Change::Primary { office, .. } if office.epoch >= service.office.epoch => {
                service.office = office.clone();
            }
            // An epoch never falls.
            Change::Primary { .. } => {}
        }
    }
}
