//! From a key and a membership to a node: the policy's verdict, proven, or the fallback with a named reason.

pub mod picker;
pub mod policy;
pub mod reason;

#[cfg(test)]
pub(crate) mod scripted;
