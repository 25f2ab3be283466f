//! A process that took over from the one that the harness started, so that it is nobody's child here.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A process, known by a descriptor of it: its number may be another's once it has ended (`pidfd_open(2)`).
#[derive(Debug)]
pub(super) struct Heir {
    pub(super) pid: u32,
    process: OwnedFd,
}

impl Heir {
    pub(super) fn new(pid: u32) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "the standard library opens no descriptor of a process")]
        // SAFETY: pidfd_open(2) takes two integers and touches no memory of ours.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        #[expect(unsafe_code, reason = "the system call gives a bare number")]
        // SAFETY: the kernel has just opened it for us, and nobody else knows its number.
        let process = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { pid, process })
    }

    pub(super) fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        let (process, nothing) = (self.process.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        #[expect(unsafe_code, reason = "the standard library sends no signals")]
        // SAFETY: pidfd_send_signal(2) takes integers and a pointer that may be null.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, signal, nothing, 0) };
        if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn has_ended(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        #[expect(unsafe_code, reason = "the standard library does not poll")]
        // SAFETY: `poll` is one valid entry for the length of the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
        ready == 1
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.signal(libc::SIGKILL);
    }
}
