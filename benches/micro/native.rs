//! The built-in policies without Wasm: the same crates, called as plain Rust.

use pointsman_core::cluster::membership::{self, Membership};
use pointsman_core::key;
use pointsman_core::pick::policy::Ask;
use pointsman_policy::{KeyNeed, Needs, Node, Policy, Request, Runtime, Standing, State, Verdict};

/// A policy that was set up natively, with the buffer for its loads.
pub(crate) struct Native<P> {
    runtime: Runtime<P>,
    needs: Needs,
    loads: Vec<u32>,
}

impl<P: Policy> Native<P> {
    /// Sets a policy up over a membership.
    pub(crate) fn new(settings: &str, membership: &Membership) -> Self {
        let (mut runtime, needs) = Runtime::configure(settings).expect("the settings are good");
        runtime.members(nodes(membership), &standing(membership));
        Self { runtime, needs, loads: Vec::new() }
    }

    /// Picks. Loads are read as the host reads them.
    pub(crate) fn pick(&mut self, membership: &Membership, ask: &Ask<'_>) -> Verdict {
        if self.needs.loads {
            self.loads.clear();
            self.loads.extend(membership.members().iter().map(|m| m.node.load.in_flight()));
        }
        self.runtime.pick(&Request {
            turn: ask.turn,
            random: ask.random,
            now_ms: ask.now_ms,
            key_hash: ask.key_hash,
            number: ask.key.filter(|_| self.needs.key == KeyNeed::Number).and_then(key::number),
            key: ask.key,
            owner: None,
            loads: &self.loads,
            headers: &[],
        })
    }
}

fn nodes(membership: &Membership) -> Vec<Node> {
    let node = |m: &membership::Member| {
        let spec = &m.node.spec;
        let labels = spec.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Node { id: spec.id.clone(), ordinal: spec.ordinal, weight: spec.weight, zone: spec.zone.clone(), labels }
    };
    membership.members().iter().map(node).collect()
}

fn standing(membership: &Membership) -> Standing {
    let state = |m: &membership::Member| match m.standing {
        membership::Standing::Up => State::Up,
        membership::Standing::Degraded => State::Degraded,
        membership::Standing::Draining => State::Draining,
        membership::Standing::Down => State::Down,
    };
    let members = membership.members();
    Standing {
        state: members.iter().map(|m| state(m).to_wire()).collect(),
        share: members.iter().map(|m| m.share).collect(),
        primary: membership.primary(),
        high_water: membership.high_water(),
    }
}
