//! The one wasmtime engine of a host, and the watchdog that advances its epoch.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak, OptLevel};

use crate::functions::Functions;

/// Time between two epochs: how finely the watchdog measures.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Address space set aside for one linear memory. Nothing is committed by it. As it covers all that 32 bits address,
/// compiled code needs no bounds checks (the guard catches what is beyond) and a memory never moves. 47 bits of address space hold
/// 30,000 such memories: a thousand services on thirty workers.
const RESERVATION: u64 = 4 << 30;

/// Stack that a guest may use. Workers have 2 MiB; the proxy's own frames beneath a pick take a small part of it.
const STACK: usize = 512 << 10;

/// An engine for policies: fuel and epochs on, results the same on every machine.
pub(crate) fn new() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.cranelift_opt_level(OptLevel::Speed);
    config.max_wasm_stack(STACK);
    config.memory_reservation(RESERVATION);
    config.memory_may_move(false);
    config.guard_before_linear_memory(false);
    // Instances share the pages of their initial memory until they write to them.
    config.memory_init_cow(true);
    config.wasm_memory64(false);
    // A decision replays bit for bit on other hardware.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    config.concurrency_support(false);
    config.enable_incremental_compilation(Arc::new(Functions::default()))?;
    // A trap names the functions it passed through; eight are enough to find it.
    config.wasm_backtrace_max_frames(NonZeroUsize::new(8));
    config.generate_address_map(false);
    Engine::new(&config)
}

/// Starts the thread that advances the epoch. It ends by itself once the engine is gone.
pub(crate) fn watch(engine: &Engine) -> std::io::Result<()> {
    let weak: EngineWeak = engine.weak();
    std::thread::Builder::new().name("policy-watchdog".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            let Some(engine) = weak.upgrade() else { return };
            engine.increment_epoch();
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;

    use super::*;
    use crate::builtin;

    /// Nothing but time may depend on what was compiled before.
    #[test]
    fn functions_that_are_remembered_are_the_same_code() {
        let code = |engine: &Engine, name| {
            let component =
                Component::from_binary(engine, builtin(name).expect("a built-in policy")).expect("a component");
            component.serialize().expect("its code")
        };
        let fresh = code(&new().expect("an engine"), "round-robin");
        let engine = new().expect("an engine");
        code(&engine, "two-choices");
        assert!(code(&engine, "round-robin") == fresh, "after another policy");
        assert!(code(&engine, "round-robin") == fresh, "after itself");
    }
}
