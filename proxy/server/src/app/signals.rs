//! What the process does when it is signalled.

use std::future::Future;
use std::pin::Pin;

use pointsman_config::plan::Address;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::upgrade::Upgrades;
use crate::world::reload::{Outcome, Reload};

/// Why the process ends.
#[derive(Debug)]
pub(super) enum End {
    /// It was told to, by SIGTERM (true) or by somebody at a terminal.
    Told(bool),
    /// Another process serves, on these addresses that were ours.
    HandedOver(Vec<Address>),
}

/// The signals that mean something.
pub(super) struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

/// A reload under way.
type Reloading = Pin<Box<dyn Future<Output = Option<Outcome>> + Send>>;

impl Signals {
    /// Listens from now on. Must be called on a runtime.
    pub(super) fn listen() -> Self {
        let listen = |kind| signal(kind).expect("signals can be listened for once at the start");
        Self {
            hang_up: listen(SignalKind::hangup()),
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
            upgrade: listen(SignalKind::user_defined2()),
        }
    }

    /// SIGHUP reads the configuration again, SIGUSR2 starts an upgrade. A burst of SIGHUPs is one reload, or two when some
    /// arrive while the first is under way.
    pub(super) async fn until_end(
        &mut self,
        reload: &Reload,
        upgrades: &Upgrades,
        mut handed: mpsc::Receiver<Vec<Address>>,
    ) -> End {
        let start = || -> Reloading {
            let reload = reload.clone();
            Box::pin(async move { reload.signalled().await })
        };
        let (mut reloading, mut again) = (None, false);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return End::Told(true),
                _ = self.interrupt.recv() => return End::Told(false),
                Some(taken) = handed.recv() => return End::HandedOver(taken),
                _ = self.upgrade.recv() => upgrades.want(),
                _ = self.hang_up.recv() => match reloading {
                    Some(_) => again = true,
                    None => reloading = Some(start()),
                },
                () = ended(&mut reloading) => reloading = std::mem::take(&mut again).then(start),
            }
        }
    }

    /// Until somebody says once more that the process is to end.
    pub(super) async fn once_more(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn ended(reloading: &mut Option<Reloading>) {
    match reloading {
        Some(reloading) => drop(reloading.await),
        None => std::future::pending().await,
    }
}
