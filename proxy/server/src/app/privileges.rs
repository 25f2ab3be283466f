//! As whom the proxy runs: started as root it becomes the user that the configuration names, before it opens, starts or
//! compiles anything, and keeps one capability: to listen on low ports, also after a reload.
//!
//! This early, files are made by that user and read by that user: a key that only root can read is refused at the start,
//! and not on the night on which its certificate is renewed.

use std::ffi::CString;
use std::io;

use pointsman_config::plan::RunAs;
use pointsman_config::{Problems, Source};

use capabilities::Capabilities;

mod capabilities;

/// Whom to become.
struct Target {
    name: Option<CString>,
    uid: libc::uid_t,
    gid: libc::gid_t,
}

/// Becomes whom the configuration names. Whether that is somebody else than before. Nothing that the process runs gains
/// privileges from then on.
pub(super) fn settle(source: &Source, run_as: Option<&RunAs>) -> Result<bool, Problems> {
    let problem = |message: String, help: &str| {
        let mark = run_as.map(|named| named.mark).unwrap_or_default();
        Problems::from(vec![source.problem(mark, message).help(help)])
    };
    allow_coming_forth();
    let settled = no_new_privileges().and_then(|()| ids());
    let (users, _) =
        settled.map_err(|e| problem(format!("privileges cannot be settled: {e}"), "look at the kernel"))?;
    let is_root = users.contains(&0);
    let Some(named) = run_as else {
        if is_root {
            log::warn!(
                "running as root: whatever goes wrong here goes wrong with every privilege; name a `user` in the YAML"
            );
        }
        return Ok(false);
    };
    let target =
        Target::find(named).map_err(|e| problem(e, "`getent passwd` and `getent group` list those that are there"))?;
    if is_root {
        let dropped = target.become_it().and_then(|()| target.verify());
        let cure = "start it as root with CAP_SETUID and CAP_SETGID, or as that user in the first place";
        dropped.map_err(|e| problem(format!("cannot become user `{}`: {e}", named.user), cure))?;
        log::info!("running as user {} ({}), group {}", named.user, target.uid, target.gid);
        return Ok(true);
    }
    if target.is_in_force().map_err(|e| problem(e.to_string(), ""))? {
        return Ok(false);
    }
    Err(problem(
        format!("cannot become user `{}`: this is not root", named.user),
        "start it as root, or as that user, or leave `user` out",
    ))
}

impl Target {
    fn find(named: &RunAs) -> Result<Self, String> {
        let (name, uid, own) = match named.user.parse() {
            Ok(uid) => (None, uid, None),
            Err(_) => {
                let (uid, gid) = user(&named.user)?;
                (CString::new(named.user.as_str()).ok(), uid, Some(gid))
            }
        };
        let gid = match &named.group {
            Some(name) => name.parse().or_else(|_| group(name))?,
            None => own.ok_or("a user that is a number needs a `group` beside it")?,
        };
        if uid == 0 || gid == 0 {
            return Err(format!("user `{}` is root, or its group is", named.user));
        }
        Ok(Self { name, uid, gid })
    }

    fn become_it(&self) -> io::Result<()> {
        if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
            return Err(io::Error::other("other threads run already, and would keep what this one drops"));
        }
        let low_ports = Capabilities::low_ports()?;
        Capabilities::keep_over_next_change(true)?;
        // The user's further groups stay: keys of certificates are often read by one of them.
        // SAFETY: the name ends in a zero and outlives the call; `gid` outlives it, and is one group.
        #[expect(unsafe_code, reason = "the standard library sets neither groups nor users of its own process")]
        let outcomes = unsafe {
            let groups = match &self.name {
                Some(name) => libc::initgroups(name.as_ptr(), self.gid),
                None => libc::setgroups(1, &raw const self.gid),
            };
            checked(groups)?;
            [libc::setresgid(self.gid, self.gid, self.gid), libc::setresuid(self.uid, self.uid, self.uid)]
        };
        outcomes.into_iter().try_for_each(checked)?;
        low_ports.put_in_force()?;
        Capabilities::keep_over_next_change(false)
    }

    fn is_in_force(&self) -> io::Result<bool> {
        let (users, groups) = ids()?;
        Ok(users == [self.uid; 3] && groups == [self.gid; 3])
    }

    /// What was dropped is gone, and cannot be had again.
    fn verify(&self) -> io::Result<()> {
        // SAFETY: takes three integers; it is meant to fail.
        #[expect(unsafe_code, reason = "as above")]
        let again = unsafe { libc::setresuid(0, 0, 0) };
        if again == 0 || !self.is_in_force()? || groups()?.contains(&0) || !Capabilities::only_low_ports()? {
            return Err(io::Error::other("the kernel did not drop what it was told to drop"));
        }
        Ok(())
    }
}

fn checked(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets threads that compile step back behind the workers: the kernel lets them come forth again only within `RLIMIT_NICE`,
/// where 20 stands for a nice value of 0, which is what they have. Where it cannot be had, they do not step back.
fn allow_coming_forth() {
    const WANTED: libc::rlim_t = 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, writable rlimit for the length of both calls, which keep no pointer to it.
    #[expect(unsafe_code, reason = "the standard library knows no limits of the process")]
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NICE, &raw mut limit) == 0 && limit.rlim_cur < WANTED {
            limit = libc::rlimit { rlim_cur: WANTED, rlim_max: limit.rlim_max.max(WANTED) };
            libc::setrlimit(libc::RLIMIT_NICE, &raw const limit);
        }
    }
}

/// As wide as prctl(2) reads them.
const ZERO: libc::c_ulong = 0;
const ONE: libc::c_ulong = 1;

/// `PR_SET_NO_NEW_PRIVS`: no program that is started from here has more than this one (prctl(2)).
fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes integers and touches no memory.
    #[expect(unsafe_code, reason = "the standard library does not know prctl")]
    let outcome = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, ONE, ZERO, ZERO, ZERO) };
    checked(outcome)
}

/// Real, effective and saved users and groups.
fn ids() -> io::Result<([libc::uid_t; 3], [libc::gid_t; 3])> {
    let (mut users, mut groups) = ([0; 3], [0; 3]);
    let ([real, effective, saved], [own, acting, kept]) = (&mut users, &mut groups);
    // SAFETY: each pointer is to an integer of ours that outlives the call.
    #[expect(unsafe_code, reason = "the standard library does not tell users")]
    let outcomes = unsafe { [libc::getresuid(real, effective, saved), libc::getresgid(own, acting, kept)] };
    outcomes.into_iter().try_for_each(checked).map(|()| (users, groups))
}

/// Further groups of the process.
fn groups() -> io::Result<Vec<libc::gid_t>> {
    let mut found = vec![0; 65_536]; // NGROUPS_MAX
    let room = libc::c_int::try_from(found.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: there is room for as many as is said.
    #[expect(unsafe_code, reason = "the standard library does not tell groups")]
    let count = unsafe { libc::getgroups(room, found.as_mut_ptr()) };
    found.truncate(usize::try_from(count).map_err(|_| io::Error::last_os_error())?);
    Ok(found)
}

/// Strings of an entry: a group of a thousand members has some kilobytes.
const ENTRY: usize = 1 << 20;

/// Number and group of a user, as `getpwnam_r(3)` knows them.
fn user(name: &str) -> Result<(libc::uid_t, libc::gid_t), String> {
    let unknown = || format!("there is no user `{name}`");
    let wanted = CString::new(name).map_err(|_| unknown())?;
    let (mut strings, mut found) = (vec![0; ENTRY], std::ptr::null_mut());
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    // SAFETY: every pointer is to memory of ours that outlives the call, and the length is that of `strings`. `found` is
    // null, or `entry`, which is filled then.
    #[expect(unsafe_code, reason = "the standard library knows no user database")]
    unsafe {
        libc::getpwnam_r(wanted.as_ptr(), entry.as_mut_ptr(), strings.as_mut_ptr(), strings.len(), &raw mut found);
        found.as_ref().map(|entry| (entry.pw_uid, entry.pw_gid)).ok_or_else(unknown)
    }
}

/// Number of a group, as `getgrnam_r(3)` knows it.
fn group(name: &str) -> Result<libc::gid_t, String> {
    let unknown = || format!("there is no group `{name}`");
    let wanted = CString::new(name).map_err(|_| unknown())?;
    let (mut strings, mut found) = (vec![0; ENTRY], std::ptr::null_mut());
    let mut entry = std::mem::MaybeUninit::<libc::group>::uninit();
    // SAFETY: as in `user`.
    #[expect(unsafe_code, reason = "the standard library knows no group database")]
    unsafe {
        libc::getgrnam_r(wanted.as_ptr(), entry.as_mut_ptr(), strings.as_mut_ptr(), strings.len(), &raw mut found);
        found.as_ref().map(|entry| entry.gr_gid).ok_or_else(unknown)
    }
}
