//! Puts the parts together, in the order in which they depend on each other, and takes them apart again.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pointsman_config::Source;
use pointsman_config::plan::{Plan, Registry};
use pointsman_host::{Host, HostOptions};

use crate::access_log::AccessLog;
use crate::admin::{self, AdminParts, Ready};
use crate::audit::Audit;
use crate::control::{self, ControlOptions};
use crate::exit;
use crate::metrics::Metrics;
use crate::reload::{Around, Instead, Parts, Reloader};
use crate::serve::Workers;
use crate::world::WorldCell;
use crate::world::bus::Bus;
use crate::world::control::Control;
use crate::world::reload::{self, Reload};

mod arguments;
mod certificates;
mod descriptors;
mod doors;
mod gauges;
mod privileges;
mod room;
mod signals;

pub use arguments::RunArgs;

/// What stops a start: the exit code, and the text that says what to do.
#[derive(Debug)]
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// `pointsman run`: exit codes as in [`exit`].
pub fn run(args: &RunArgs) -> ExitCode {
    run_with(args, None)
}

/// As [`run`], asking other policies than the sandboxed ones: what the sandbox costs is measured against that.
pub fn run_with(args: &RunArgs, instead: Option<Instead>) -> ExitCode {
    init_log();
    log::debug!("{} descriptors may be open", descriptors::raise());
    match serve(args, instead) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            eprintln!("{}", failure.text.trim_end());
            ExitCode::from(failure.code)
        }
    }
}

/// From the file to the last request.
fn serve(args: &RunArgs, instead: Option<Instead>) -> Result<(), Failure> {
    let (mut source, mut plan) = read(&args.config)?;
    if privileges::settle(&source, plan.run_as.as_ref()).map_err(|e| Failure::new(exit::CONFIG, e.render(colour())))? {
        // As whom it runs from now on: what that user cannot read would be missed at the next reload, or the next start.
        (source, plan) = read(&args.config)?;
    }
    let threads = args.threads.map_or_else(cores, usize::from);
    let metrics = Arc::new(Metrics::new());
    let bus = Bus::default();
    let ready = Ready::default();
    let (reload, orders) = Reload::channel();

    // Sockets first: an address that is taken must be said before anything is written or joined.
    let admin_socket = plan.admin.as_ref().map(|a| bind_admin(a.address)).transpose()?;
    let control = start_control(&plan, &metrics, &bus)?;
    let audit = start_audit(&plan, &metrics, &bus)?;
    let host = Arc::new(Host::new(HostOptions { workers: threads, ..HostOptions::default() }).map_err(|e| failed(&e))?);
    let parts = Parts {
        file: args.config.clone(),
        host,
        control: control.clone(),
        metrics: Arc::clone(&metrics),
        bus: bus.clone(),
        audit: audit.clone(),
        instead,
    };
    let (reloader, world) = room::block_on(Reloader::first(parts, &source, Arc::clone(&plan)))
        .map_err(|problems| Failure::new(exit::CONFIG, problems.render(colour())))?;
    let world: WorldCell = Arc::new(ArcSwap::from_pointee(world));

    gauges::at_each_scrape(&metrics, &world);
    let log = AccessLog::start(&plan.access_log, &metrics).map_err(|e| failed(&e))?;
    let workers = Arc::new(Workers::start(threads, &world, &metrics, &log).map_err(|e| failed(&e))?);
    let addresses: Vec<_> = plan.listeners.iter().map(|l| l.address).collect();
    let listeners = workers.listen(&addresses).map_err(|e| Failure::new(exit::ADDRESS, address_text(&e)))?;
    certificates::report(&workers.renew(), &bus);

    let admin_address = admin_socket.as_ref().and_then(|socket| socket.local_addr().ok());
    let parts = AdminParts {
        control: control.clone(),
        reload: reload.clone(),
        world: Arc::clone(&world),
        bus: bus.clone(),
        metrics: Arc::clone(&metrics),
        ready: ready.clone(),
        audit,
        speech: workers.operators(),
    };
    serve_admin(admin_socket, parts);
    certificates::watch(&workers, &bus, &metrics);
    spawn_reloader(reloader, &world, &workers, &log, &bus, orders);
    announce(&listeners, admin_address.map(|address| admin_url(&plan, address)), threads);
    if let Some(file) = &args.ports_file {
        write_ports(file, &listeners, admin_address).map_err(|e| failed(&e))?;
    }
    ready_after_first_checks(control, ready.clone());
    signals::until_stopped(&reload);
    stop(&ready, &workers, Duration::from_secs(args.grace));
    Ok(())
}

/// Lets the leases of recovered nodes run where their heartbeats are answered, and not before: a start takes longer than
/// the shortest lease. Without an admin API nobody ever renews, so they run, too.
fn serve_admin(socket: Option<TcpListener>, parts: AdminParts) {
    let control = parts.control.clone();
    room::spawn("admin", move || async move {
        // An error means that the control thread has ended, and the leases with it.
        let _ = control.run_leases().await;
        let Some(socket) = socket else { return };
        if let Err(error) = admin::serve(socket, parts).await {
            log::error!("the admin API has ended, traffic goes on: {error}");
        }
    });
}

/// On a thread of its own: SIGTERM must be heard while the first checks still run.
fn ready_after_first_checks(control: Control, ready: Ready) {
    room::spawn("first-checks", move || async move {
        if control.first_checks().await.is_ok() {
            ready.set(true);
        }
    });
}

fn read(file: &Path) -> Result<(Source, Arc<Plan>), Failure> {
    crate::reload::read(file)
        .map(|(source, plan)| (source, Arc::new(plan)))
        .map_err(|problems| Failure::new(exit::CONFIG, problems.render(colour())))
}

fn start_control(plan: &Plan, metrics: &Arc<Metrics>, bus: &Bus) -> Result<Control, Failure> {
    let Registry::Embedded { path } = &plan.registry;
    let options = ControlOptions { store: path.clone(), metrics: Arc::clone(metrics), bus: bus.clone() };
    control::start(options).map_err(|e| {
        let text = format!("error: the registry in {} cannot be opened: {e}", path.display());
        Failure::new(exit::FAILED, text)
    })
}

fn start_audit(plan: &Plan, metrics: &Arc<Metrics>, bus: &Bus) -> Result<Audit, Failure> {
    let wanted = plan.admin.as_ref().and_then(|admin| admin.audit.as_ref());
    Audit::start(wanted, metrics, bus).map_err(|e| {
        let help = "let the user that the proxy runs as write there, or name another `admin.audit.file`";
        Failure::new(exit::FAILED, format!("error: {e}\n  help: {help}"))
    })
}

fn spawn_reloader(
    reloader: Reloader,
    world: &WorldCell,
    workers: &Arc<Workers>,
    log: &Arc<AccessLog>,
    bus: &Bus,
    orders: tokio::sync::mpsc::Receiver<reload::Order>,
) {
    let (log, live, bus) = (Arc::clone(log), Arc::clone(workers), bus.clone());
    let around = Around {
        doors: Arc::new(doors::WorkerDoors(Arc::clone(workers))),
        live: Box::new(move |plan| {
            log.switch(&plan.access_log);
            certificates::report(&live.renew(), &bus);
        }),
        busy: Box::new(room::pace()),
    };
    let world = Arc::clone(world);
    room::spawn("reload", move || reloader.run(world, around, orders));
}

/// Requests stop coming (readiness first, so that whoever balances over several proxies sees it), what runs finishes.
fn stop(ready: &Ready, workers: &Workers, grace: Duration) {
    ready.set(false);
    log::info!("stopping: requests under way have {} s", grace.as_secs());
    workers.shutdown(grace);
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|e| {
        let text = format!(
            "error: the admin API cannot listen on {address}: {e}\n  help: another process may hold it (`ss -ltnp` shows which), \
             or choose another `admin.address`"
        );
        Failure::new(exit::ADDRESS, text)
    })
}

fn address_text(error: &std::io::Error) -> String {
    format!(
        "error: {error}\n  help: another process may hold it (`ss -ltnp` shows which), or choose another address under `listeners`"
    )
}

fn admin_url(plan: &Plan, address: SocketAddr) -> String {
    let secure = plan.admin.as_ref().is_some_and(|admin| admin.tls.is_some());
    format!("{}://{address}/", if secure { "https" } else { "http" })
}

fn announce(listeners: &[SocketAddr], admin: Option<String>, threads: usize) {
    for address in listeners {
        log::info!("listening on {address}");
    }
    if let Some(url) = admin {
        log::info!("admin on {url}");
    }
    log::info!("{threads} worker thread(s)");
}

fn write_ports(file: &Path, listeners: &[SocketAddr], admin: Option<SocketAddr>) -> std::io::Result<()> {
    let text = serde_json::json!({ "listeners": listeners, "admin": admin }).to_string();
    let aside = file.with_extension("new");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, file)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Messages go to standard error: time, level, where from, what. Quiet below `info` unless `POINTSMAN_LOG` says
/// otherwise; pingora's own words about single requests are in the access log already.
fn init_log() {
    let env = env_logger::Env::new().filter_or("POINTSMAN_LOG", "info,pingora_core=error,pingora_proxy=off");
    env_logger::Builder::from_env(env).format_timestamp_millis().init();
}

fn failed(error: &impl std::fmt::Display) -> Failure {
    Failure::new(exit::FAILED, format!("error: {error}"))
}
