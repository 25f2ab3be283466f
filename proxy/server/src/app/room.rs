//! Threads beside the workers: each room that waits has one of its own, with a single-threaded runtime.

use std::future::Future;

/// Runs a future to its end on this thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs one descriptor, and a process without any cannot serve")
        .block_on(future)
}

/// Runs what `make` makes on a thread of its own, for as long as the process lives.
pub(super) fn spawn<F: Future<Output = ()>>(name: &str, make: impl FnOnce() -> F + Send + 'static) {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || block_on(async { make().await }))
        .expect("a thread can be started at the start of the process");
}

/// Lowers this thread's priority: compiling a policy may use an idle core, not a worker's.
pub(super) fn yield_to_traffic() {
    /// Half the weight of a worker is 3 steps; 10 steps is about a tenth (Linux scheduler, `sched_prio_to_weight`).
    const NICE: libc::c_int = 10;
    // SAFETY: setpriority takes three integers and touches no memory; on Linux PRIO_PROCESS with 0 is this thread alone.
    #[expect(unsafe_code, reason = "no safe wrapper in the standard library")]
    let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    if outcome != 0 {
        log::debug!("reload runs at the priority of a worker: {}", std::io::Error::last_os_error());
    }
}
