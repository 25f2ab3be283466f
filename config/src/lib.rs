//! YAML in, [`plan::Plan`] out. Knows nothing else of the house.
pub mod plan;
