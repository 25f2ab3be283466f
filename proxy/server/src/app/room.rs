//! Threads beside the workers: each room that waits has one of its own, with a single-threaded runtime.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

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
    spawn_thread(name, move || block_on(async { make().await }));
}

fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .expect("a thread can be started at the start of the process");
}

/// How long a reload makes do with what the workers leave over.
const MODEST: Duration = Duration::from_secs(3);

/// A pace for work beside the traffic: called with true where it begins and with false where it ends, on the thread
/// that does it. The thread then runs when no other wants the core, but not longer than [`MODEST`]: on a machine
/// without any spare time such a thread gets a third of a per cent of a core.
///
/// `SCHED_IDLE`, not a nice value: the kernel lets a running thread of low weight finish its slice (about 3 ms) although
/// a worker has woken up, but takes the core from an idle one at once (sched(7)).
pub(super) fn pace() -> impl Fn(bool) + Send + Sync + 'static {
    let (tell, told) = mpsc::channel();
    spawn_thread("reload-pace", move || hurry_late_work(&told));
    // What cannot come forth again must not step back.
    let modest = pointsman_host::may_step_back();
    move |busy| {
        // SAFETY: takes nothing and cannot fail.
        #[expect(unsafe_code, reason = "the standard library does not tell the kernel's number of a thread")]
        let thread = unsafe { libc::gettid() };
        schedule(thread, if busy && modest { libc::SCHED_IDLE } else { libc::SCHED_OTHER });
        // The other end lives as long as this one.
        let _ = tell.send(busy.then_some(thread));
    }
}

/// Gives back its priority to each thread whose work has not ended in time.
fn hurry_late_work(told: &mpsc::Receiver<Option<libc::pid_t>>) {
    while let Ok(began) = told.recv() {
        let Some(thread) = began else { continue };
        if told.recv_timeout(MODEST) == Err(mpsc::RecvTimeoutError::Timeout) {
            schedule(thread, libc::SCHED_OTHER);
        }
    }
}

#[expect(unsafe_code, reason = "the standard library cannot set a thread's scheduling policy")]
fn schedule(thread: libc::pid_t, policy: libc::c_int) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is a valid sched_param for the length of the call, which keeps no pointer to it; a thread that
    // has ended is not found, and nothing happens.
    let outcome = unsafe { libc::sched_setscheduler(thread, policy, &raw const parameters) };
    if outcome != 0 {
        log::debug!("reload runs at the priority of a worker: {}", std::io::Error::last_os_error());
    }
}
