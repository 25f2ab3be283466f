//! A policy with its members: what stands behind the exports, and in a native test.

use crate::{KeyNeed, Members, Needs, Node, Outcome, Policy, Request, Standing, Verdict, settings};

/// A policy that was set up, and the members it was last told of.
#[derive(Debug)]
pub struct Runtime<P> {
    policy: P,
    members: Members,
    numbers: bool,
}

impl<P: Policy> Runtime<P> {
    /// Sets a policy up from the service's `with:` as JSON. The error names the key and the cure.
    pub fn configure(json: &str) -> Result<(Self, Needs), String> {
        let policy = P::new(settings::parse(json)?)?;
        let needs = policy.needs();
        let numbers = needs.key == KeyNeed::Number;
        Ok((Self { policy, members: Members::default(), numbers }, needs))
    }

    /// Hash and number of a key as the contract tells them in one place: a value without a text is a number where
    /// numbers were asked for.
    #[inline]
    pub fn told(&self, value: Option<u64>, has_text: bool) -> (Option<u64>, Option<u64>) {
        if self.numbers && !has_text { (None, value) } else { (value, None) }
    }

    /// The policy.
    pub fn policy(&self) -> &P {
        &self.policy
    }

    /// The members it was last told of.
    pub fn membership(&self) -> &Members {
        &self.members
    }

    /// Takes the whole list of nodes.
    pub fn members(&mut self, nodes: Vec<Node>, standing: &Standing) {
        self.members.replace(nodes, standing);
        self.policy.members(&self.members);
    }

    /// Takes a new standing of the same nodes.
    pub fn standing_changed(&mut self, standing: &Standing) {
        self.members.stand(standing);
        self.policy.standing_changed(&self.members);
    }

    /// Picks.
    #[inline]
    pub fn pick(&self, request: &Request<'_>) -> Verdict {
        self.policy.pick(request, &self.members)
    }

    /// Picks again.
    pub fn pick_again(&self, request: &Request<'_>, attempt: u32, tried: &[u32]) -> Verdict {
        self.policy.pick_again(request, &self.members, attempt, tried)
    }

    /// Explains a pick.
    pub fn explain(&self, request: &Request<'_>) -> String {
        self.policy.explain(request, &self.members)
    }

    /// Hands outcomes over.
    pub fn observe(&mut self, outcomes: &[Outcome]) {
        self.policy.observe(outcomes);
    }

    /// The policy's state.
    pub fn save(&self) -> Vec<u8> {
        self.policy.save()
    }

    /// Takes on a saved state.
    pub fn restore(&mut self, from_version: &str, state: &[u8]) -> Result<(), String> {
        self.policy.restore(from_version, state)
    }
}
