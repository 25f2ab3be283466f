//! Builds a World aside and proves it whole: every policy compiled, instantiated, configured and told its nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_config::plan::{self, Plan, PolicySource};
use pointsman_core::cluster::membership::{Member, Membership, Standing};
use pointsman_core::cluster::node::{Incarnation, Node, NodeSpec, Source};
use pointsman_core::owners::OwnerTable;
use pointsman_core::pick::picker::Picker;
use pointsman_core::pick::policy::Policy;
use pointsman_core::rate::RateLimiter;
use pointsman_core::retry::RetryBudget;
use pointsman_core::route::Router;
use pointsman_host::{Digest, Host, Limits, OnQuarantine, WasmPolicy};

use super::shelf::{Found, Shelf, UPLOADED};
use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::control::Feed;
use crate::world::reload::PolicyReport;
use crate::world::{Route, Service, ServiceState, Sticky, World};

/// What is wrong with a policy, and where the operator wrote what led to it.
pub(super) struct Wrong {
    pub(super) mark: plan::Mark,
    pub(super) message: String,
    pub(super) hint: String,
}

/// A policy set up for a service.
#[derive(Clone)]
pub(super) struct InForce {
    /// Its name in the configuration.
    pub(super) name: String,
    pub(super) policy: Arc<WasmPolicy>,
    /// `built-in`, `uploaded`, or a path.
    pub(super) source: String,
}

impl InForce {
    pub(super) fn digest(&self) -> Digest {
        self.policy.module().digest()
    }

    /// As operators see it; the caller gathers the services that use it.
    pub(super) fn report(&self) -> PolicyReport {
        let status = self.policy.status();
        let serving = self.policy.serving_module();
        let about = serving.unwrap_or(self.policy.module()).about().clone();
        let digest = status.serving.unwrap_or(status.digest);
        PolicyReport {
            name: self.name.clone(),
            describes: about.name,
            version: about.version,
            digest: digest.to_string(),
            quarantined_digest: status.quarantined.then(|| status.digest.to_string()),
            source: self.source.clone(),
            services: Vec::new(),
            faults: status.faults.into_iter().map(|(label, count)| (label.to_owned(), count)).collect(),
            quarantined: status.quarantined,
        }
    }
}

/// A policy to ask instead of the sandboxed one, so that the cost of the sandbox can be measured in the whole proxy.
pub type Instead = fn(&plan::Service) -> Option<Arc<dyn Policy>>;

/// What a build draws on.
pub(super) struct Builder<'a> {
    pub(super) host: &'a Host,
    pub(super) shelf: &'a Shelf,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) bus: &'a Bus,
    /// By service name.
    pub(super) in_force: &'a BTreeMap<String, InForce>,
    pub(super) previous: Option<&'a World>,
    pub(super) instead: Option<Instead>,
}

impl Builder<'_> {
    /// Every service's policy, or everything that is wrong.
    pub(super) fn policies(&self, plan: &Plan) -> Result<BTreeMap<String, InForce>, Vec<Wrong>> {
        let mut ready = BTreeMap::new();
        let mut wrong = Vec::new();
        for service in plan.services.values() {
            match self.policy(service, plan.policies.get(&service.policy.name)) {
                Ok(policy) => {
                    ready.insert(service.name.clone(), policy);
                }
                Err(problem) => wrong.push(problem),
            }
        }
        if wrong.is_empty() { Ok(ready) } else { Err(wrong) }
    }

    fn policy(&self, service: &plan::Service, named: Option<&PolicySource>) -> Result<InForce, Wrong> {
        let name = &service.policy.name;
        let found = self.shelf.find(name, named).map_err(|message| Wrong {
            mark: named.map_or(service.policy.mark, |source| source.mark),
            message,
            hint: "name a component file that exists, relative to the configuration".into(),
        })?;
        self.set_up(service, named, &found)
    }

    /// Compiles, instantiates and configures; tells it the nodes.
    fn set_up(&self, service: &plan::Service, named: Option<&PolicySource>, found: &Found) -> Result<InForce, Wrong> {
        let name = &service.policy.name;
        let limits = named.map_or_else(Limits::default, |s| Limits { budget: s.budget, memory: s.memory });
        let module = self.host.compile(name, &found.bytes, limits).map_err(|e| Wrong {
            mark: named.map_or(service.policy.mark, |source| source.mark),
            message: format!("policy `{name}` ({}) is refused: {}", found.source, e.cause),
            hint: "policies/README.md shows how a policy is built".into(),
        })?;
        let old = self.in_force.get(&service.name).filter(|old| old.name == *name).map(|old| &old.policy);
        let (settings, membership) = (&service.policy.settings, self.membership(service));
        let policy =
            self.host.policy(&module, settings, &membership, old, Some(self.on_quarantine(service))).map_err(|e| {
                Wrong {
                    mark: service.policy.place_of(&e.message),
                    message: format!("policy `{name}` of service `{}`: {}", service.name, e.message),
                    hint: cure(name, &module.about().name, found),
                }
            })?;
        match service.sticky_cookie.as_ref().filter(|_| !policy.needs().owner) {
            Some(cookie) => Err(Wrong {
                mark: cookie.mark,
                message: format!("policy `{name}` of service `{}` does not ask whose a request is", service.name),
                hint: "`policy: sticky` follows the cookie; or take `sticky_cookie` out".into(),
            }),
            None => Ok(InForce { name: name.clone(), policy, source: found.source.clone() }),
        }
    }

    /// Would these bytes do as policy `name` wherever it is used? Swaps nothing. What it answers keeps the compiled code
    /// alive: dropped before the swap, the component would be compiled twice.
    pub(super) fn try_bytes(&self, name: &str, wasm: &[u8], plan: &Plan) -> Result<Vec<InForce>, Wrong> {
        let found = Found { bytes: wasm.to_vec().into(), source: UPLOADED.into() };
        let users = plan.services.values().filter(|service| service.policy.name == name);
        users.map(|service| self.set_up(service, plan.policies.get(name), &found)).collect()
    }

    /// What the policy is told first: the nodes as they stand, or those of the file where the service is new.
    fn membership(&self, service: &plan::Service) -> Arc<Membership> {
        if let Some(known) = self.previous.and_then(|world| world.services.get(&service.name)) {
            return known.state.members().load_full();
        }
        let members = service.nodes.iter().map(expected).collect();
        let high_water = service.nodes.iter().filter_map(|n| n.ordinal).max().unwrap_or(0);
        Arc::new(Membership::new(0, 0, members, None).with_high_water(high_water))
    }

    fn on_quarantine(&self, service: &plan::Service) -> OnQuarantine {
        let (bus, metrics, service) = (self.bus.clone(), Arc::clone(self.metrics), service.name.clone());
        Arc::new(move |notice| {
            metrics.policy_quarantined(&notice.policy);
            let now = notice.serving.map_or_else(|| "nothing".to_owned(), |digest| format!("version {digest:.12}"));
            let message = format!(
                "policy `{}` version {:.12} is quarantined after repeated faults (last: {}); {now} serves now",
                notice.policy,
                notice.digest,
                notice.fault.label(),
            );
            bus.tell("policy-quarantined", &service, "", message);
        })
    }

    /// The world of `plan`, in which every service that stood before keeps its state.
    pub(super) fn world(
        &self,
        plan: &Arc<Plan>,
        policies: &BTreeMap<String, InForce>,
        feeds: &BTreeMap<String, Arc<Feed>>,
    ) -> World {
        let services: BTreeMap<String, Arc<Service>> = plan
            .services
            .values()
            .filter_map(|service| {
                let counted = plan.routes.iter().any(|route| route.waits_for(&service.name));
                let ready = policies.get(&service.name)?;
                let feed = feeds.get(&service.name)?;
                Some((service.name.clone(), Arc::new(self.service(service, ready, feed, counted))))
            })
            .collect();
        let route = |route: &plan::Route| {
            let of = route.services.iter().filter_map(|share| services.get(&share.service).cloned());
            let mirror = route.mirror.as_ref().and_then(|mirror| services.get(&mirror.service).cloned());
            Route::new(route, of.collect(), mirror)
        };
        let by_route = plan.routes.iter().map(route).collect();
        World {
            generation: self.previous.map_or(0, |world| world.generation) + 1,
            plan: Arc::clone(plan),
            router: Router::new(&plan.routes),
            by_route,
            services,
        }
    }

    fn service(&self, service: &plan::Service, ready: &InForce, feed: &Arc<Feed>, counted: bool) -> Service {
        let state = self.state(service, feed);
        let sandboxed = || -> Arc<dyn Policy> { Arc::clone(&ready.policy) as _ };
        let policy = self.instead.and_then(|instead| instead(service)).unwrap_or_else(sandboxed);
        Service {
            rate: self.rate(service),
            sticky: self.sticky(service),
            plan: service.clone(),
            state,
            picker: Picker::new(policy, service.policy.on_fault),
            counted,
            metrics: self.metrics.service(&service.name, &service.policy.name),
        }
    }

    /// What the service kept under the configuration before, as long as it has the same feed.
    fn state(&self, service: &plan::Service, feed: &Arc<Feed>) -> Arc<ServiceState> {
        let old = self.previous.and_then(|world| world.services.get(&service.name)).map(|old| &old.state);
        let old = old.filter(|state| Arc::ptr_eq(&state.feed, feed));
        let owners = service.owners.as_ref().map(|rules| owners(rules, old.and_then(|old| old.owners.as_ref())));
        if let Some(old) = old.filter(|old| old.owners.is_some() == owners.is_some()) {
            return Arc::clone(old);
        }
        Arc::new(ServiceState {
            name: old.map_or_else(|| service.name.as_str().into(), |old| Arc::clone(&old.name)),
            feed: Arc::clone(feed),
            turn: old.map(|old| Arc::clone(&old.turn)).unwrap_or_default(),
            budget: old.map_or_else(|| Arc::new(RetryBudget::new()), |old| Arc::clone(&old.budget)),
            owners,
            barrier: old.map(|old| Arc::clone(&old.barrier)).unwrap_or_default(),
        })
    }

    fn sticky(&self, service: &plan::Service) -> Option<Arc<Sticky>> {
        let cookie = service.sticky_cookie.as_ref()?;
        Some(Arc::new(Sticky::new(cookie, &service.name, self.metrics.sticky(&service.name))))
    }

    /// Buckets go on where they stand, unless the rule has changed.
    fn rate(&self, service: &plan::Service) -> Option<Arc<RateLimiter>> {
        let rule = service.rate.as_ref()?;
        let old = self.previous.and_then(|world| world.services.get(&service.name));
        let kept = old.filter(|old| old.plan.rate.as_ref() == Some(rule)).and_then(|old| old.rate.clone());
        Some(kept.unwrap_or_else(|| Arc::new(RateLimiter::new(rule))))
    }
}

/// Owners that are known stay, under the bounds of the new configuration.
fn owners(rules: &plan::Owners, known: Option<&Arc<OwnerTable>>) -> Arc<OwnerTable> {
    let (capacity, ttl) = (rules.capacity as usize, rules.ttl);
    let Some(table) = known else { return Arc::new(OwnerTable::new(capacity, ttl)) };
    table.configure(capacity, ttl);
    Arc::clone(table)
}

/// What to do about settings that are refused: where another policy was uploaded under this name, that is what is wrong.
fn cure(name: &str, own: &str, found: &Found) -> String {
    if found.source == UPLOADED && own != name {
        return format!(
            "the component names itself `{own}`, and would be uploaded as that: `pointsman policy upload {own} FILE`; to serve as \
             `{name}` it has to take the settings of `{name}`"
        );
    }
    "policies/README.md lists the settings of every built-in policy".into()
}

/// A node of the file, as a policy is first told of it.
fn expected(node: &plan::StaticNode) -> Member {
    let spec = NodeSpec {
        id: node.id.clone(),
        ordinal: node.ordinal,
        address: node.address.clone(),
        weight: node.weight,
        zone: node.zone.clone(),
        labels: node.labels.clone(),
    };
    let node = Node { spec, incarnation: Incarnation(0), source: Source::Static, load: Arc::default() };
    Member { node: Arc::new(node), standing: Standing::Up, share: 1000 }
}
