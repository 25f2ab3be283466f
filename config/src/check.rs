//! From what was written to what is true: each topic has a file that reads its part of the tree, reports every problem
//! it finds there, and returns what it understood. The plan is used only if nothing was reported.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;

use crate::certificates;
use crate::plan::{Mark, Plan};
use crate::problem::{Problem, Problems, Source};
use crate::raw::Node;
use fields::{Fields, Known};

mod access_log;
mod address;
mod admin;
mod broadcast;
mod client;
mod course;
mod drain;
mod eject;
mod fields;
mod headers;
mod health;
mod key;
mod listeners;
mod mirror;
mod nodes;
mod owners;
mod policies;
mod primary;
mod registry;
mod repeats;
mod retry;
mod routes;
mod run_as;
mod services;
mod shed;
mod sticky;
mod tls;
mod trusted;
pub(crate) mod words;

/// Problems that are kept; of more, only the number is told.
const MAX_KEPT: usize = 100;

/// Where the checks of one file leave what they find.
pub(crate) struct Checks<'a> {
    source: &'a Source,
    found: RefCell<Vec<Problem>>,
    left_out: Cell<usize>,
    /// Places about which enough was said.
    silenced: RefCell<HashSet<(usize, usize)>>,
}

impl<'a> Checks<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, found: RefCell::default(), left_out: Cell::new(0), silenced: RefCell::default() }
    }

    /// Notes a problem. An empty hint is none.
    pub(crate) fn report(&self, mark: Mark, message: impl Into<String>, hint: impl Into<String>) {
        let mut found = self.found.borrow_mut();
        let (message, hint) = (message.into(), hint.into());
        if self.silenced.borrow().contains(&(mark.line, mark.column)) {
            return;
        }
        // An alias shows the same value, with the same fault, in several places.
        if found.iter().any(|p| (p.line, p.column) == (mark.line, mark.column) && p.message == message) {
            return;
        }
        if found.len() == MAX_KEPT {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        let problem = self.source.problem(mark, message);
        found.push(if hint.is_empty() { problem } else { problem.help(hint) });
    }

    /// Drops later problems at this very place: they would follow from one that was told.
    pub(crate) fn silence(&self, mark: Mark) {
        self.silenced.borrow_mut().insert((mark.line, mark.column));
    }

    /// The text of the line that a mark stands on.
    pub(crate) fn line(&self, mark: Mark) -> &str {
        self.source.line(mark.line).unwrap_or_default()
    }

    /// A path from the file, joined to the file's folder.
    fn path(&self, written: &str) -> PathBuf {
        self.source.file().parent().map_or_else(|| written.into(), |folder| folder.join(written))
    }

    /// The verdict: `Ok` if nothing was reported.
    pub(crate) fn finish(self) -> Result<(), Problems> {
        let mut list = self.found.into_inner();
        if list.is_empty() {
            return Ok(());
        }
        list.sort_by_key(|problem| (problem.line, problem.column));
        Err(Problems { list, left_out: self.left_out.get() })
    }
}

/// What the file as a whole is called in messages.
const WHOLE: &str = "the configuration";

const FILE: Known = Known {
    fields: &[
        "listeners",
        "admin",
        "user",
        "group",
        "trusted_proxies",
        "forwarded_headers",
        "trusted_header",
        "access_log",
        "shed_at_memory",
        "registry",
        "lane",
        "policies",
        "services",
        "routes",
    ],
    later: &[],
};

/// Builds the plan; what was reported on the way decides whether it may be used.
pub(crate) fn plan(root: &Node, checks: &Checks, known_policies: &[&str]) -> Plan {
    repeats::check(root, checks);
    let file = Fields::open(checks, root, WHOLE, &FILE);
    let policies = policies::brought(&file);
    let mut names: Vec<&str> = known_policies.to_vec();
    names.extend(policies.keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let (services, service_names) = services::services(&file, &names);
    let (listeners, mut taken) = listeners::listeners(&file);
    let registry = registry::registry(&file);
    let routes = routes::routes(&file, &service_names);
    broadcast::check_primaries(&routes, &services, checks);
    primary::check_policies(&services, &policies, checks);
    Plan {
        file: checks.source.file().to_owned(),
        listeners,
        admin: admin::admin(&file, &mut taken, &service_names, &registry),
        trusted_proxies: trusted::trusted_proxies(&file),
        forwarded_headers: trusted::forwarded_headers(&file),
        trusted_header: trusted::trusted_header(&file),
        access_log: access_log::access_log(&file),
        registry,
        shed_at_memory: shed::shed_at_memory(&file),
        routes,
        run_as: run_as::run_as(&file),
        policies,
        services,
    }
}

/// Reads the hashes of tokens and the secrets of cookies, and reports what is wrong with the files that a plan names.
pub(crate) fn files(plan: &mut Plan, checks: &Checks) {
    if let Some(admin) = &mut plan.admin {
        admin::read_hashes(admin, checks);
    }
    for cookie in plan.services.values_mut().filter_map(|service| service.sticky_cookie.as_mut()) {
        sticky::read_secrets(cookie, checks);
    }
    for tls in plan.served_over_tls() {
        for certificate in &tls.certificates {
            if let Err(flaw) = certificates::identity(certificate) {
                checks.report(certificate.mark, flaw.message, flaw.hint);
            }
        }
        if let Some(authorities) = &tls.client_ca
            && let Err(flaw) = certificates::authorities(authorities)
        {
            checks.report(authorities.mark, flaw.message, flaw.hint);
        }
    }
    for tls in plan.services.values().filter_map(|service| service.tls.as_ref()) {
        if let Err((mark, flaw)) = certificates::trust(tls) {
            checks.report(mark, flaw.message, flaw.hint);
        }
    }
}
