//! Work benches that no connection uses just now.

use std::any::Any;

/// Benches of any type; a process uses one type, a test thread may use several.
#[derive(Default)]
pub(super) struct Benches {
    free: Vec<Box<dyn Any>>,
    /// The fewest that were free since the last trim: those nobody needed.
    unused: usize,
}

impl Benches {
    pub(super) fn take<B: Any>(&mut self) -> Option<Box<B>> {
        let bench = self.free.pop()?;
        self.unused = self.unused.min(self.free.len());
        bench.downcast().ok()
    }

    pub(super) fn put(&mut self, bench: Box<dyn Any>) {
        self.free.push(bench);
    }

    /// Frees half of what was not needed since the last call, so that a burst's memory goes back within seconds. Whether
    /// any are left.
    pub(super) fn trim(&mut self) -> bool {
        self.free.drain(..self.unused.div_ceil(2));
        self.unused = self.free.len();
        !self.free.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_needed_is_freed_by_halves() {
        let mut benches = Benches::default();
        for number in 0..8u32 {
            benches.put(Box::new(number));
        }
        assert!(benches.trim(), "they came since the last look");
        assert_eq!(benches.free.len(), 8);
        let taken: Box<u32> = benches.take().unwrap();
        benches.put(taken);
        benches.trim();
        assert_eq!(benches.free.len(), 4, "seven lay unused, four of them go");
        for _ in 0..4 {
            benches.trim();
        }
        assert!(!benches.trim());
    }

    #[test]
    fn a_bench_of_another_type_is_not_taken_for_this_one() {
        let mut benches = Benches::default();
        benches.put(Box::new("text"));
        assert_eq!(benches.take::<u32>(), None);
    }
}
