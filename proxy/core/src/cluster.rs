//! Who may serve: nodes, their standing, and the one immutable value in which readers see both.
//!
//! Control flow: registry, health checks and configuration send events to one writer ([`roster::Roster`]), which
//! publishes a new [`membership::Membership`] per change through a [`cell::MembershipCell`].

pub mod cell;
pub mod health;
pub mod lease;
pub mod load;
pub mod membership;
pub mod node;
pub mod primary;
pub mod record;
pub mod roster;
