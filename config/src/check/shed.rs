//! `shed_at_memory`: from which share of the memory limit on new connections are turned away.

use super::fields::Fields;
use crate::plan::SHED_AT_MEMORY;

/// Below, a proxy would turn clients away that it has room for.
const LEAST: f64 = 0.5;

/// The share, or `None` for `off`.
pub(crate) fn shed_at_memory(file: &Fields) -> Option<f64> {
    let Some(node) = file.get("shed_at_memory") else { return Some(SHED_AT_MEMORY) };
    if node.as_switch() == Some(false) {
        return None;
    }
    let share = file.percent("shed_at_memory")?;
    if share < LEAST {
        file.wrong("shed_at_memory", node, "`off` or a percentage from 50% to 100%", "");
    }
    Some(share)
}
