//! The door: compiles modules and sets up policies.

use std::sync::Arc;

use pointsman_core::cluster::membership::Membership;
use wasmtime::Engine;

use crate::artifact::Artifact;
use crate::budget::{Budget, Budgets};
use crate::cache::Cache;
use crate::compiler::{Compiler, one_line};
use crate::digest::Digest;
use crate::engine;
use crate::limits::Limits;
use crate::load_error::{LoadCause, LoadError};
use crate::module::Module;
use crate::options::HostOptions;
use crate::policy::{OnQuarantine, WasmPolicy};
use crate::version::ConfigureError;

/// The host cannot run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// wasmtime cannot.
    #[error("WebAssembly cannot run on this machine: {0}")]
    Engine(String),
    /// The watchdog cannot.
    #[error("no thread for the policy watchdog: {0}; raise the limit on threads (ulimit -u)")]
    Watchdog(std::io::Error),
}

/// Compiles and runs policies. One per process; dropping it and what it made frees everything.
#[derive(Debug)]
pub struct Host {
    engine: Engine,
    options: HostOptions,
    compiler: Compiler,
    cache: Cache,
}

impl Host {
    /// Starts the engine and its watchdog.
    pub fn new(options: HostOptions) -> Result<Self, StartError> {
        let engine = engine::new().map_err(|e| StartError::Engine(one_line(&e)))?;
        engine::watch(&engine).map_err(StartError::Watchdog)?;
        let compiler = Compiler::new(engine.clone(), options.compile_time);
        Ok(Self { engine, options, compiler, cache: Cache::default() })
    }

    /// Compiles a component, or finds it compiled, and proves that it is a policy. Takes a core for milliseconds to
    /// seconds: never call it on a worker.
    pub fn compile(&self, name: &str, bytes: &[u8], limits: Limits) -> Result<Arc<Module>, LoadError> {
        let refused = |cause| LoadError { policy: name.to_owned(), cause };
        let artifact = self.artifact(bytes).map_err(refused)?;
        let module = Module::prove(name, artifact, limits, self.budgets(&limits)).map_err(refused)?;
        Ok(Arc::new(module))
    }

    /// Sets a module up for one service: an instance per worker, each configured with `settings` (JSON) and told the
    /// members. `previous` is the policy that served so far: with the same module and settings it is returned as it
    /// is, with its counters and `on_quarantine` it had; otherwise the module it ran becomes the last good version,
    /// to which the new one goes back if it is quarantined.
    pub fn policy(
        &self,
        module: &Arc<Module>,
        settings: &str,
        membership: &Arc<Membership>,
        previous: Option<&Arc<WasmPolicy>>,
        on_quarantine: Option<OnQuarantine>,
    ) -> Result<Arc<WasmPolicy>, ConfigureError> {
        if let Some(same) = previous.filter(|p| p.runs(module, settings)) {
            return Ok(Arc::clone(same));
        }
        let last_good = previous.and_then(|p| p.last_good_for(module));
        let made = WasmPolicy::new(module, settings, membership, last_good, on_quarantine, &self.options)?;
        Ok(Arc::new(made))
    }

    /// Modules whose compiled code is remembered; for tests and status pages.
    pub fn compiled(&self) -> usize {
        self.cache.len()
    }

    fn artifact(&self, bytes: &[u8]) -> Result<Arc<Artifact>, LoadCause> {
        crate::proof::encoding(bytes, self.options.module_bytes)?;
        let digest = Digest::of(bytes);
        if let Some(known) = self.cache.find(digest) {
            return Ok(known);
        }
        let component = self.compiler.compile(bytes)?;
        let artifact = Arc::new(Artifact::new(&self.engine, &component, digest)?);
        self.cache.remember(&artifact);
        Ok(artifact)
    }

    fn budgets(&self, limits: &Limits) -> Budgets {
        let rate = self.options.fuel_per_ms;
        Budgets {
            pick: Budget::of(limits.budget, rate),
            setup: Budget::of(self.options.setup.max(limits.budget), rate),
        }
    }
}
