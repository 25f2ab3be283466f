//! The export `pick`, written out instead of generated: it is called on every request.
//!
//! What is generated hands a verdict over in memory that the host gives back by a second call into the guest, after every
//! pick, although hardly any verdict holds memory. Here the last verdict is kept until the next pick, so there is nothing
//! to give back and no second call. The layouts are those of the canonical ABI (component model, CanonicalABI.md,
//! "Flattening" and "Storing"), with addresses of 32 bits.

use std::cell::UnsafeCell;

use super::Exported;
use crate::{Request, Verdict};

/// A verdict as the canonical ABI stores it: which case, and its one or three words.
#[repr(C)]
pub struct Stored {
    case: u32,
    words: [u32; 3],
}

/// The last verdict as the host reads it, and the verdict itself, which holds the memory that it points to.
struct Last {
    stored: Stored,
    verdict: Verdict,
}

struct Answer(UnsafeCell<Last>);

#[expect(unsafe_code, reason = "a static must be Sync")]
// SAFETY: a component of this contract has one thread.
unsafe impl Sync for Answer {}

static ANSWER: Answer =
    Answer(UnsafeCell::new(Last { stored: Stored { case: 0, words: [0; 3] }, verdict: Verdict::Node(0) }));

/// A value that may be absent, flat: whether it is there, then it.
type Flat<T> = (i32, T);
/// A list or a text, flat: its address and its length.
type Run = (usize, usize);

/// The request, flat, in the order of the contract.
pub struct Arguments {
    pub turn: u64,
    pub random: u64,
    pub now_ms: u64,
    pub key_hash: Flat<u64>,
    pub key: Flat<Run>,
    pub owner: Flat<u32>,
    pub loads: Flat<Run>,
    pub headers: Flat<Run>,
}

/// Picks, and stores the verdict where the host reads it.
///
/// # Safety
/// The addresses are those of blocks of this component's allocator that hold what the contract says and are nobody
/// else's: the host made them by `cabi_realloc` for this call.
#[inline(always)]
#[expect(unsafe_code, reason = "arguments of the canonical ABI are addresses")]
pub unsafe fn pick<P: Exported>(arguments: &Arguments) -> *const Stored {
    // SAFETY: by this function's contract; each is taken once. The host writes text as UTF-8 (CanonicalABI.md).
    let (key, loads, headers) = unsafe {
        let Arguments { key, loads, headers, .. } = arguments;
        let text = |run: Run| String::from_utf8_unchecked(owned(run));
        (present(*key).map(text), present(*loads).map(|run| owned(run)), present(*headers).map(|run| texts(run)))
    };
    let verdict = match P::slot().get() {
        Some(runtime) => {
            let (key_hash, number) = runtime.told(present(arguments.key_hash), key.is_some());
            runtime.pick(&Request {
                turn: arguments.turn,
                random: arguments.random,
                now_ms: arguments.now_ms,
                key_hash,
                number,
                key: key.as_deref(),
                owner: present(arguments.owner),
                loads: loads.as_deref().unwrap_or_default(),
                headers: headers.as_deref().unwrap_or_default(),
            })
        }
        None => super::unset(),
    };
    // SAFETY: one thread, and the host has read the verdict before it calls again.
    let last = unsafe { &mut *ANSWER.0.get() };
    last.stored = stored(&verdict);
    last.verdict = verdict;
    &raw const last.stored
}

fn present<T>((there, value): Flat<T>) -> Option<T> {
    (there != 0).then_some(value)
}

/// The list in a block that the host filled.
#[inline(always)]
#[expect(unsafe_code, reason = "a list comes as an address and a length")]
unsafe fn owned<T>((address, length): Run) -> Vec<T> {
    if length == 0 {
        // No block was made for nothing, and its address may be any.
        return Vec::new();
    }
    // SAFETY: by the contract of `pick`; the allocator tells blocks by size, and this is the size the host asked for.
    unsafe { Vec::from_raw_parts(address as *mut T, length, length) }
}

/// The list of texts that may be absent, from a block of triples: whether it is there, its address, its length.
#[cold]
#[expect(unsafe_code, reason = "a list comes as an address and a length")]
unsafe fn texts((address, length): Run) -> Vec<Option<String>> {
    // SAFETY: by the contract of `pick`; a triple is three words, the first one a byte and padding of any content.
    let triples = unsafe { owned::<[std::mem::MaybeUninit<u32>; 3]>((address, length)) };
    let each = triples.iter().enumerate().map(|(at, triple)| {
        // SAFETY: the byte lies within the block of triples; where it is not 0 the host has filled the other two words.
        unsafe {
            let there = ((address + at * size_of_val(triple)) as *const u8).read();
            let run = || (triple[1].assume_init() as usize, triple[2].assume_init() as usize);
            (there != 0).then(|| String::from_utf8_unchecked(owned(run())))
        }
    });
    each.collect()
}

#[inline(always)]
fn stored(verdict: &Verdict) -> Stored {
    let run = |list: &[u32]| [list.as_ptr() as u32, list.len() as u32, 0];
    let (case, words) = match verdict {
        Verdict::Node(index) => (0, [*index, 0, 0]),
        Verdict::Ranked(list) => (1, run(list)),
        Verdict::Only(index) => (2, [*index, 0, 0]),
        Verdict::Park(ms) => (3, [*ms, 0, 0]),
        Verdict::Refuse { status, reason } => (4, [u32::from(*status), reason.as_ptr() as u32, reason.len() as u32]),
        Verdict::Lightest(list) => (5, run(list)),
    };
    Stored { case, words }
}
