//! What one call may cost: fuel, which is the same on every run, and behind it the watchdog's processor time.

use std::time::Duration;

use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::cpu;
use crate::limits::Caps;

/// Epochs until the watchdog first looks at a call: at least one whole tick.
const FIRST_LOOK: u64 = 2;

/// What one call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Units of fuel, about one per instruction executed.
    pub(crate) fuel: u64,
    /// Processor time after which the watchdog stops a call that fuel did not: some instructions cost far more time than fuel
    /// (growing a memory by nothing, dividing).
    pub(crate) time: Duration,
}

impl Budget {
    /// The budget that corresponds to a time, at a rate of fuel per millisecond.
    pub(crate) fn of(time: Duration, fuel_per_ms: u64) -> Self {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self { fuel: micros.saturating_mul(fuel_per_ms) / 1000, time }
    }
}

/// What calls of a module may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budgets {
    /// A pick, or an explanation.
    pub(crate) pick: Budget,
    /// Starting, being configured, being told the members.
    pub(crate) setup: Budget,
}

/// What a store carries: its caps, and what the watchdog remembers of the call under way.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) caps: Caps,
    allowance: Duration,
    first_seen: Option<Duration>,
}

impl Tab {
    pub(crate) fn new(caps: Caps) -> Self {
        Self { caps, allowance: Duration::ZERO, first_seen: None }
    }
}

/// Makes the store stop calls that overrun. Call once per store.
pub(crate) fn install(store: &mut Store<Tab>) {
    store.limiter(|tab| &mut tab.caps);
    store.epoch_deadline_callback(look);
}

/// Fills the tank for the next call: a few plain writes.
pub(crate) fn begin(store: &mut Store<Tab>, budget: Budget) {
    store.set_fuel(budget.fuel).expect("the engine counts fuel");
    store.set_epoch_deadline(FIRST_LOOK);
    let tab = store.data_mut();
    tab.allowance = budget.time;
    tab.first_seen = None;
    tab.caps.denied = false;
}

/// The watchdog's look at a call. Wall time proves nothing on a busy machine, where a worker may be off its core for
/// longer than a budget; so the first look notes the thread's processor time, and a later one stops the call when
/// more than the budget has gone by since. A call that ends before the first look, as nearly all do, reads no clock.
#[expect(clippy::unnecessary_wraps, reason = "wasmtime's callback signature")]
fn look(mut store: StoreContextMut<'_, Tab>) -> wasmtime::Result<UpdateDeadline> {
    let tab = store.data_mut();
    let now = cpu::thread_time();
    let since = *tab.first_seen.get_or_insert(now);
    let over = now.saturating_sub(since) >= tab.allowance && now > since;
    Ok(if over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_follows_the_time() {
        assert_eq!(Budget::of(Duration::from_millis(2), 1_000).fuel, 2_000);
        assert_eq!(Budget::of(Duration::from_micros(250), 1_000).fuel, 250);
    }

    #[test]
    fn an_endless_budget_does_not_overflow() {
        assert_eq!(Budget::of(Duration::MAX, 1_000).fuel, u64::MAX / 1000);
    }
}
