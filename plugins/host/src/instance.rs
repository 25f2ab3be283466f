//! One running guest: a store, an instance, and calls into it that end within their budget.

use std::sync::Arc;

use pointsman_core::cluster::load::NodeLoad;
use pointsman_core::cluster::membership::{Membership, seen_load};
use pointsman_core::key;
use pointsman_core::pick::policy::{About, Ask, Fault, KeyNeed, Needs, Verdict};
use wasmtime::{Store, Trap};

use crate::artifact::Artifact;
use crate::bindings;
use crate::bindings::exports::pointsman::policy::routing as wire;
use crate::budget::{self, Budget, Budgets, Tab};
use crate::compiler::one_line;
use crate::limits::{Caps, Limits};

mod answer;
mod roster;

/// Bytes that one answer of a guest may bring into the host: an explanation, a reason, a list.
const ANSWER_BYTES: usize = 64 << 10;

/// A call that brought nothing usable. The instance it was made on must not be used again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// What happened, on one line.
    pub(crate) message: String,
}

/// Why an instance could not be started.
#[derive(Debug)]
pub(crate) enum NoStart {
    /// Instantiation failed.
    Failed(Failure),
    /// An export has another type than the contract says.
    Mismatch(String),
}

impl From<NoStart> for Failure {
    fn from(no_start: NoStart) -> Self {
        match no_start {
            NoStart::Failed(failure) => failure,
            NoStart::Mismatch(message) => Self { fault: Fault::Malformed, message },
        }
    }
}

/// One running guest.
pub(crate) struct Instance {
    store: Store<Tab>,
    guest: bindings::Policy,
    budgets: Budgets,
    /// The membership that the guest knows. Kept whole, so that "the same" is one comparison of pointers.
    seen: Option<Arc<Membership>>,
    standing: roster::Standing,
    /// The counters of its nodes, where a pick needs loads: at hand in one step each, not three.
    counters: Vec<Arc<NodeLoad>>,
    /// Their warm-up shares, while any of them warms up.
    shares: Vec<u16>,
    needs_loads: bool,
    pins: bool,
    loads: Vec<u32>,
}

impl Instance {
    /// Starts one; the guest's own initialisation runs on the setup budget.
    pub(crate) fn start(artifact: &Artifact, limits: &Limits, budgets: &Budgets) -> Result<Self, NoStart> {
        let mut store = Store::new(artifact.pre.engine(), Tab::new(Caps::new(limits)));
        store.set_hostcall_fuel(ANSWER_BYTES);
        budget::install(&mut store);
        budget::begin(&mut store, budgets.setup);
        let instance = match artifact.pre.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => return Err(NoStart::Failed(failure(&store, &error))),
        };
        let guest =
            artifact.exports.load(&mut store, &instance).map_err(|error| NoStart::Mismatch(one_line(&error)))?;
        Ok(Self {
            store,
            guest,
            budgets: *budgets,
            seen: None,
            standing: roster::Standing::default(),
            counters: Vec::new(),
            shares: Vec::new(),
            needs_loads: false,
            pins: false,
            loads: Vec::new(),
        })
    }

    /// Asks who it is.
    pub(crate) fn describe(&mut self) -> Result<About, Failure> {
        let budget = self.budgets.setup;
        let about = call(&mut self.store, &self.guest, budget, |guest, store| guest.call_describe(store))?;
        Ok(About { name: about.name, version: about.version, pins: about.pins })
    }

    /// Hands it its settings; the inner error is what it has against them. `pins`: what it said of itself.
    pub(crate) fn configure(&mut self, settings: &str, pins: bool) -> Result<Result<Needs, String>, Failure> {
        let budget = self.budgets.setup;
        let answer = call(&mut self.store, &self.guest, budget, |guest, store| guest.call_configure(store, settings))?;
        let needs = answer.map(answer::needs);
        self.pins = pins;
        self.needs_loads = needs.as_ref().is_ok_and(|n| n.loads);
        Ok(needs)
    }

    /// Whether it was told this very list of nodes, however they stood then.
    pub(crate) fn knows_nodes_of(&self, membership: &Arc<Membership>) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            Arc::ptr_eq(seen, membership)
                || seen.roster() == membership.roster() && seen.members().len() == membership.members().len()
        })
    }

    /// Brings it up to a membership, if it knows another: the whole list, or only how the nodes stand.
    pub(crate) fn learn(&mut self, membership: &Arc<Membership>) -> Result<(), Failure> {
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, membership)) {
            return Ok(());
        }
        self.learn_changed(membership)
    }

    #[cold]
    fn learn_changed(&mut self, membership: &Arc<Membership>) -> Result<(), Failure> {
        let same_nodes = self.knows_nodes_of(membership);
        let budget = self.budgets.setup;
        let standing = self.standing.of(membership);
        if same_nodes {
            call(&mut self.store, &self.guest, budget, |guest, store| guest.call_standing_changed(store, standing))?;
        } else {
            let labels = roster::labels(membership);
            let nodes = roster::nodes(membership, &labels);
            call(&mut self.store, &self.guest, budget, |guest, store| guest.call_members(store, &nodes, standing))?;
        }
        if self.needs_loads {
            self.counters.clear();
            self.counters.extend(membership.members().iter().map(|m| Arc::clone(&m.node.load)));
            self.shares.clear();
            // A policy that pins keys sends them to their node, however new it is.
            if !self.pins && membership.members().iter().any(|m| m.share < 1000) {
                self.shares.extend(membership.members().iter().map(|m| m.share));
            }
        }
        self.seen = Some(Arc::clone(membership));
        Ok(())
    }

    /// Picks. `needs` are those of this module under its settings, and `ask.headers` are in their order.
    pub(crate) fn pick(
        &mut self,
        needs: &Needs,
        membership: &Arc<Membership>,
        ask: &Ask<'_>,
    ) -> Result<Verdict, Failure> {
        self.learn(membership)?;
        let request = request(&mut self.loads, &self.counters, &self.shares, needs, ask);
        let again = ask.attempt > 1 || !ask.tried.is_empty();
        let verdict = call(&mut self.store, &self.guest, self.budgets.pick, |guest, store| {
            if again {
                guest.call_pick_again(store, request, ask.attempt.max(2), ask.tried)
            } else {
                guest.call_pick(store, request)
            }
        })?;
        answer::verdict(verdict, membership.members().len())
    }

    /// The decision that `pick` would take, in words.
    pub(crate) fn explain(
        &mut self,
        needs: &Needs,
        membership: &Arc<Membership>,
        ask: &Ask<'_>,
    ) -> Result<String, Failure> {
        self.learn(membership)?;
        let request = request(&mut self.loads, &self.counters, &self.shares, needs, ask);
        let budget = self.budgets.pick;
        call(&mut self.store, &self.guest, budget, |guest, store| guest.call_explain(store, request))
    }
}

/// The one way into a guest.
fn call<T>(
    store: &mut Store<Tab>,
    guest: &bindings::Policy,
    budget: Budget,
    enter: impl FnOnce(&wire::Guest, &mut Store<Tab>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    budget::begin(store, budget);
    enter(guest.pointsman_policy_routing(), store).map_err(|error| failure(store, &error))
}

/// Names what went wrong. wasmtime reports what the guest did as a trap, and what it answered against the canonical
/// ABI (a list beyond its memory, text that is no UTF-8, more than [`ANSWER_BYTES`]) as another error.
#[cold]
fn failure(store: &Store<Tab>, error: &wasmtime::Error) -> Failure {
    let fault = match error.downcast_ref::<Trap>() {
        _ if store.data().caps.denied => Fault::Memory,
        Some(Trap::OutOfFuel | Trap::Interrupt) => Fault::Late,
        Some(_) => Fault::Trap,
        None => Fault::Malformed,
    };
    Failure { fault, message: one_line(error) }
}

/// What of a question the guest asked to see; the loads are read now, into a buffer that is kept.
fn request<'a>(
    loads: &'a mut Vec<u32>,
    counters: &[Arc<NodeLoad>],
    shares: &[u16],
    needs: &Needs,
    ask: &Ask<'a>,
) -> wire::Request<'a> {
    let loads: Option<&'a [u32]> = needs.loads.then(|| {
        loads.clear();
        loads.extend(counters.iter().map(|c| c.in_flight()));
        loads.iter_mut().zip(shares).for_each(|(load, share)| *load = seen_load(*load, *share));
        &loads[..]
    });
    let number = ask.key.filter(|_| needs.key == KeyNeed::Number).and_then(key::number);
    wire::Request {
        turn: ask.turn,
        random: ask.random,
        now_ms: ask.now_ms,
        key_hash: number.or(ask.key_hash.filter(|_| needs.key >= KeyNeed::Hash)),
        key: ask.key.filter(|_| needs.key >= KeyNeed::Text && number.is_none()),
        owner: ask.owner.filter(|_| needs.owner),
        loads,
        headers: ask.headers.filter(|_| !needs.headers.is_empty()),
    }
}
