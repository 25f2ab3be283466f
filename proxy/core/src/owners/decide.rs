//! What an owner, or that there is none, means for a request.

use pointsman_config::plan::{BoundTo, OnGone, OnUnknown, Owners};

use super::{Life, Owner, OwnerTable};
use crate::cluster::membership::{Member, Membership};

/// What is done with a request of a service that keeps owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// The member at this index owns the key and may take requests: it, or nobody.
    Owner(u32),
    /// The policy picks, and who is picked owns the key.
    Policy,
    /// The member at this index is the primary and takes it.
    Primary(u32),
    /// It waits for the membership, or for an owner.
    Park,
    /// It is refused: its key has no owner.
    Unknown,
    /// It is refused: its owner may not take it.
    Gone,
}

/// What a service's settings say of owners that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The key has no owner.
    pub on_unknown: OnUnknown,
    /// The owner may not take it.
    pub on_gone: OnGone,
    /// What a key belongs to.
    pub bound_to: BoundTo,
}

impl From<&Owners> for Rules {
    fn from(plan: &Owners) -> Self {
        Self { on_unknown: plan.on_unknown, on_gone: plan.on_gone, bound_to: plan.bound_to }
    }
}

impl Rules {
    /// What is done with a request whose key has this owner in this membership. No primary that may take requests where
    /// one is wanted: it waits for one. `open`: whether nodes that may be picked may take this request at all.
    pub fn course(self, table: &OwnerTable, owner: Option<Owner>, membership: &Membership, open: bool) -> Course {
        let Some(owner) = owner else {
            return match self.on_unknown {
                OnUnknown::Hash => Course::Policy,
                OnUnknown::Primary => primary(membership, open),
                OnUnknown::Park => Course::Park,
                OnUnknown::Refuse => Course::Unknown,
            };
        };
        let index = self.index_in(table, owner, membership);
        let serves = |index: &u32| open && membership.get(*index).is_some_and(Member::eligible);
        if let Some(index) = index.filter(serves) {
            return Course::Owner(index);
        }
        match self.on_gone {
            OnGone::Primary => primary(membership, open),
            OnGone::Policy => Course::Policy,
            OnGone::Park => Course::Park,
            OnGone::Refuse => Course::Gone,
        }
    }

    /// Where an owner stands in a membership, if it does.
    pub fn index_in(self, table: &OwnerTable, owner: Owner, membership: &Membership) -> Option<u32> {
        table.lives.with(owner.life, |life| self.index_of(life, membership))
    }

    /// Where a life stands in a membership, if it does.
    pub fn index_of(self, life: &Life, membership: &Membership) -> Option<u32> {
        let same = membership.index_of(life.incarnation);
        // Which life a snapshot meant nobody knows; its nodes were told to be there when it was taken in.
        if same.is_some() || self.bound_to == BoundTo::Life && life.incarnation.0 > 0 {
            return same;
        }
        let named = membership.members().iter().position(|member| member.node.spec.id == *life.node);
        named.and_then(|index| u32::try_from(index).ok())
    }
}

fn primary(membership: &Membership, open: bool) -> Course {
    let serves = |index: &u32| open && membership.get(*index).is_some_and(Member::eligible);
    membership.primary().filter(serves).map_or(Course::Park, Course::Primary)
}
