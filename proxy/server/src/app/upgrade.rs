//! One process takes over from another (ADR 0010). Here is the one that serves: it starts the other, gives it every
//! socket, lets go of the registry once the other has proven its configuration, and leaves once the other serves. If that
//! goes wrong at any step it takes everything back and says why.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_config::plan::Address;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::house::House;
use super::{RunArgs, notify, room};
use crate::audit::Record;
use crate::world::legacy::Legacy;
use channel::{Channel, ENVIRONMENT, FromHeir, Offer, Place, ToHeir};
use desk::Asked;
pub use desk::{Outcome, Request, ask};
pub(super) use heir::Heir;

mod channel;
mod desk;
mod heir;

/// How long a new process may take until it serves. It compiles every policy first.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one that has said that it will not serve, or has hung up, may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Who asked, as the audit names it, where a signal did.
const SIGNAL: &str = "signal";

/// How long lines of changes that were made may take to reach the audit. They are on their way; what waits for the registry
/// instead has changed nothing.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What is handed over, and who has to be told.
pub(super) struct Parts {
    pub(super) args: RunArgs,
    /// The program that was started.
    pub(super) program: OsString,
    pub(super) house: Arc<House>,
}

/// Upgrades as the rest of the process sees them.
pub(super) struct Upgrades {
    wanted: mpsc::Sender<Request>,
    /// The process that is to take over, until it has.
    child: Arc<Mutex<Heirs>>,
}

/// Processes that were started to take over.
#[derive(Default)]
struct Heirs {
    /// Whether none is wanted any more: this process stops.
    over: bool,
    child: Option<Child>,
}

/// The program of this process, as it can be started again: a path stays what it is when the working directory or the
/// file behind it changes, and a bare name is looked for anew.
pub(super) fn program() -> OsString {
    let name = std::env::args_os().next().unwrap_or_default();
    let path = PathBuf::from(&name);
    if path.components().count() < 2 {
        return name;
    }
    std::path::absolute(&path).map_or(name, Into::into)
}

impl Upgrades {
    /// Listens for requests from the call on. Sends the addresses that the new process has taken, once, when this one has
    /// to leave.
    pub(super) fn start(parts: Parts) -> (Self, mpsc::Receiver<Vec<Address>>) {
        let (wanted, wants) = mpsc::channel(1);
        let (handed, over) = mpsc::channel(1);
        let child = Arc::new(Mutex::new(Heirs::default()));
        let desk = desk::listen(&parts.house.folder);
        let office = Office { parts, child: Arc::clone(&child) };
        room::spawn("upgrade", move || office.serve(desk, wants, handed));
        (Self { wanted, child }, over)
    }

    /// Asks for one, with everything as it is. One that is under way is enough.
    pub(super) fn want(&self) {
        let _ = self.wanted.try_send(Request::default());
    }

    /// Ends one that is under way, and begins none any more.
    pub(super) fn stop(&self) {
        let mut heirs = self.child.lock();
        heirs.over = true;
        if let Some(child) = &mut heirs.child {
            // An error means that it has ended already.
            let _ = child.kill();
        }
    }
}

/// Carries upgrades out, one after the other.
struct Office {
    parts: Parts,
    child: Arc<Mutex<Heirs>>,
}

/// What has to be taken back if the new process does not serve.
#[derive(Default)]
struct Given {
    reload: Option<oneshot::Sender<()>>,
    registry: bool,
}

impl Office {
    async fn serve(
        self,
        desk: io::Result<UnixListener>,
        mut wants: mpsc::Receiver<Request>,
        handed: mpsc::Sender<Vec<Address>>,
    ) {
        let desk = desk.and_then(tokio::net::UnixListener::from_std);
        if let Err(error) = &desk {
            let folder = self.parts.house.folder.display();
            log::warn!("`pointsman upgrade` will not reach this process, SIGUSR2 does: no socket in {folder}: {error}");
        }
        loop {
            let asked = async {
                match &desk {
                    Ok(desk) => desk::next(desk).await,
                    Err(_) => std::future::pending().await,
                }
            };
            let (who, asked) = tokio::select! {
                Some(request) = wants.recv() => (None, Asked { by: SIGNAL.into(), request }),
                asked = asked => match asked {
                    Ok((stream, asked)) => (Some(stream), asked),
                    Err(error) => {
                        log::error!("`pointsman upgrade` no longer reaches this process, SIGUSR2 does: {error}");
                        return self.only_signals(wants, handed).await;
                    }
                },
            };
            let (outcome, taken) = self.upgrade(&asked).await;
            if let Some(who) = who {
                desk::answer(who, &outcome).await;
            }
            if let Some(taken) = taken {
                // An error means that the process ends already.
                let _ = handed.send(taken).await;
                return;
            }
        }
    }

    async fn only_signals(self, mut wants: mpsc::Receiver<Request>, handed: mpsc::Sender<Vec<Address>>) {
        while let Some(request) = wants.recv().await {
            let asked = Asked { by: SIGNAL.into(), request };
            if let (_, Some(taken)) = self.upgrade(&asked).await {
                let _ = handed.send(taken).await;
                return;
            }
        }
    }

    /// From the start of the new process to its first request, or back.
    async fn upgrade(&self, asked: &Asked) -> (Outcome, Option<Vec<Address>>) {
        let mut given = Given::default();
        let before = std::process::id();
        match self.hand_over(asked, &mut given).await {
            Ok(taken) => {
                let pid = self.child.lock().child.take().map_or(0, |child| child.id());
                self.parts.house.control.give_up().await;
                self.parts.house.audit.leave();
                self.parts.house.entrance.leave();
                notify::say(&format!("MAINPID={pid}"));
                // Dropping `given.reload` ends the reloads of this process.
                let grace = self.parts.args.grace;
                (Outcome::Upgraded { pid, before, grace }, Some(taken))
            }
            Err(why) => {
                let why = self.put_down(why);
                self.take_back(given).await;
                self.parts.house.metrics.process().upgraded(false);
                self.parts.house.bus.tell("upgrade-failed", "", "", format!("process {before} serves on: {why}"));
                let told = Record { before: json!({ "process": before }), outcome: "refused", ..asked.record() };
                self.parts.house.audit.refusal(Record { reason: Some(why.clone()), ..told }).await;
                (Outcome::Refused { why }, None)
            }
        }
    }

    /// The words of the protocol, in their order. Blocks this thread while it waits; nothing else runs on it.
    async fn hand_over(&self, asked: &Asked, given: &mut Given) -> Result<Vec<Address>, String> {
        let request = &asked.request;
        // Written down by the new process, or by this one if there is none; here, too, nothing begins that cannot be.
        self.parts.house.audit.room().await.map_err(|error| error.to_string())?;
        self.parts.house.audit.nothing();
        let until = Instant::now() + request.timeout.map_or(PATIENCE, Duration::from_secs);
        let mut channel = self.spawn(request)?;
        given.reload = Some(self.parts.house.reload.hold().await.ok_or("this process is stopping")?);
        self.offer(&mut channel, &asked.by)
            .map_err(|error| format!("the sockets could not be given to it: {error}"))?;
        match hear(&mut channel, until)? {
            FromHeir::Proven => {}
            FromHeir::Serving { .. } => return Err("it serves before it was given the registry".into()),
            FromHeir::Failed { why } => return Err(why),
        }
        // What can be done before anybody has to wait.
        self.parts.house.keeper.prepare().await;
        // From here to its word nobody can join or renew; whoever tries waits.
        self.parts.house.entrance.shut();
        given.registry = true;
        self.parts.house.audit.hold();
        // Before the registry's lock is given up, which guards these files, too.
        self.parts.house.keeper.release().await;
        let mut legacy = self.parts.house.control.release().await.map_err(|error| error.to_string())?;
        // Nothing is changed here any more: only lines of what was may still come.
        self.parts.house.audit.close(LAST_LINES).await.map_err(|error| error.to_string())?;
        self.turns(&mut legacy);
        channel.send(&ToHeir::Registry(legacy)).map_err(|error| error.to_string())?;
        match hear(&mut channel, until)? {
            FromHeir::Serving { taken } => Ok(taken),
            FromHeir::Proven => Err("it does not say whether it serves".into()),
            FromHeir::Failed { why } => Err(why),
        }
    }

    fn spawn(&self, request: &Request) -> Result<Channel, String> {
        if std::process::id() == 1 {
            return Err(
                "this process is the first of its container, which ends when it does: start another container \
                 beside it, and stop this one"
                    .into(),
            );
        }
        let (channel, theirs) = Channel::pair().map_err(|error| error.to_string())?;
        let program = request.binary.as_ref().map_or(self.parts.program.as_os_str(), |binary| binary.as_os_str());
        let args = RunArgs { threads: request.threads.or(self.parts.args.threads), ..self.parts.args.clone() };
        let mut heirs = self.child.lock();
        if heirs.over {
            return Err("this process is stopping".into());
        }
        let mut command = Command::new(program);
        command.args(args.again()).env(ENVIRONMENT, "1").stdin(Stdio::from(theirs));
        let child = command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        log::info!("process {} ({}) is to take over", child.id(), program.display());
        heirs.child = Some(child);
        Ok(channel)
    }

    fn offer(&self, channel: &mut Channel, asked_by: &str) -> io::Result<()> {
        let doors = self.parts.house.workers.lend()?;
        let places = doors.iter().map(|lent| Place {
            asked: lent.asked.clone(),
            address: lent.address.clone(),
            sockets: lent.sockets.len(),
            file: lent.file,
        });
        let operators = self.parts.house.admin.as_ref();
        let admin = operators.map(|operators| Place {
            asked: operators.asked.clone(),
            address: operators.address.clone(),
            sockets: 1,
            file: operators.file(),
        });
        let ready = self.parts.house.ready.is_ready();
        let registry = std::path::absolute(&self.parts.house.folder)?;
        let asked_by = asked_by.to_owned();
        channel.send(&ToHeir::Offer(Offer { doors: places.collect(), admin, registry, ready, asked_by }))?;
        let mut sockets: Vec<BorrowedFd<'_>> = doors.iter().flat_map(|lent| &lent.sockets).map(AsFd::as_fd).collect();
        sockets.extend(operators.map(|operators| operators.socket.as_fd()));
        channel.give(&sockets)
    }

    /// Whose turn it is in each service.
    fn turns(&self, legacy: &mut Legacy) {
        for (name, service) in &self.parts.house.world.load().services {
            legacy.services.entry(name.clone()).or_default().turn = service.state.turn.load(Ordering::Relaxed);
        }
    }

    /// Makes sure that the new process has ended; answers why it does not serve, with how it ended.
    fn put_down(&self, why: String) -> String {
        let Some(mut child) = self.child.lock().child.take() else { return why };
        // One that ends by itself says more with its exit code.
        let patience = Instant::now() + LAST_WORDS;
        let mut ended = None;
        while ended.is_none() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
            ended = child.try_wait().ok().flatten();
        }
        // An error means that it has ended.
        let _ = child.kill();
        let ended = ended.or_else(|| child.wait().ok());
        match ended.filter(|status| status.code().is_some()) {
            Some(status) => format!("{} ({status})", why.trim_end()),
            None => why.trim_end().to_owned(),
        }
    }

    async fn take_back(&self, given: Given) {
        if given.registry {
            if let Err(error) = self.parts.house.control.take_back().await {
                self.parts.house.bus.tell("registry-unwritable", "", "", error.to_string());
            }
            self.parts.house.keeper.take_back().await;
            if let Err(error) = self.parts.house.audit.open().await {
                self.parts.house.bus.tell("audit-unwritable", "", "", error.to_string());
            }
            self.parts.house.entrance.open();
        }
        if let Some(go_on) = given.reload {
            // An error means that this process is stopping.
            let _ = go_on.send(());
        }
    }
}

impl Asked {
    fn record(&self) -> Record {
        Record::new(&self.by, "upgrade")
    }
}

/// The next word of the new process.
fn hear(channel: &mut Channel, until: Instant) -> Result<FromHeir, String> {
    channel.receive(until).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the new process has ended before it served; its own words stand in the log".into()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the new process did not serve in time".into(),
        _ => format!("the new process is not understood: {error}"),
    })
}
