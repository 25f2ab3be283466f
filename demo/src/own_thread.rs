//! A server on a thread and runtime of its own, so that a test can kill it the way a process dies: all its sockets at
//! once, nothing said.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Runs until it is stopped, killed or dropped (which kills it).
#[derive(Debug)]
pub(crate) struct OwnThread {
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OwnThread {
    /// Runs what `serve` makes; it is handed the signal to stop in good order.
    pub(crate) fn spawn<F: Future<Output = ()>>(
        name: &str,
        serve: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (kill, killed) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(stopped) => {}
                    _ = killed => {}
                }
            });
            // Dropping the runtime drops every task, and with them every socket.
            drop(runtime);
            let _ = end.send(());
        })?;
        Ok(Self { stop: Some(stop), kill: Some(kill), ended: Some(ended), thread: Some(thread) })
    }

    /// Asks it to stop in good order and waits until it has.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
    }

    fn end(&mut self) {
        drop(self.kill.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.end();
    }
}
