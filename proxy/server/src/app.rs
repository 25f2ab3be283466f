//! Puts the parts together, in the order in which they depend on each other, and takes them apart again.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use crate::audit::Record;
use crate::exit;
use crate::reload::Instead;
use house::House;
use operators::Operators;
use signals::{End, Signals};
use upgrade::{Heir, Upgrades};

mod arguments;
mod certificates;
mod descriptors;
mod doors;
mod gauges;
mod house;
mod keeper;
mod notify;
mod operators;
mod owners;
mod privileges;
mod room;
mod signals;
pub mod upgrade;

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
    let program = upgrade::program();
    let mut heir = Heir::find().map_err(|e| failed(&format!("nothing can be taken over: {e}")))?;
    match House::build(args, instead, heir.as_mut()) {
        Ok(house) => {
            house.live(args, program, heir);
            Ok(())
        }
        Err(failure) => {
            if let Some(heir) = heir {
                heir.failed(&failure.text);
            }
            Err(failure)
        }
    }
}

impl House {
    /// Until the last request, or until another process has taken over and the last request here is through.
    fn live(self, args: &RunArgs, program: OsString, heir: Option<Heir>) {
        room::block_on(async {
            let mut signals = Signals::listen();
            let house = Arc::new(self);
            let parts = upgrade::Parts { args: args.clone(), program, house: Arc::clone(&house) };
            let (upgrades, handed) = Upgrades::start(parts);
            arrive(heir, &house).await;
            house.workers.take_over();
            house.admin.iter().for_each(Operators::take_over);
            let end = signals.until_end(&house.reload, &upgrades, handed).await;
            upgrades.stop();
            house.stop(args, &end, &mut signals).await;
            // Requests may have learnt owners up to their last byte.
            house.keeper.stop().await;
            house.admin.iter().for_each(Operators::close);
        });
    }
}

/// Tells whoever waits for this process that it serves.
async fn arrive(heir: Option<Heir>, house: &House) {
    let Some(heir) = heir else { return notify::say("READY=1") };
    let (before, now) = (std::os::unix::process::parent_id(), std::process::id());
    let asked_by = heir.asked_by().to_owned();
    heir.serving(&house.taken);
    house.metrics.process().upgraded(true);
    house.bus.tell("upgraded", "", "", format!("process {now} serves in place of process {before}"));
    let (before, after) = (json!({ "process": before }), json!({ "process": now }));
    // Room was set aside before this process served. Operators are told by whoever writes.
    let _ = house.audit.record(Record { before, after, ..Record::new(asked_by, "upgrade") }).await;
}

impl House {
    /// Requests stop coming (readiness first, so that whoever balances over several proxies sees it), what runs finishes.
    async fn stop(&self, args: &RunArgs, end: &End, signals: &mut Signals) {
        let grace = Duration::from_secs(args.grace);
        let mut theirs = None;
        match end {
            End::HandedOver(taken) => {
                theirs = Some(taken.clone());
                self.admin.iter().filter(|admin| taken.contains(&admin.address)).for_each(Operators::leave);
                log::info!("handed over: requests under way have {} s", args.grace);
            }
            End::Told(patient) => {
                self.ready.set(false);
                self.metrics.process().stops();
                notify::say("STOPPING=1");
                let notice = if *patient { args.notice } else { 0 };
                let message =
                    format!("/readyz is red; {notice} s until listeners close, {} s more for requests", args.grace);
                self.bus.tell("stopping", "", "", message);
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(notice)) => {}
                    () = signals.once_more() => {
                        self.workers.cut();
                        return self.workers.shutdown(Duration::ZERO);
                    }
                }
                log::info!("stopping: requests under way have {} s", args.grace);
            }
        }
        let (tell, mut ended) = oneshot::channel();
        let workers = Arc::clone(&self.workers);
        room::spawn("stop", move || async move {
            match &theirs {
                Some(theirs) => workers.hand_over(theirs, grace),
                None => workers.shutdown(grace),
            }
            // An error means that nobody waits any more.
            let _ = tell.send(());
        });
        // A process that was told nothing yet may be told to stop while it finishes: it does so already.
        let mut words = if matches!(end, End::HandedOver(_)) { 2 } else { 1 };
        loop {
            tokio::select! {
                _ = &mut ended => return,
                () = signals.once_more() => words -= 1,
            }
            if words == 0 {
                self.workers.cut();
                // An error means that the thread has ended, too.
                let _ = ended.await;
                return;
            }
        }
    }
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
