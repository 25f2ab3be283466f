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

/// Lets every other thread of the machine go first, and says which thread it is that does. Refusal is harmless: the work
/// is then done at normal priority.
///
/// `SCHED_IDLE`, not merely a nice value: the kernel lets a running thread of low weight finish its slice (about 3 ms)
/// although a worker has woken up, but takes the core from an idle one at once (sched(7)).
#[expect(unsafe_code, reason = "the standard library cannot set a thread's scheduling policy")]
pub(crate) fn step_back() -> Thread {
    schedule(0, libc::SCHED_IDLE);
    // SAFETY: takes nothing and cannot fail.
    Thread(unsafe { libc::gettid() })
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
