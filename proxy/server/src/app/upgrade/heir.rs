//! The process that takes over: what it was given, and what it says when.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pointsman_config::plan::Address;

use super::channel::{Channel, ENVIRONMENT, FromHeir, Offer, Place, ToHeir};
use crate::listening::FileId;
use crate::serve::Lent;
use crate::world::legacy::Legacy;

/// Longer than the other process ever waits for us: it ends the hand-over, not we.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A process that was started to take over from another.
pub(in crate::app) struct Heir {
    channel: Channel,
    lent: Vec<Lent>,
    admin: Option<(Place, OwnedFd)>,
    registry: PathBuf,
    ready: bool,
    asked_by: String,
}

impl Heir {
    /// `None`: this process was started by itself.
    pub(in crate::app) fn find() -> io::Result<Option<Self>> {
        if std::env::var_os(ENVIRONMENT).is_none() {
            return Ok(None);
        }
        let mut channel = Channel::from(io::stdin().as_fd().try_clone_to_owned()?);
        let ToHeir::Offer(Offer { doors, admin, registry, ready, asked_by }) = channel.receive(until())? else {
            return Err(io::Error::other("the process that serves does not say what it offers"));
        };
        let count = doors.iter().chain(&admin).map(|place| place.sockets).sum();
        let mut sockets = channel.take(count, until())?.into_iter();
        let take = |Place { asked, address, sockets: count, file }| Lent {
            asked,
            address,
            sockets: sockets.by_ref().take(count).collect(),
            file,
        };
        let lent = doors.into_iter().map(take).collect();
        Ok(Some(Self { channel, lent, admin: admin.zip(sockets.next()), registry, ready, asked_by }))
    }

    /// Whether the process before this one is ready for traffic.
    pub(in crate::app) fn ready(&self) -> bool {
        self.ready
    }

    /// Who asked for the upgrade, as the audit names it.
    pub(in crate::app) fn asked_by(&self) -> &str {
        &self.asked_by
    }

    /// Whether a folder is the registry's that is handed over.
    pub(in crate::app) fn has(&self, folder: &Path) -> bool {
        std::path::absolute(folder).is_ok_and(|folder| folder == self.registry)
    }

    /// The sockets of listeners; the second time there are none.
    pub(in crate::app) fn lent(&mut self) -> Vec<Lent> {
        std::mem::take(&mut self.lent)
    }

    /// The socket of the admin API, if it is to be where it was, and what is known of its file.
    pub(in crate::app) fn admin(&mut self, asked: &Address) -> Option<(OwnedFd, Option<FileId>)> {
        let is = |place: &Place| place.asked == *asked || place.address == *asked;
        self.admin.take().filter(|(place, _)| is(place)).map(|(place, socket)| (socket, place.file))
    }

    /// Says that nothing stands in the way; answers once the registry is free.
    pub(in crate::app) fn proven(&mut self) -> io::Result<Legacy> {
        let asked = self.channel.send(&FromHeir::Proven).and_then(|()| self.channel.receive(until()));
        match asked {
            Ok(ToHeir::Registry(legacy)) => Ok(legacy),
            Ok(ToHeir::Offer(_)) => Err(io::Error::other("the process that serves does not give the registry")),
            Err(error) if is_gone(&error) => {
                log::warn!("the process that this one takes over from has ended: going on without its word");
                Ok(Legacy::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Says that this process accepts, also on these addresses that were offered.
    pub(in crate::app) fn serving(mut self, taken: &[Address]) {
        if let Err(error) = self.channel.send(&FromHeir::Serving { taken: taken.to_vec() }) {
            log::warn!("the process that this one takes over from has ended: {error}");
        }
    }

    /// Says why this process will not serve.
    pub(in crate::app) fn failed(mut self, why: &str) {
        // An error means that nobody is there to be told.
        let _ = self.channel.send(&FromHeir::Failed { why: why.to_owned() });
    }
}

fn until() -> Instant {
    Instant::now() + PATIENCE
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
