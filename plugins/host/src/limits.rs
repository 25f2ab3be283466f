//! What an instance may hold.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Entries of all tables of an instance. The largest seen in the field, a JavaScript engine, has 12,000.
const TABLE_ENTRIES: usize = 100_000;
/// Core instances in a component: the module, its adapters and shims (a JavaScript component has four).
const INSTANCES: usize = 32;
/// Tables in a component.
const TABLES: usize = 32;
/// Memories in a component.
const MEMORIES: usize = 8;

/// What the operator grants a policy (`policies.NAME.budget` and `.memory`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time that one pick may take.
    pub budget: Duration,
    /// Linear memory that one instance may hold, in bytes.
    pub memory: u64,
}

impl Default for Limits {
    /// 1 ms and 16 MiB.
    fn default() -> Self {
        Self { budget: Duration::from_millis(1), memory: 16 << 20 }
    }
}

/// Keeps the books of one instance. Growth beyond a cap is denied, as the specification of `memory.grow` foresees;
/// that it was is remembered, so that the trap which usually follows is called by its name.
#[derive(Debug)]
pub(crate) struct Caps {
    memory: usize,
    memory_used: usize,
    table_used: usize,
    pub(crate) denied: bool,
}

impl Caps {
    pub(crate) fn new(limits: &Limits) -> Self {
        let memory = usize::try_from(limits.memory).unwrap_or(usize::MAX);
        Self { memory, memory_used: 0, table_used: 0, denied: false }
    }
}

/// Whether `used` may grow by the step from `current` to `desired`; counts it when it may.
fn grow(used: &mut usize, cap: usize, current: usize, desired: usize) -> bool {
    let Some(after) = used.checked_add(desired.saturating_sub(current)) else { return false };
    let granted = after <= cap;
    if granted {
        *used = after;
    }
    granted
}

impl ResourceLimiter for Caps {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond its own maximum the guest is at fault by its own word; that is no denial of ours.
        if maximum.is_some_and(|max| desired > max) {
            return Ok(false);
        }
        let granted = grow(&mut self.memory_used, self.memory, current, desired);
        self.denied |= !granted;
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.denied = true;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|max| desired > max) {
            return Ok(false);
        }
        let granted = grow(&mut self.table_used, TABLE_ENTRIES, current, desired);
        self.denied |= !granted;
        Ok(granted)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(memory: u64) -> Caps {
        Caps::new(&Limits { memory, ..Limits::default() })
    }

    #[test]
    fn memories_share_one_cap() {
        let mut caps = caps(100);
        assert!(caps.memory_growing(0, 60, None).unwrap());
        assert!(!caps.memory_growing(0, 41, None).unwrap(), "a second memory");
        assert!(caps.denied);
        assert!(caps.memory_growing(0, 40, None).unwrap());
    }

    #[test]
    fn what_was_denied_is_not_counted() {
        let mut caps = caps(100);
        for _ in 0..10 {
            assert!(!caps.memory_growing(0, 200, None).unwrap());
        }
        assert!(caps.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn a_guests_own_maximum_is_no_denial() {
        let mut caps = caps(100);
        assert!(!caps.memory_growing(10, 30, Some(20)).unwrap());
        assert!(!caps.denied);
    }

    #[test]
    fn tables_are_capped() {
        let mut caps = caps(100);
        assert!(caps.table_growing(0, TABLE_ENTRIES, None).unwrap());
        assert!(!caps.table_growing(TABLE_ENTRIES, TABLE_ENTRIES + 1, None).unwrap());
        assert!(caps.denied);
    }

    #[test]
    fn absurd_growth_does_not_overflow() {
        let mut caps = caps(100);
        assert!(caps.memory_growing(0, 100, None).unwrap());
        assert!(!caps.memory_growing(0, usize::MAX, None).unwrap());
    }
}
