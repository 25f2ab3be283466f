//! What the operating system knows of the calling thread: the processor time it used, and its priority.

use std::time::Duration;

/// Processor time of the calling thread. A thread that waits for a core does not age by this clock.
#[expect(unsafe_code, reason = "the standard library has no clock of a thread's processor time")]
pub(crate) fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid, writable timespec for the length of the call, which keeps no pointer to it.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    debug_assert_eq!(failed, 0, "the clock exists since Linux 2.6.12");
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A thread, as the kernel counts them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thread(libc::pid_t);

/// Lets every other thread of the machine go first, if that can be ended again, and says which thread it is. Refusal is
/// harmless: the work is then done at normal priority.
///
/// `SCHED_IDLE`, not merely a nice value: the kernel lets a running thread of low weight finish its slice (about 3 ms)
/// although a worker has woken up, but takes the core from an idle one at once (sched(7)).
#[expect(unsafe_code, reason = "the standard library cannot set a thread's scheduling policy")]
pub(crate) fn step_back() -> Thread {
    if may_step_back() {
        schedule(0, libc::SCHED_IDLE);
    }
    // SAFETY: takes nothing and cannot fail.
    Thread(unsafe { libc::gettid() })
}

/// `CAP_SYS_NICE`, by its number.
const SYS_NICE: u32 = 23;

/// Whether a thread that steps back may come forth again. Without privileges the kernel lets it only where `RLIMIT_NICE`
/// allows the nice value that it has, and by default that allows none (sched(7)): on a busy machine work that stepped
/// back would then never end.
#[expect(unsafe_code, reason = "the standard library knows no limits of the process")]
pub fn may_step_back() -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, writable rlimit for the length of the call, which keeps no pointer to it.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NICE, &raw mut limit) };
    // 20 stands for a nice value of 0.
    if failed == 0 && limit.rlim_cur >= 20 {
        return true;
    }
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|set| set >> SYS_NICE & 1 == 1)
}

impl Thread {
    /// Ends the stepping back: on a machine without any spare time an idle thread gets a third of a per cent of a core.
    pub(crate) fn hurry(self) {
        schedule(self.0, libc::SCHED_OTHER);
    }
}

#[expect(unsafe_code, reason = "the standard library cannot set a thread's scheduling policy")]
fn schedule(thread: libc::pid_t, policy: libc::c_int) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is a valid sched_param for the length of the call, which keeps no pointer to it; 0 is the
    // calling thread (sched_setscheduler(2)). A thread that has ended is not found, and nothing happens.
    unsafe { libc::sched_setscheduler(thread, policy, &raw const parameters) };
}
