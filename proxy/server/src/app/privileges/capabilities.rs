//! The one capability that is kept (capabilities(7)).

use std::io;

use super::{ZERO, checked};

/// `CAP_NET_BIND_SERVICE`, by its number.
const NET_BIND_SERVICE: u32 = 10;

/// `_LINUX_CAPABILITY_VERSION_3`: two words a set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

/// One word of each set of this thread; those of the first 32 capabilities come first.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Words {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Capabilities([Words; 2]);

impl Capabilities {
    /// Low ports and nothing else, where the process has that.
    pub(super) fn low_ports() -> io::Result<Self> {
        let mask = Self::now()?.0[0].permitted & (1 << NET_BIND_SERVICE);
        let words = Words { effective: mask, permitted: mask, inheritable: mask };
        Ok(Self([words, Words::default()]))
    }

    /// Whether the process can do nothing beyond that.
    pub(super) fn only_low_ports() -> io::Result<bool> {
        Ok(Self::now()? == Self::low_ports()?)
    }

    /// From now on; a program that takes this one's place keeps it.
    pub(super) fn put_in_force(&self) -> io::Result<()> {
        let header = Header { version: VERSION, pid: 0 };
        // SAFETY: both pointers are to memory of ours, laid out as capset(2) says, that outlives the call.
        #[expect(unsafe_code, reason = "neither the standard library nor libc knows capset")]
        let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw const header, self.0.as_ptr()) };
        checked(libc::c_int::try_from(outcome).unwrap_or(-1))?;
        if self.0[0].permitted == 0 {
            return Ok(());
        }
        let (ambient, raise) = (libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong);
        // SAFETY: takes integers and touches no memory.
        #[expect(unsafe_code, reason = "the standard library does not know prctl")]
        let outcome = unsafe { libc::prctl(ambient, raise, libc::c_ulong::from(NET_BIND_SERVICE), ZERO, ZERO) };
        checked(outcome)
    }

    /// Whether the permitted set outlives the change to another user.
    pub(super) fn keep_over_next_change(keep: bool) -> io::Result<()> {
        // SAFETY: takes integers and touches no memory.
        #[expect(unsafe_code, reason = "the standard library does not know prctl")]
        let outcome = unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep), ZERO, ZERO, ZERO) };
        checked(outcome)
    }

    fn now() -> io::Result<Self> {
        let header = Header { version: VERSION, pid: 0 };
        let mut found = Self::default();
        // SAFETY: both pointers are to memory of ours, laid out as capget(2) says, that outlives the call.
        #[expect(unsafe_code, reason = "neither the standard library nor libc knows capget")]
        let outcome = unsafe { libc::syscall(libc::SYS_capget, &raw const header, found.0.as_mut_ptr()) };
        checked(libc::c_int::try_from(outcome).unwrap_or(-1)).map(|()| found)
    }
}
