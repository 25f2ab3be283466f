//! What a process leaves to the one that takes over from it, beside its sockets and the registry on disk.

use std::collections::BTreeMap;

use pointsman_config::plan::Address;
use serde::{Deserialize, Serialize};

/// By the name of the service. Read by other versions of this program: fields are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Legacy {
    /// What is known of each service.
    pub services: BTreeMap<String, Left>,
}

/// What is known of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Left {
    /// Whose turn it is.
    pub turn: u64,
    /// What the checks say of its nodes, by id. One that failed its requests is left out, and checked anew.
    pub nodes: BTreeMap<String, Known>,
}

/// What the checks say of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Where it was checked.
    pub address: Address,
    /// Whether it passed.
    pub up: bool,
}
