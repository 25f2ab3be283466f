//! A route as requests see it under one configuration.

use std::io::Write;
use std::sync::Arc;

use pointsman_config::plan::{self, Host, Protocol};
use pointsman_core::cluster::node::Node;
use pointsman_core::facts::RequestFacts;
use pointsman_core::route::course::{self, Edits};
use rand::Rng;

use super::{Mirror, Service};

/// Where the requests of a route go.
pub struct Route {
    /// Services that share them, each with the sum of its weight and those before.
    shares: Vec<(u32, Arc<Service>)>,
    /// Whether the lane carries it: it speaks what the nodes of all of them do, and one of them at a time.
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
    /// Who gets copies.
    pub mirror: Option<Arc<Mirror>>,
}

impl Route {
    /// A route of the plan with its services, in the same order; `mirror`: the one that gets copies.
    pub fn new(plan: &plan::Route, services: Vec<Arc<Service>>, mirror: Option<Arc<Service>>) -> Self {
        let plain = |service: &Arc<Service>| service.plan.tls.is_none() && service.plan.protocol == Protocol::Http1;
        let mut sum = 0;
        let changes = plan.redirect.is_some()
            || plan.rewrite.is_some()
            || plan.host != Host::Keep
            || plan.mirror.is_some()
            || plan.broadcast.is_some()
            || !plan.request_headers.is_empty()
            || !plan.response_headers.is_empty();
        let course = || Course {
            request: Edits::new(&plan.request_headers),
            response: Edits::new(&plan.response_headers),
            mirror: plan.mirror.as_ref().zip(mirror).map(|(plan, service)| Arc::new(Mirror::new(plan, service))),
            plan: plan.clone(),
        };
        let course = changes.then(|| Arc::new(course()));
        let plain = plan.broadcast.is_none() && services.iter().all(plain);
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

    /// Whether nodes are asked for another host.
    pub fn changes_host(&self) -> bool {
        self.plan.host != Host::Keep
    }

    /// Appends the host that this node is asked for, if it is another than the client asked for.
    pub fn host(&self, node: &Node, out: &mut Vec<u8>) {
        match &self.plan.host {
            Host::Keep => {}
            // Writing to a Vec cannot fail.
            Host::Node => drop(write!(out, "{}", node.spec.address.authority())),
            Host::Name(name) => out.extend_from_slice(name.as_bytes()),
        }
    }

    /// Appends the lines that this node gets besides the client's.
    pub fn write_lines(&self, node: &Node, out: &mut Vec<u8>) {
        if self.changes_host() {
            out.extend_from_slice(b"host: ");
            self.host(node, out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(self.request.lines());
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
