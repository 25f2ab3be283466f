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

/// Lets every other thread of the machine go first. Refusal is harmless: the work is then done at normal priority.
#[expect(unsafe_code, reason = "the standard library cannot set a thread's priority")]
pub(crate) fn step_back() {
    // 10 of 19: about a tenth of the weight of a worker (sched(7): each step is a factor of 1.25).
    const NICE: libc::c_int = 10;
    // SAFETY: takes integers only. On Linux PRIO_PROCESS with id 0 concerns the calling thread (setpriority(2), NOTES).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}
