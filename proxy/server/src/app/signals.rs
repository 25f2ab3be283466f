//! What the process does when it is signalled.

use tokio::signal::unix::{SignalKind, signal};

use crate::world::reload::Reload;

/// SIGHUP reads the configuration again; returns on SIGTERM or SIGINT. A burst of SIGHUPs is one reload, or two when
/// some arrive while the first is under way.
pub(super) fn until_stopped(reload: &Reload) {
    super::room::block_on(async {
        let listen = |kind| signal(kind).expect("signals can be listened for once at the start");
        let (mut hup, mut term, mut int) =
            (listen(SignalKind::hangup()), listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
        loop {
            tokio::select! {
                _ = term.recv() => return,
                _ = int.recv() => return,
                _ = hup.recv() => {
                    reload.signalled().await;
                }
            }
        }
    });
}
