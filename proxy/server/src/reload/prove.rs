//! From what is wrong to what the operator reads; and the same proof without serving, for `pointsman check`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pointsman_config::plan::{Admin, Mark, Plan, Registry};
use pointsman_config::{Problems, Source};
use pointsman_host::{Host, HostOptions};

use super::build::{Builder, Wrong};
use super::shelf::Shelf;
use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::control::Clash;

pub(super) fn problems(source: &Source, wrong: Vec<Wrong>) -> Problems {
    let problem = |w: Wrong| source.problem(w.mark, w.message).help(w.hint);
    Problems::from(wrong.into_iter().map(problem).collect::<Vec<_>>())
}

pub(super) fn clashes(source: &Source, plan: &Plan, clashes: Vec<Clash>) -> Problems {
    let problem = |clash: Clash| {
        let mark = plan.services.get(&clash.service).map_or(Mark::default(), |service| service.mark);
        source.problem(mark, clash.message).help("a node that joined holds it: let that one leave, or change the YAML")
    };
    Problems::from(clashes.into_iter().map(problem).collect::<Vec<_>>())
}

/// One problem with the file as a whole.
pub(super) fn whole(source: &Source, message: String, help: &str) -> Problems {
    Problems::from(vec![source.problem(Mark::default(), message).help(help)])
}

/// An address that cannot be had, at the listener that names it. The error of the sockets says which one that is.
pub(super) fn address(source: &Source, plan: &Plan, said: &str) -> Problems {
    let named = plan.listeners.iter().find(|listener| said.contains(&listener.address.to_string()));
    let mark = named.map_or(Mark::default(), |listener| listener.mark);
    let hint = "another process may hold it: `ss -lxtnp` shows which";
    Problems::from(vec![source.problem(mark, said).help(hint)])
}

/// What changed in the file and cannot change while the process runs: said, so that nobody waits for it.
pub(super) fn warn_of_what_waits_for_a_restart(before: &Plan, now: &Plan) {
    for (key, same) in [
        ("registry", before.registry == now.registry),
        ("user", before.run_as == now.run_as),
        ("admin.address", admin(before, |admin| admin.address.clone()) == admin(now, |admin| admin.address.clone())),
        ("admin.audit", admin(before, |admin| admin.audit.clone()) == admin(now, |admin| admin.audit.clone())),
    ] {
        if !same {
            log::warn!("`{key}` has changed in {}: that takes effect at the next start", now.file.display());
        }
    }
}

fn admin<T>(plan: &Plan, part: impl Fn(&Admin) -> T) -> Option<T> {
    plan.admin.as_ref().map(part)
}

/// The plan of a file; the policies that it names are proven apart.
pub fn read(file: &Path) -> Result<(Source, Plan), Problems> {
    let source = Source::read(file)?;
    let plan = source.check(&|name| std::env::var(name).ok(), pointsman_host::builtins())?;
    Ok((source, plan))
}

/// Everything that is wrong with a configuration and the policies it names, as `run` would find it, without serving.
pub fn check(file: &Path) -> Result<Plan, Problems> {
    let (source, plan) = read(file)?;
    let Registry::Embedded { path } = &plan.registry;
    let host = Host::new(HostOptions { workers: 1, ..HostOptions::default() })
        .map_err(|e| whole(&source, e.to_string(), "run it on a machine where WebAssembly can run"))?;
    let (shelf, metrics, bus) = (Shelf::new(path.join("policies")), Arc::new(Metrics::new()), Bus::default());
    let in_force = BTreeMap::new();
    let builder = Builder {
        host: &host,
        shelf: &shelf,
        metrics: &metrics,
        bus: &bus,
        in_force: &in_force,
        previous: None,
        instead: None,
    };
    match builder.policies(&plan) {
        Ok(_) => Ok(plan),
        Err(wrong) => Err(problems(&source, wrong)),
    }
}
