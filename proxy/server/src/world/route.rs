//! A route as requests see it under one configuration.

use std::sync::Arc;

use pointsman_config::plan::{self, Protocol};
use pointsman_core::facts::RequestFacts;
use pointsman_core::route::course::{self, Edits};
use rand::Rng;

use super::Service;

/// Where the requests of a route go.
pub struct Route {
    /// Services that share them, each with the sum of its weight and those before.
    shares: Vec<(u32, Arc<Service>)>,
    /// Whether the lane speaks what the nodes of all of them do.
    pub plain: bool,
    /// What is changed on the way, where anything is.
    pub course: Option<Arc<Course>>,
}

/// What a route changes.
pub struct Course {
    plan: plan::Route,
    /// In what nodes get.
    pub request: Edits,
    /// In what they answer.
    pub response: Edits,
}

impl Route {
    /// A route of the plan with its services, in the same order.
    pub fn new(plan: &plan::Route, services: Vec<Arc<Service>>) -> Self {
        let plain = |service: &Arc<Service>| service.plan.tls.is_none() && service.plan.protocol == Protocol::Http1;
        let mut sum = 0;
        let changes = plan.redirect.is_some()
            || plan.rewrite.is_some()
            || !plan.request_headers.is_empty()
            || !plan.response_headers.is_empty();
        let course = || Course {
            request: Edits::new(&plan.request_headers),
            response: Edits::new(&plan.response_headers),
            plan: plan.clone(),
        };
        let course = changes.then(|| Arc::new(course()));
        let plain = services.iter().all(plain);
        let weighed = plan.services.iter().zip(services).filter(|(share, _)| share.weight > 0);
        let shares = weighed.map(|(share, service)| {
            sum += share.weight;
            (sum, service)
        });
        Self { shares: shares.collect(), plain, course }
    }

    /// The service that takes the next request: by weight, each for itself. `None`: it is redirected.
    pub fn service(&self) -> Option<&Arc<Service>> {
        let (sum, last) = self.shares.last()?;
        if self.shares.len() == 1 {
            return Some(last);
        }
        // Not the bits that the policy gets, or the split would bend what it draws from them.
        let drawn = rand::thread_rng().gen_range(0..*sum);
        self.shares.iter().find(|(upto, _)| drawn < *upto).map(|(_, service)| service)
    }
}

impl Course {
    /// Whether nodes are asked for another path.
    pub fn changes_path(&self) -> bool {
        self.plan.rewrite.is_some()
    }

    /// Appends the path that the node is asked for.
    pub fn path(&self, path: &str, out: &mut Vec<u8>) {
        match &self.plan.rewrite {
            Some(rule) => course::rewrite(rule, path, out),
            None => out.extend_from_slice(path.as_bytes()),
        }
    }

    /// Status and location, where clients are sent elsewhere.
    pub fn redirect(&self, facts: &impl RequestFacts, secure: bool) -> Option<(u16, String)> {
        let rule = self.plan.redirect.as_ref()?;
        Some((rule.status, course::location(rule, facts, secure)))
    }

    /// As configured.
    pub fn plan(&self) -> &plan::Route {
        &self.plan
    }
}
