//! A node as a process of its own, to be killed, frozen and started again on the same address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::fleet;
use crate::rig::puppet::{Entry, journal_of};

/// A child of ours. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    journal: PathBuf,
    child: Child,
}

impl Process {
    /// This program as a node, with its journal in `folder`.
    pub(crate) fn start(id: &str, number: u64, folder: &Path) -> Result<Self, String> {
        let address = fleet::address(number)?;
        let journal = folder.join(format!("{id}.journal"));
        let child = launch(id, address, &journal)?;
        Ok(Self { id: id.into(), address, journal, child })
    }

    /// `kill -9`, until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map(drop)
            .map_err(|problem| format!("{}: {problem}", self.id))
    }

    /// `SIGSTOP`.
    pub(crate) fn freeze(&self) -> Result<(), String> {
        signal(self.child.id(), libc::SIGSTOP)
    }

    /// `SIGCONT`.
    pub(crate) fn thaw(&self) -> Result<(), String> {
        signal(self.child.id(), libc::SIGCONT)
    }

    /// Starts it again where it was.
    pub(crate) fn revive(&mut self) -> Result<(), String> {
        self.child = launch(&self.id, self.address, &self.journal)?;
        Ok(())
    }

    /// What it noted, over all its lives.
    pub(crate) fn noted(&self) -> Result<Vec<Entry>, String> {
        journal_of(&self.journal)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(pid: u32, signal: libc::c_int) -> Result<(), String> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| "no such process")?;
    #[expect(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
    // SAFETY: kill(2) takes two integers and touches no memory of ours. The pid is that of a child that nobody has waited
    // for, so it cannot be another process.
    let sent = unsafe { libc::kill(pid, signal) };
    if sent == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}

fn launch(id: &str, address: SocketAddr, journal: &Path) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|problem| problem.to_string())?;
    fleet::launch(&program, &["node", id, &address.to_string(), &journal.display().to_string()], Stdio::piped())
}

/// A program of ours that says where it listens. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Tool(Child);

impl Tool {
    /// Starts it and waits until it listens.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self, String> {
        fleet::launch(program, arguments, Stdio::piped()).map(Self)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, which: libc::c_int) -> Result<(), String> {
        signal(self.0.id(), which)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
