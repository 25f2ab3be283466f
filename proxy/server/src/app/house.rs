//! Puts the parts together, in the order in which they depend on each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use pointsman_config::plan::{self, Address, Plan, Registry};
use pointsman_config::{Problems, Source};
use pointsman_host::{Host, HostOptions};
use tokio::sync::mpsc;

use super::keeper::Keeper;
use super::operators::Operators;
use super::upgrade::Heir;
use super::{Failure, RunArgs, certificates, colour, doors, failed, gauges, owners, privileges, room};
use crate::access_log::AccessLog;
use crate::admin::{self, AdminParts, Entrance, Ready};
use crate::audit::{Audit, Unwritable};
use crate::control::{self, ControlOptions};
use crate::exit;
use crate::metrics::Metrics;
use crate::reload::{Around, Instead, Parts, Reloader};
use crate::serve::{Sockets, Workers};
use crate::world::WorldCell;
use crate::world::bus::Bus;
use crate::world::control::{Control, Order};
use crate::world::legacy::Legacy;
use crate::world::reload::{self, Reload};

/// A proxy that serves.
pub(super) struct House {
    pub(super) workers: Arc<Workers>,
    pub(super) control: Control,
    pub(super) reload: Reload,
    pub(super) ready: Ready,
    pub(super) entrance: Entrance,
    /// The admin API's socket.
    pub(super) admin: Option<Operators>,
    pub(super) world: WorldCell,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bus: Bus,
    pub(super) audit: Audit,
    /// The registry's.
    pub(super) folder: PathBuf,
    /// Keeps owners of keys in it.
    pub(super) keeper: Keeper,
    /// Addresses in use that were inherited.
    pub(super) taken: Vec<Address>,
}

/// What is bound and proven, before the registry is touched.
struct Ground {
    source: Source,
    plan: Arc<Plan>,
    threads: usize,
    admin: Option<Operators>,
    sockets: Sockets,
}

impl House {
    /// Builds one. An heir says that it is proven before the registry is opened, and waits until its nodes are checked
    /// before it accepts, while its admin API answers.
    pub(super) fn build(
        args: &RunArgs,
        instead: Option<Instead>,
        mut heir: Option<&mut Heir>,
    ) -> Result<Self, Failure> {
        let ground = Ground::prepare(args, heir.as_deref_mut())?;
        let (metrics, bus) = (Arc::new(Metrics::new()), Bus::default());
        let (control, inbox) = Control::channel();
        let (reload, orders) = Reload::channel();
        let audit = Audit::closed(wanted(&ground.plan), &metrics, &bus).map_err(|e| failed(&e))?;
        let options = HostOptions { workers: ground.threads, ..HostOptions::default() };
        let parts = Parts {
            file: args.config.clone(),
            host: Arc::new(Host::new(options).map_err(|e| failed(&e))?),
            control: control.clone(),
            metrics: Arc::clone(&metrics),
            bus: bus.clone(),
            audit: audit.clone(),
            instead,
        };
        let Ground { source, plan, threads, admin, sockets } = ground;
        let wrong = |problems: Problems| Failure::new(exit::CONFIG, problems.render(colour()));
        let reloader = Reloader::prove(parts, &source, &plan).map_err(wrong)?;
        let legacy = heir.as_deref_mut().map_or_else(|| Ok(Legacy::default()), Heir::proven);
        let legacy = legacy.map_err(|e| failed(&e))?;
        let folder = start_control(&plan, &metrics, &bus, legacy.clone(), inbox)?;
        room::block_on(open_audit(&audit, heir.is_some()))?;
        let world = room::block_on(reloader.first(&source, &plan)).map_err(wrong)?;
        for (name, left) in &legacy.services {
            if let Some(service) = world.services.get(name) {
                service.state.turn.store(left.turn, Ordering::Relaxed);
            }
        }
        let world: WorldCell = Arc::new(ArcSwap::from_pointee(world));
        gauges::at_each_scrape(&metrics, &world);
        let keeper = Keeper::start(&folder, &world, &metrics, &bus, heir.is_some()).map_err(|e| failed(&e))?;
        owners::sweep(&world);
        let log = AccessLog::start(&plan.access_log, &metrics).map_err(|e| failed(&e))?;
        let workers = Arc::new(Workers::start(threads, &world, &metrics, &log).map_err(|e| failed(&e))?);
        let operators = admin.iter().filter(|admin| admin.inherited).map(|admin| admin.address.clone());
        let taken = sockets.kept().iter().cloned().chain(operators).collect();
        let house = Self {
            workers,
            control,
            reload,
            ready: Ready::default(),
            entrance: Entrance::default(),
            admin,
            world,
            metrics,
            bus,
            audit,
            folder,
            keeper,
            taken,
        };
        house.open(args, sockets, heir.as_deref(), &plan, threads)?;
        house.spawn_reloader(reloader, &log, orders);
        Ok(house)
    }

    /// Accepts: operators first, then clients.
    fn open(
        &self,
        args: &RunArgs,
        sockets: Sockets,
        heir: Option<&Heir>,
        plan: &Plan,
        threads: usize,
    ) -> Result<(), Failure> {
        self.ready.inherit(heir.is_some_and(Heir::ready));
        // The certificates of operators. What is wrong with any is told below.
        let _ = self.workers.renew();
        self.serve_admin().map_err(|e| failed(&e))?;
        if heir.is_some() {
            // The one before serves until we know whom to serve from. An error means that the control thread has ended.
            let _ = room::block_on(self.control.first_checks());
        }
        let listeners = self.workers.open(sockets);
        certificates::report(&self.workers.renew(), &self.bus);
        certificates::watch(&self.workers, &self.bus, &self.metrics);
        let admin = self.admin.as_ref().map(|admin| &admin.address);
        announce(&listeners, admin.map(|address| admin_url(plan, address)), threads);
        if let Some(file) = &args.ports_file {
            write_ports(file, &listeners, admin).map_err(|e| failed(&e))?;
        }
        // On a thread of its own: SIGTERM must be heard while the first checks still run.
        let (control, ready) = (self.control.clone(), self.ready.clone());
        room::spawn("first-checks", move || async move {
            if control.first_checks().await.is_ok() {
                ready.begin();
            }
        });
        Ok(())
    }

    /// Lets the leases of recovered nodes run where their heartbeats are answered, and not before: a start takes longer
    /// than the shortest lease. Without an admin API nobody ever renews, so they run, too.
    fn serve_admin(&self) -> std::io::Result<()> {
        let parts = AdminParts {
            control: self.control.clone(),
            reload: self.reload.clone(),
            world: Arc::clone(&self.world),
            bus: self.bus.clone(),
            metrics: Arc::clone(&self.metrics),
            ready: self.ready.clone(),
            entrance: self.entrance.clone(),
            audit: self.audit.clone(),
            speech: self.workers.operators(),
        };
        // A descriptor of its own: another stays here for the process that comes after this one.
        let operators = |admin: &Operators| Ok::<_, std::io::Error>((admin.socket.try_clone()?, admin.address.clone()));
        let socket = self.admin.as_ref().map(operators).transpose()?;
        room::spawn("admin", move || async move {
            // An error means that the control thread has ended, and the leases with it.
            let _ = parts.control.run_leases().await;
            let Some((socket, address)) = socket else { return };
            if let Err(error) = admin::serve(socket, address, parts).await {
                log::error!("the admin API has ended, traffic goes on: {error}");
            }
        });
        Ok(())
    }

    fn spawn_reloader(&self, reloader: Reloader, log: &Arc<AccessLog>, orders: mpsc::Receiver<reload::Order>) {
        let (log, live, bus) = (Arc::clone(log), Arc::clone(&self.workers), self.bus.clone());
        let around = Around {
            doors: Arc::new(doors::WorkerDoors(Arc::clone(&self.workers))),
            live: Box::new(move |plan| {
                log.switch(&plan.access_log);
                certificates::report(&live.renew(), &bus);
            }),
            busy: Box::new(room::pace()),
        };
        let world = Arc::clone(&self.world);
        room::spawn("reload", move || reloader.run(world, around, orders));
    }
}

impl Ground {
    /// Privileges first, then sockets: an address that is taken must be said before anything is written or joined.
    fn prepare(args: &RunArgs, mut heir: Option<&mut Heir>) -> Result<Self, Failure> {
        let wrong = |problems: Problems| Failure::new(exit::CONFIG, problems.render(colour()));
        let (mut source, mut plan) = crate::reload::read(&args.config).map_err(wrong)?;
        // One that takes over is the plain user already, where the one before became it.
        if privileges::settle(&source, plan.run_as.as_ref()).map_err(wrong)? {
            // As whom it runs from now on: what that user cannot read would be missed at the next reload, or the next start.
            (source, plan) = crate::reload::read(&args.config).map_err(wrong)?;
        }
        let Registry::Embedded { path } = &plan.registry;
        if heir.as_deref().is_some_and(|heir| !heir.has(path)) {
            let text = format!(
                "error: an upgrade cannot move the registry, which would be in {}\n  help: leave `registry` as it was, or stop \
                 the proxy and start it again",
                path.display()
            );
            return Err(Failure::new(exit::CONFIG, text));
        }
        let threads = args.threads.map_or_else(cores, usize::from);
        let open = |admin: &plan::Admin| {
            let opened = Operators::open(admin, heir.as_deref_mut());
            opened.map_err(|e| Failure::new(exit::ADDRESS, admin_text(&admin.address, &e)))
        };
        let admin = plan.admin.as_ref().map(open).transpose()?;
        let lent = heir.map(Heir::lent).unwrap_or_default();
        let sockets =
            Sockets::bind(&plan.listeners, threads, lent).map_err(|e| Failure::new(exit::ADDRESS, address_text(&e)))?;
        Ok(Self { source, plan: Arc::new(plan), threads, admin, sockets })
    }
}

/// Opens the registry and starts whoever writes it; answers its folder.
fn start_control(
    plan: &Plan,
    metrics: &Arc<Metrics>,
    bus: &Bus,
    legacy: Legacy,
    inbox: mpsc::Receiver<Order>,
) -> Result<PathBuf, Failure> {
    let Registry::Embedded { path } = &plan.registry;
    let options = ControlOptions { store: path.clone(), metrics: Arc::clone(metrics), bus: bus.clone(), legacy };
    control::start(options, inbox).map_err(|e| {
        let text = format!("error: the registry in {} cannot be opened: {e}", path.display());
        Failure::new(exit::FAILED, text)
    })?;
    Ok(path.clone())
}

fn admin_text(address: &Address, error: &std::io::Error) -> String {
    format!(
        "error: the admin API cannot listen on {address}: {error}\n  help: another process may hold it (`ss -lxtnp` shows \
         which), or choose another `admin.address`"
    )
}

fn address_text(error: &std::io::Error) -> String {
    format!(
        "error: {error}\n  help: another process may hold it (`ss -lxtnp` shows which), or choose another address under `listeners`"
    )
}

fn wanted(plan: &Plan) -> Option<&plan::Audit> {
    plan.admin.as_ref().and_then(|admin| admin.audit.as_ref())
}

/// Where this process takes over from another, that is written down: room for it is set aside.
async fn open_audit(audit: &Audit, takes_over: bool) -> Result<(), Failure> {
    let help = "let the user that the proxy runs as write there, or name another `admin.audit.file`";
    let wrong = |e: Unwritable| Failure::new(exit::FAILED, format!("error: {e}\n  help: {help}"));
    audit.open().await.map_err(wrong)?;
    if takes_over { audit.room().await.map_err(wrong) } else { Ok(()) }
}

fn admin_url(plan: &Plan, address: &Address) -> String {
    if address.ip().is_none() {
        return address.to_string();
    }
    let secure = plan.admin.as_ref().is_some_and(|admin| admin.tls.is_some());
    format!("{}://{address}/", if secure { "https" } else { "http" })
}

fn announce(listeners: &[Address], admin: Option<String>, threads: usize) {
    for address in listeners {
        log::info!("listening on {address}");
    }
    if let Some(url) = admin {
        log::info!("admin on {url}");
    }
    log::info!("{threads} worker thread(s)");
}

fn write_ports(file: &Path, listeners: &[Address], admin: Option<&Address>) -> std::io::Result<()> {
    let text = serde_json::json!({ "listeners": listeners, "admin": admin }).to_string();
    let aside = file.with_extension("new");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, file)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
