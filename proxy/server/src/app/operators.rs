//! The admin API's socket: bound, or inherited from the process before this one.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use pointsman_config::plan::{Address, Admin};
use socket2::SockRef;

use super::upgrade::Heir;
use crate::listening::{FileId, SocketFile};

/// Connections that the kernel holds until the API accepts them, as the standard library has it.
const BACKLOG: i32 = 128;

/// Where operators ask.
pub(super) struct Operators {
    /// As the configuration names it.
    pub(super) asked: Address,
    /// In use.
    pub(super) address: Address,
    pub(super) socket: OwnedFd,
    /// Whether it came from the process before this one.
    pub(super) inherited: bool,
    file: Mutex<Option<SocketFile>>,
}

impl Operators {
    /// The socket that the configuration asks for.
    pub(super) fn open(admin: &Admin, heir: Option<&mut Heir>) -> io::Result<Self> {
        let asked = admin.address.clone();
        let lent = heir.and_then(|heir| heir.admin(&asked));
        let inherited = lent.is_some();
        let (socket, file) = match (&asked, lent) {
            (Address::Ip(_), Some((socket, _))) => (socket, None),
            (Address::Ip(address), None) => (TcpListener::bind(address)?.into(), None),
            (Address::Unix(path), Some((socket, known))) => (socket, SocketFile::inherited(path, known, admin.mode())),
            (Address::Unix(path), None) => {
                let (file, socket) = SocketFile::bind(path, admin.mode(), BACKLOG)?;
                (socket, Some(file))
            }
        };
        let in_use = SockRef::from(&socket).local_addr()?.as_socket();
        let address = in_use.map_or_else(|| asked.clone(), Address::from);
        Ok(Self { asked, address, socket, inherited, file: Mutex::new(file) })
    }

    /// This process answers there from now on, says who may connect, and removes the file when it ends.
    pub(super) fn take_over(&self) {
        if let Some(Err(error)) = self.file.lock().as_mut().map(SocketFile::take_over) {
            log::error!("{}: its mode stays as it was: {error}", self.address);
        }
    }

    /// The file of a Unix socket, for the process that comes after this one.
    pub(super) fn file(&self) -> Option<FileId> {
        self.file.lock().as_ref().map(SocketFile::id)
    }

    /// Another process answers there.
    pub(super) fn leave(&self) {
        if let Some(file) = self.file.lock().take() {
            file.leave();
        }
    }

    /// Nobody does.
    pub(super) fn close(&self) {
        drop(self.file.lock().take());
    }
}
