//! How a host is set up.

use std::time::Duration;

use crate::quarantine::Tolerance;

/// How a host is set up. `HostOptions { workers, ..HostOptions::default() }` suits every proxy.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Worker threads that pick. Each has its own instance of every policy.
    pub workers: usize,
    /// Fuel that stands for a millisecond. See [`HostOptions::FUEL_PER_MS`].
    pub fuel_per_ms: u64,
    /// What starting an instance, configuring it, and telling it the members may take.
    pub setup: Duration,
    /// Largest module that is taken, in bytes.
    pub module_bytes: usize,
    /// Longest compilation that is waited for.
    pub compile_time: Duration,
    /// When a module is quarantined.
    pub tolerance: Tolerance,
}

impl HostOptions {
    /// Fuel that stands for a millisecond: what wasmtime counts (about one per instruction) when compiled policies run for
    /// one on a core of 2020s hardware. A constant rather than a measurement at start, so that a budget runs out at
    /// the same instruction on every machine.
    pub const FUEL_PER_MS: u64 = 2_000_000;
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            fuel_per_ms: Self::FUEL_PER_MS,
            setup: Duration::from_millis(200),
            module_bytes: 32 << 20,
            compile_time: Duration::from_secs(60),
            tolerance: Tolerance::default(),
        }
    }
}
