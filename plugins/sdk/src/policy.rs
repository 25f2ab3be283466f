//! The one trait that an author implements.

use serde::de::DeserializeOwned;

use crate::{Members, Outcome, Request, Verdict};

/// How much of the routing key a pick needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyNeed {
    /// Nothing: the host does not extract a key.
    #[default]
    None,
    /// Only its stable hash.
    Hash,
    /// The text and the hash. Costs one call into the guest's allocator, about 40 ns.
    Text,
    /// The value alone of a key that is a decimal number of 1 to 18 digits without a sign ([`Request::number`]); text and
    /// hash of any other.
    Number,
}

/// What a pick needs under the given settings. The host computes nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The routing key.
    pub key: KeyNeed,
    /// Requests under way at each node. Costs one copy, about 0.1 ns a node.
    pub loads: bool,
    /// The node that owns the key.
    pub owner: bool,
    /// Names of headers, lower case, whose values a pick reads; `:method` and `:path` stand for the method and for the path
    /// without query, as sent. A host that explains without a request at hand knows neither.
    pub headers: Vec<String>,
    /// Whether [`Policy::observe`] wants outcomes.
    pub observations: bool,
}

/// A routing policy. Everything but `Settings`, `new` and `pick` has a default.
///
/// `pick` takes `&self`: an answer depends on settings, members and arguments alone, so every worker's instance
/// answers alike and a decision can be replayed.
pub trait Policy: Sized + 'static {
    /// The service's `with:` mapping. A key that is no field of it is refused with the nearest name that is.
    /// `Default` stands for an absent `with:`.
    type Settings: DeserializeOwned + Default;

    /// Whether a key belongs to one node. Then a fault costs a 503, not a wrong node, unless the operator says so.
    const PINS: bool = false;

    /// Checks the settings. The error is shown to the operator beside the line of the YAML: name the key and the cure.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// What a pick needs. Asked once, after `new`.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Called before the first pick and whenever the nodes or their standing change: work out here what picks look up.
    fn members(&mut self, _members: &Members) {}

    /// Called when only the standing of the nodes changed; the work of [`Policy::members`] unless a policy can do less.
    fn standing_changed(&mut self, members: &Members) {
        self.members(members);
    }

    /// Picks a node. Only eligible nodes may be answered ([`Members::eligible`]).
    fn pick(&self, request: &Request<'_>, members: &Members) -> Verdict;

    /// Picks again after a failure; `tried` must not be answered. `attempt` counts from 2.
    ///
    /// By default the answer of `pick` without what was tried; where nothing is left of it, any eligible node not
    /// tried yet, by `request.random`, so that one node's failures spread over all others and not over a neighbour.
    fn pick_again(&self, request: &Request<'_>, members: &Members, attempt: u32, tried: &[u32]) -> Verdict {
        let _ = attempt;
        self.pick(request, members).without(tried, request.random, members)
    }

    /// The decision that `pick` would take, in words. Never on the request path.
    fn explain(&self, request: &Request<'_>, members: &Members) -> String {
        self.pick(request, members).describe(members)
    }

    /// Takes outcomes of earlier picks. Called on the learner only, and only if [`Needs::observations`] is set.
    fn observe(&mut self, _outcomes: &[Outcome]) {}

    /// State that a learner shares with the other instances, or hands to its next version.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes on a saved state; `from_version` is the version of the policy that saved it.
    fn restore(&mut self, _from_version: &str, _state: &[u8]) -> Result<(), String> {
        Ok(())
    }
}
