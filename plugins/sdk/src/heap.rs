//! The guest's allocator: free lists of power-of-two blocks.
//!
//! The key and the loads of a request reach the guest through its allocator, on every pick. The default one (dlmalloc)
//! searches and coalesces: it costs two to three times as much a call, and 6 KB of code. Here a call pops or pushes one
//! list. The price is rounding: a block is up to twice what was asked for, and a free block serves its own size only,
//! so the memory of a policy is bounded by twice the sum, over sizes, of the most it ever held at once.

/// The smallest block, and the alignment of all.
const SMALLEST: usize = 16;
/// Sizes are 16 B, 32 B, ... 2 GiB.
const CLASSES: usize = 28;

/// Where fresh memory comes from.
pub(crate) trait Pages {
    /// At least `bytes` more, as `(start, length)`; `None` when there is no more to be had. Starts are multiples of 16.
    fn more(&mut self, bytes: usize) -> Option<(usize, usize)>;
}

/// Free lists, and the fresh memory not yet cut into blocks.
pub(crate) struct Blocks {
    free: [usize; CLASSES],
    fresh: usize,
    end: usize,
}

/// Which list serves a size; `None` over 2 GiB.
#[inline]
pub(crate) fn class(size: usize) -> Option<usize> {
    let class = (size.max(SMALLEST) - 1).ilog2() as usize - 3;
    (class < CLASSES).then_some(class)
}

impl Blocks {
    pub(crate) const fn new() -> Self {
        Self { free: [0; CLASSES], fresh: 0, end: 0 }
    }

    /// Takes the address of a block of a class; 0 when there is no memory left.
    ///
    /// # Safety
    /// Whatever [`Pages::more`] gave out belongs to this value alone, and what was given back is not used any more.
    #[inline]
    #[expect(unsafe_code, reason = "the list of free blocks stands in the blocks themselves")]
    pub(crate) unsafe fn take(&mut self, class: usize, pages: &mut impl Pages) -> usize {
        let head = self.free[class];
        if head == 0 {
            return self.cut(SMALLEST << class, pages);
        }
        // SAFETY: `head` was given back by `put`, which wrote the next free block into it; nobody uses it since.
        self.free[class] = unsafe { (head as *const usize).read() };
        head
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// `block` came from `take` with the same class and is not used any more.
    #[inline]
    #[expect(unsafe_code, reason = "the list of free blocks stands in the blocks themselves")]
    pub(crate) unsafe fn put(&mut self, class: usize, block: usize) {
        // SAFETY: the block is ours again, 16 bytes or more and aligned to 16: room for one address.
        unsafe { (block as *mut usize).write(self.free[class]) };
        self.free[class] = block;
    }

    /// Cuts a block off the fresh memory.
    #[cold]
    fn cut(&mut self, size: usize, pages: &mut impl Pages) -> usize {
        if self.end - self.fresh < size {
            let Some((start, length)) = pages.more(size) else { return 0 };
            if start == self.end {
                self.end += length;
            } else {
                (self.fresh, self.end) = (start, start + length);
            }
        }
        let block = self.fresh;
        self.fresh += size;
        block
    }
}

#[cfg(test)]
mod tests;
