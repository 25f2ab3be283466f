//! The allocator over memory that the test lends it.
#![expect(unsafe_code, reason = "the test hands out raw memory and writes to the blocks it is given")]

use proptest::prelude::*;

use super::{Blocks, Pages, class};

/// Lends pieces of one buffer.
struct Lent {
    buffer: Vec<u128>,
    used: usize,
    step: usize,
}

impl Lent {
    fn new(bytes: usize, step: usize) -> Self {
        Self { buffer: vec![0; bytes / 16], used: 0, step }
    }
}

impl Pages for Lent {
    fn more(&mut self, bytes: usize) -> Option<(usize, usize)> {
        let length = bytes.next_multiple_of(self.step);
        let start = self.buffer.as_mut_ptr() as usize + self.used;
        (self.used + length <= self.buffer.len() * 16).then(|| {
            self.used += length;
            (start, length)
        })
    }
}

#[test]
fn a_class_is_the_least_that_holds_the_size() {
    for (size, expected) in [(0, 0), (1, 0), (16, 0), (17, 1), (32, 1), (33, 2), (4096, 8), (4097, 9)] {
        assert_eq!(class(size), Some(expected), "{size} bytes");
        assert!(16 << expected >= size);
    }
    assert_eq!(class(usize::MAX), None);
}

#[test]
fn memory_that_ran_out_is_told_and_does_no_harm() {
    let mut pages = Lent::new(4096, 64);
    let mut blocks = Blocks::new();
    // SAFETY: the buffer outlives the blocks, and no block is used after it was given back.
    unsafe {
        let all: Vec<usize> = std::iter::repeat_with(|| blocks.take(4, &mut pages)).take_while(|&b| b != 0).collect();
        assert_eq!(all.len(), 16);
        blocks.put(4, all[7]);
        assert_eq!(blocks.take(4, &mut pages), all[7]);
        assert_eq!(blocks.take(4, &mut pages), 0);
    }
}

proptest! {
    /// Blocks in use never overlap and are aligned, in any order of takes and puts; what is given back is used again.
    #[test]
    fn blocks_never_overlap(steps in prop::collection::vec((any::<bool>(), 0usize..3000, any::<u8>()), 1..200)) {
        let mut pages = Lent::new(1 << 20, 4096);
        let mut blocks = Blocks::new();
        let mut held: Vec<(usize, usize, u8)> = Vec::new();
        for (take, size, mark) in steps {
            if take || held.is_empty() {
                let class = class(size).unwrap();
                // SAFETY: the buffer outlives the blocks; the marks are written inside the block just taken.
                let block = unsafe { blocks.take(class, &mut pages) };
                prop_assert!(block != 0 && block % 16 == 0);
                unsafe { (block as *mut u8).write_bytes(mark, 16 << class) };
                held.push((block, class, mark));
            } else {
                let (block, class, mark) = held.swap_remove(size % held.len());
                // SAFETY: the block is held, so all its bytes may be read, and then it is given back once.
                let bytes = unsafe { std::slice::from_raw_parts(block as *const u8, 16 << class) };
                prop_assert!(bytes.iter().all(|&byte| byte == mark), "another block wrote here");
                unsafe { blocks.put(class, block) };
            }
        }
    }
}
