//! Asks the policy, proves its verdict against the membership it was asked about, and falls back with a named reason.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use pointsman_config::plan::OnFault;

use super::policy::{Ask, Fault, Needs, Policy, Verdict};
use super::reason::Reason;
use crate::cluster::membership::Membership;

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The policy.
    Policy,
    /// Nobody had to: the request's key has an owner.
    Owner,
    /// Nobody had to: the request's key has no owner that is there, and goes to the primary.
    Primary,
    /// The fallback (round robin over the eligible nodes), because of this fault.
    Fallback(Fault),
}

/// A proven decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send it to the member at `index`, which is eligible and not yet tried.
    Node {
        /// Index in the membership that was asked.
        index: u32,
        /// Whether another node must not serve it.
        only: bool,
        /// Who decided.
        by: By,
    },
    /// Wait up to so many milliseconds for the membership to change, then ask again.
    Park(u32),
    /// Nobody may serve it.
    Refuse(Reason),
}

/// A policy that is not trusted: whatever it answers, a decision is good.
pub struct Picker {
    policy: Arc<dyn Policy>,
    on_fault: Option<OnFault>,
    pins: bool,
    /// The fallback's own turn: the service's may not advance twice for one request.
    turn: AtomicU64,
}

/// What is wrong with a verdict.
struct Wrong {
    fault: Fault,
    /// Whether the policy meant one node or nobody.
    only: bool,
}

impl Wrong {
    fn any(fault: Fault) -> Self {
        Self { fault, only: false }
    }
}

impl Picker {
    /// Asks `policy`. `on_fault` is what the operator said; without it a fault refuses the request where the policy
    /// pins keys or named one node or nobody (a wrong node is worse than a 503), and falls back otherwise.
    pub fn new(policy: Arc<dyn Policy>, on_fault: Option<OnFault>) -> Self {
        let pins = policy.about().pins;
        Self { policy, on_fault, pins, turn: AtomicU64::new(0) }
    }

    /// The policy that is asked.
    pub fn policy(&self) -> &Arc<dyn Policy> {
        &self.policy
    }

    /// What a pick needs.
    pub fn needs(&self) -> &Needs {
        self.policy.needs()
    }

    /// Picks among the members that are eligible and not in `ask.tried`.
    ///
    /// Where there is none the policy is not asked, unless it pins keys: then it may wish to wait for the owner.
    /// Does not allocate by itself on a first attempt.
    pub fn pick(&self, worker: usize, membership: &Arc<Membership>, ask: &Ask<'_>) -> Decision {
        let hopeless = count(membership, ask.tried) == 0;
        if hopeless && (!self.pins || membership.members().is_empty()) {
            return Decision::Refuse(Reason::NoNode);
        }
        let wrong = match self.policy.pick(worker, membership, ask) {
            Ok(verdict) => match prove(verdict, membership, ask) {
                Ok(decision) => return decision,
                Err(wrong) => {
                    self.policy.blame(wrong.fault);
                    wrong
                }
            },
            Err(fault) => Wrong::any(fault),
        };
        if hopeless {
            return Decision::Refuse(Reason::NoNode);
        }
        self.fall_back(&wrong, membership, ask)
    }

    fn fall_back(&self, wrong: &Wrong, membership: &Membership, ask: &Ask<'_>) -> Decision {
        let (tried, by) = (ask.tried, By::Fallback(wrong.fault));
        // Who owns the key is known without the policy.
        if let Some(index) = ask.owner.filter(|owner| matches!(named(membership, tried, *owner), Named::Free)) {
            return Decision::Node { index, only: true, by };
        }
        let on_fault =
            self.on_fault.unwrap_or(if self.pins || wrong.only { OnFault::Refuse } else { OnFault::RoundRobin });
        if on_fault == OnFault::Refuse {
            return Decision::Refuse(Reason::Fault(wrong.fault));
        }
        let turn = self.turn.fetch_add(1, atomic::Ordering::Relaxed);
        let nth = turn % count(membership, tried).max(1) as u64;
        free(membership, tried)
            .nth(usize::try_from(nth).unwrap_or(0))
            .map_or(Decision::Refuse(Reason::NoNode), |index| Decision::Node { index, only: false, by })
    }
}

/// Members that may still be picked.
fn free<'a>(membership: &'a Membership, tried: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    membership.eligible().iter().copied().filter(|index| !tried.contains(index))
}

fn count(membership: &Membership, tried: &[u32]) -> usize {
    if tried.is_empty() { membership.eligible().len() } else { free(membership, tried).count() }
}

/// How a member that a policy named stands to this request.
enum Named {
    Free,
    Taken,
    Stranger,
}

fn named(membership: &Membership, tried: &[u32], index: u32) -> Named {
    match membership.get(index) {
        None => Named::Stranger,
        Some(member) if member.eligible() && !tried.contains(&index) => Named::Free,
        Some(_) => Named::Taken,
    }
}

fn prove(verdict: Verdict, membership: &Membership, ask: &Ask<'_>) -> Result<Decision, Wrong> {
    let tried = ask.tried;
    let node = |index, only| Decision::Node { index, only, by: By::Policy };
    match verdict {
        Verdict::Node(index) => match named(membership, tried, index) {
            Named::Free => Ok(node(index, false)),
            Named::Taken => Err(Wrong::any(Fault::Ineligible)),
            Named::Stranger => Err(Wrong::any(Fault::Stranger)),
        },
        Verdict::Only(index) => match named(membership, tried, index) {
            Named::Free => Ok(node(index, true)),
            // No fault: that the owner is down is what the policy wanted to be told to the client.
            Named::Taken => Ok(Decision::Refuse(Reason::OwnerDown)),
            Named::Stranger => Err(Wrong { fault: Fault::Stranger, only: true }),
        },
        Verdict::Ranked(indices) => {
            for index in indices {
                match named(membership, tried, index) {
                    Named::Free => return Ok(node(index, false)),
                    Named::Taken => {}
                    Named::Stranger => return Err(Wrong::any(Fault::Stranger)),
                }
            }
            Ok(Decision::Refuse(Reason::NoNode))
        }
        Verdict::Lightest(indices) => lightest(&indices, membership, ask).map(|least| match least {
            Some(index) => node(index, false),
            None => Decision::Refuse(Reason::NoNode),
        }),
        Verdict::Park(milliseconds) => Ok(Decision::Park(milliseconds)),
        Verdict::Refuse { status, reason } if (400..=599).contains(&status) => {
            Ok(Decision::Refuse(Reason::Policy { status, reason }))
        }
        Verdict::Refuse { .. } => Err(Wrong::any(Fault::Malformed)),
    }
}

/// Of these nodes, or of all where none is named, the free one with the fewest requests under way; of several the one whose
/// turn it is.
fn lightest(indices: &[u32], membership: &Membership, ask: &Ask<'_>) -> Result<Option<u32>, Wrong> {
    if indices.iter().any(|index| membership.get(*index).is_none()) {
        return Err(Wrong::any(Fault::Stranger));
    }
    let named = if indices.is_empty() { membership.eligible() } else { indices };
    let loads = || {
        let member = |index: &u32| membership.get(*index).map(|member| (*index, member));
        let free =
            named.iter().filter_map(member).filter(|(index, member)| member.eligible() && !ask.tried.contains(index));
        free.map(|(index, member)| (index, member.load()))
    };
    let mut least = (None, u32::MAX, 0_u64);
    for (index, load) in loads() {
        least = match load.cmp(&least.1) {
            Ordering::Less => (Some(index), load, 1),
            Ordering::Equal => (least.0.or(Some(index)), load, least.2 + 1),
            Ordering::Greater => least,
        };
    }
    let (first, lowest, ties) = least;
    if ties < 2 {
        return Ok(first);
    }
    // Loads change meanwhile: where fewer are still as low, the first that was found is as good.
    let nth = usize::try_from(ask.turn % ties).unwrap_or(0);
    Ok(loads().filter(|(_, load)| *load == lowest).nth(nth).map_or(first, |(index, _)| Some(index)))
}

#[cfg(test)]
mod tests;
