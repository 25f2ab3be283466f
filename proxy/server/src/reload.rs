//! Reads what the operator wrote, proves it whole beside the world in force, then swaps. Anything wrong: the old world
//! serves on, and every problem is shown at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::plan::{Listener, Plan, Registry};
use pointsman_config::{Problems, Source};
use pointsman_host::{Digest, Host};
use serde_json::json;
use tokio::sync::mpsc;

use crate::audit::{Audit, Record};
use crate::metrics::Metrics;
use crate::world::bus::Bus;
use crate::world::control::{Control, Denied};
use crate::world::doors::Doors;
use crate::world::reload::{Order, Outcome, PolicyReport};
use crate::world::{World, WorldCell};

mod build;
mod prove;
mod shelf;
mod watch;

pub use build::Instead;
use build::{Builder, InForce};
pub use prove::{check, read};
use shelf::Shelf;
use watch::Watch;

/// Quiet time after a change before files are read: editors write several times, and a copied component takes a while.
const SETTLE: Duration = Duration::from_millis(50);

/// How often worlds that were swapped out are looked at, while there are any.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What a reloader needs of the rest of the house.
pub struct Parts {
    /// The configuration file.
    pub file: PathBuf,
    /// Compiles and runs policies.
    pub host: Arc<Host>,
    /// The single writer of memberships.
    pub control: Control,
    /// Counts reloads, swaps and quarantines.
    pub metrics: Arc<Metrics>,
    /// Tells operators.
    pub bus: Bus,
    /// Writes down what was not asked for through the admin API, which does so itself.
    pub audit: Audit,
    /// Asked instead of sandboxed policies; `None` but in measurements.
    pub instead: Option<Instead>,
}

/// Holds what the world in force was made of.
pub struct Reloader {
    parts: Parts,
    shelf: Shelf,
    in_force: BTreeMap<String, InForce>,
    text: String,
    /// Whether the file was refused when it was read last.
    refused: bool,
    /// Worlds that were swapped out and that a request may still hold. Kept so that what falls to pieces falls here,
    /// and not on the worker that answers the last of their requests: unmapping the memories of policies takes a while.
    retired: Vec<Arc<World>>,
}

/// What a swap touches besides memberships: sockets and the access log.
pub struct Around {
    /// The sockets.
    pub doors: Arc<dyn Doors>,
    /// Called with each plan that went live.
    pub live: Box<dyn Fn(&Plan) + Send + Sync>,
    /// Told when work begins (true) and when it ends (false).
    pub busy: Box<dyn Fn(bool) + Send + Sync>,
}

impl Reloader {
    /// Proves every policy of the first plan. Nothing serves yet, so a problem ends the start.
    pub fn prove(parts: Parts, source: &Source, plan: &Plan) -> Result<Self, Problems> {
        let Registry::Embedded { path } = &plan.registry;
        let shelf = Shelf::new(path.join("policies"));
        let text = source.text().to_owned();
        let mut reloader = Self { parts, shelf, in_force: BTreeMap::new(), text, refused: false, retired: Vec::new() };
        reloader.in_force = reloader.policies(plan, source, None)?;
        Ok(reloader)
    }

    /// The first world, of the plan that was proven. Asks the control thread, so that must run.
    pub async fn first(&self, source: &Source, plan: &Arc<Plan>) -> Result<World, Problems> {
        let world = self.configure(plan, source, None, &self.in_force).await?;
        feed(&world);
        self.parts.metrics.generation(world.generation);
        Ok(world)
    }

    /// Serves orders and watches files until every order handle is gone.
    pub async fn run(mut self, world: WorldCell, around: Around, mut orders: mpsc::Receiver<Order>) {
        let (mut watch, mut changed) = Watch::new();
        loop {
            let listed = watch.files(files(&self.parts.file, &world.load().plan));
            if listed && std::fs::read_to_string(&self.parts.file).is_ok_and(|text| text != self.text) {
                (around.busy)(true);
                self.reload_for("file", &world, &around).await;
            }
            self.retired.retain(|world| Arc::strong_count(world) > 1);
            (around.busy)(false);
            tokio::select! {
                order = orders.recv() => {
                    match order {
                        None => return,
                        Some(Order::Hold { reply, until }) => {
                            // Whoever asked may have gone; then `until` was dropped, too.
                            let _ = reply.send(());
                            if until.await.is_err() {
                                return;
                            }
                        }
                        Some(order) => {
                            (around.busy)(true);
                            self.obey(order, &world, &around).await;
                        }
                    }
                }
                Some(()) = changed.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    let _ = changed.try_recv();
                    (around.busy)(true);
                    if watch.differs() {
                        self.reload_for("file", &world, &around).await;
                    }
                }
                () = tokio::time::sleep(LOOK_AGAIN), if !self.retired.is_empty() => (around.busy)(true),
            }
        }
    }

    async fn obey(&mut self, order: Order, world: &WorldCell, around: &Around) {
        // Whoever asked may have gone; what was ordered is done all the same.
        match order {
            Order::Now { reply } => drop(reply.send(self.reload(world, around).await)),
            Order::Signalled { reply } => drop(reply.send(self.reload_for("signal", world, around).await)),
            Order::Upload { name, wasm, reply } => {
                drop(reply.send(self.upload(&name, &wasm, world, around).await));
            }
            Order::Policies { reply } => drop(reply.send(self.report())),
            // Obeyed where orders are read.
            Order::Hold { .. } => {}
        }
    }

    /// The same, written down: because a file changed, or because a signal said so.
    async fn reload_for(&mut self, who: &str, world: &WorldCell, around: &Around) -> Outcome {
        let generation = world.load().generation;
        if let Err(unwritable) = self.parts.audit.room().await {
            return self.conclude(Outcome { generation, outcome: "refused", problems: vec![unwritable.to_string()] });
        }
        let outcome = self.reload(world, around).await;
        if outcome.outcome == "unchanged" {
            self.parts.audit.nothing();
            return outcome;
        }
        let (before, after) = (json!({ "generation": generation }), json!({ "generation": outcome.generation }));
        let (made, reason) =
            if outcome.outcome == "swapped" { ("done", None) } else { ("refused", Some("refused".into())) };
        // Operators are told by whoever writes.
        let _ = self
            .parts
            .audit
            .record(Record { before, after, outcome: made, reason, ..Record::new(who, "reload") })
            .await;
        outcome
    }

    /// Reads everything again. Says `unchanged` when nothing that matters differs.
    async fn reload(&mut self, world: &WorldCell, around: &Around) -> Outcome {
        let outcome = match self.swap(world, around).await {
            Ok(true) => Outcome { generation: world.load().generation, outcome: "swapped", problems: Vec::new() },
            Ok(false) => Outcome { generation: world.load().generation, outcome: "unchanged", problems: Vec::new() },
            Err(problems) => Outcome {
                generation: world.load().generation,
                outcome: "refused",
                problems: problems.list.iter().map(|p| p.render(false)).collect(),
            },
        };
        self.conclude(outcome)
    }

    /// Tells operators what became of it.
    fn conclude(&mut self, outcome: Outcome) -> Outcome {
        self.parts.metrics.reloaded(outcome.outcome, outcome.generation);
        match outcome.outcome {
            "swapped" => self.parts.bus.tell("reloaded", "", "", format!("generation {} is live", outcome.generation)),
            "refused" => {
                let problems = outcome.problems.join("\n\n");
                log::error!("reload refused, generation {} serves on:\n{problems}", outcome.generation);
                let message =
                    format!("{} problem(s); generation {} serves on", outcome.problems.len(), outcome.generation);
                self.parts.bus.tell("reload-refused", "", "", message);
            }
            // Whoever was told of the refusal is told that it is over.
            _ if self.refused => {
                let message = format!("the file says again what is in force: generation {}", outcome.generation);
                self.parts.bus.tell("reload-unchanged", "", "", message);
            }
            _ => {}
        }
        self.refused = outcome.outcome == "refused";
        outcome
    }

    async fn swap(&mut self, world: &WorldCell, around: &Around) -> Result<bool, Problems> {
        let (source, plan) = read(&self.parts.file)?;
        let plan = Arc::new(plan);
        let previous = world.load_full();
        if source.text() == self.text && *plan == *previous.plan && self.policies_unchanged(&plan) {
            return Ok(false);
        }
        let before = &previous.plan.listeners;
        let spots =
            |listeners: &[Listener]| listeners.iter().map(|l| (l.address.clone(), l.mode())).collect::<Vec<_>>();
        if spots(&plan.listeners) != spots(before) {
            around.doors.open(&plan.listeners).map_err(|e| prove::address(&source, &plan, &e.to_string()))?;
        }
        let (policies, next) = match self.prove_and_configure(&plan, &source, &previous).await {
            Ok(proven) => proven,
            Err(problems) => {
                if let Err(error) = around.doors.open(before) {
                    log::error!("the listeners of before could not be opened again: {error}");
                }
                return Err(problems);
            }
        };
        prove::warn_of_what_waits_for_a_restart(&previous.plan, &plan);
        // Counts the readers of the old one that hold it without a count of their own, too (arc_swap, `swap`).
        drop(previous);
        let next = Arc::new(next);
        self.retired.push(world.swap(Arc::clone(&next)));
        feed(&next);
        (around.live)(&plan);
        self.announce(&policies);
        self.in_force = policies;
        source.text().clone_into(&mut self.text);
        Ok(true)
    }

    /// Whether every policy that the plan names has the bytes that are in force.
    fn policies_unchanged(&self, plan: &Plan) -> bool {
        plan.services.values().all(|service| {
            let name = &service.policy.name;
            let found = self.shelf.find(name, plan.policies.get(name));
            self.in_force
                .get(&service.name)
                .is_some_and(|old| found.is_ok_and(|f| Digest::of(&f.bytes) == old.digest()))
        })
    }

    fn announce(&self, next: &BTreeMap<String, InForce>) {
        for (service, new) in next {
            let Some(old) = self.in_force.get(service) else { continue };
            if old.digest() != new.digest() {
                self.parts.metrics.policy_swapped(&new.name);
                let message = format!("policy `{}` is now {:.12} ({})", new.name, new.digest(), new.source);
                self.parts.bus.tell("policy-swapped", service, "", message);
            }
        }
    }

    fn builder<'a>(&'a self, previous: Option<&'a World>) -> Builder<'a> {
        Builder {
            host: &self.parts.host,
            shelf: &self.shelf,
            metrics: &self.parts.metrics,
            bus: &self.parts.bus,
            in_force: &self.in_force,
            previous,
            instead: self.parts.instead,
        }
    }

    fn policies(
        &self,
        plan: &Plan,
        source: &Source,
        previous: Option<&World>,
    ) -> Result<BTreeMap<String, InForce>, Problems> {
        self.builder(previous).policies(plan).map_err(|wrong| prove::problems(source, wrong))
    }

    async fn configure(
        &self,
        plan: &Arc<Plan>,
        source: &Source,
        previous: Option<&World>,
        policies: &BTreeMap<String, InForce>,
    ) -> Result<World, Problems> {
        let stopped = |e: Denied| prove::whole(source, e.to_string(), "look at the log, and at the registry's disk");
        let feeds = match self.parts.control.configure(Arc::clone(plan)).await.map_err(stopped)? {
            Ok(feeds) => feeds,
            Err(clashes) => return Err(prove::clashes(source, plan, clashes)),
        };
        Ok(self.builder(previous).world(plan, policies, &feeds))
    }

    async fn prove_and_configure(
        &self,
        plan: &Arc<Plan>,
        source: &Source,
        previous: &World,
    ) -> Result<(BTreeMap<String, InForce>, World), Problems> {
        let policies = self.policies(plan, source, Some(previous))?;
        let world = self.configure(plan, source, Some(previous), &policies).await?;
        Ok((policies, world))
    }

    /// Proves an uploaded component against every service that uses it, keeps it on disk, swaps it in.
    async fn upload(&mut self, name: &str, wasm: &[u8], world: &WorldCell, around: &Around) -> Outcome {
        let refuse = |problem: String| Outcome {
            generation: world.load().generation,
            outcome: "refused",
            problems: vec![problem],
        };
        let plan = Arc::clone(&world.load().plan);
        if !plan.services.values().any(|service| service.policy.name == name) {
            return refuse(format!("no service uses a policy `{name}`; name it under a service's `policy:` first"));
        }
        let _compiled = match self.try_upload(name, wasm, &world.load(), &plan) {
            Ok(compiled) => compiled,
            Err(problem) => {
                self.parts.metrics.reloaded("refused", world.load().generation);
                self.parts.bus.tell("policy-refused", "", "", format!("policy `{name}`: {problem}"));
                return refuse(problem);
            }
        };
        if let Err(error) = self.shelf.put(name, wasm, plan.policies.get(name)) {
            return refuse(format!("the upload could not be kept on disk, so it does not serve: {error}"));
        }
        self.reload(world, around).await
    }

    fn try_upload(&self, name: &str, wasm: &[u8], world: &World, plan: &Plan) -> Result<Vec<InForce>, String> {
        // What is brought is a component, whatever is asked beside.
        let builder = Builder { instead: None, ..self.builder(Some(world)) };
        builder.try_bytes(name, wasm, plan).map_err(|wrong| format!("{}\n  help: {}", wrong.message, wrong.hint))
    }

    fn report(&self) -> Vec<PolicyReport> {
        let mut reports: BTreeMap<(String, String), PolicyReport> = BTreeMap::new();
        for (service, policy) in &self.in_force {
            let own = policy.report();
            let merged = reports
                .entry((own.name.clone(), own.digest.clone()))
                .or_insert_with(|| PolicyReport { faults: BTreeMap::new(), ..own.clone() });
            merged.services.push(service.clone());
            merged.quarantined |= own.quarantined;
            for (fault, count) in own.faults {
                *merged.faults.entry(fault).or_default() += count;
            }
        }
        reports.into_values().collect()
    }
}

/// From now on the policies of this world get ready for new lists of nodes.
fn feed(world: &World) {
    for service in world.services.values() {
        service.state.feed.serve_by(service.picker.policy());
    }
}

/// Every file that the world rests on.
fn files<'a>(config: &'a Path, plan: &'a Plan) -> impl Iterator<Item = &'a Path> {
    std::iter::once(config).chain(plan.policies.values().map(|source| source.wasm.as_path())).chain(plan.secret_files())
}
