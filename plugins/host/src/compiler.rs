//! Compiles components: one at a time, on a thread that steps back behind the workers, for a bounded time.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cpu;
use crate::load_error::LoadCause;

/// How long a compilation makes do with what the workers leave over. A small policy takes some 20 ms of a core.
const MODEST: Duration = Duration::from_secs(3);

/// Bytes of an error, of which names may make up hundreds of thousands.
const LONGEST: usize = 2000;

/// The right to compile. Dropping it passes it on, also when the compiler panics.
struct Permit(SyncSender<()>);

impl Drop for Permit {
    fn drop(&mut self) {
        // Full cannot be (there is one permit); disconnected means that the host is gone.
        let _ = self.0.try_send(());
    }
}

/// Compiles one component at a time. A compilation cannot be broken off, so one that takes too long is left to end by
/// itself, and until it ends nothing else is compiled: what runs in the background is bounded by one.
#[derive(Debug)]
pub(crate) struct Compiler {
    engine: Engine,
    give: SyncSender<()>,
    take: Mutex<Receiver<()>>,
    patience: Duration,
}

impl Compiler {
    pub(crate) fn new(engine: Engine, patience: Duration) -> Self {
        let (give, take) = mpsc::sync_channel(1);
        give.try_send(()).expect("there is room for one");
        Self { engine, give, take: Mutex::new(take), patience }
    }

    /// Compiles, and waits for the result at most as long as this compiler is patient.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<Component, LoadCause> {
        let permit = self.permit()?;
        let (reply, result) = mpsc::sync_channel(1);
        let engine = self.engine.clone();
        let bytes = bytes.to_vec();
        let (started, thread) = mpsc::sync_channel(1);
        let work = move || {
            let _ = started.send(cpu::step_back());
            let compiled = Component::from_binary(&engine, &bytes);
            drop((bytes, engine, permit));
            // Nobody may be waiting any more; the component is dropped then.
            let _ = reply.send(compiled);
        };
        let spawned = std::thread::Builder::new().name("policy-compiler".into()).spawn(work);
        spawned.map_err(|e| LoadCause::Invalid(format!("no thread to compile it: {e}")))?;
        let modest = MODEST.min(self.patience);
        let compiled = result.recv_timeout(modest).or_else(|_| {
            if let Ok(thread) = thread.try_recv() {
                thread.hurry();
            }
            result.recv_timeout(self.patience.saturating_sub(modest))
        });
        match compiled {
            Ok(compiled) => compiled.map_err(|e| LoadCause::Invalid(one_line(&e))),
            Err(RecvTimeoutError::Timeout) => Err(LoadCause::Slow(self.patience)),
            Err(RecvTimeoutError::Disconnected) => Err(LoadCause::Invalid("the compiler panicked".into())),
        }
    }

    fn permit(&self) -> Result<Permit, LoadCause> {
        let busy = || LoadCause::Busy(self.patience);
        let take = self.take.try_lock_for(self.patience).ok_or_else(busy)?;
        take.recv_timeout(self.patience).map_err(|_| busy())?;
        Ok(Permit(self.give.clone()))
    }
}

/// An error and its causes on one line of some thousand characters at most. Names in it are the module's own words: nothing of
/// them may steer a terminal or fill a log.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let mut out = String::new();
    for cause in error.chain() {
        if !out.is_empty() {
            out.push_str(": ");
        }
        for c in cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ").chars() {
            if out.len() > LONGEST {
                out.push('…');
                return out;
            }
            if c.is_control() { out.extend(c.escape_unicode()) } else { out.push(c) }
        }
    }
    out
}
