//! The glue between the contract and a policy: only in a build for Wasm. Generated code stands in [`bindings`] alone.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::marker::PhantomData;

use self::bindings::exports::pointsman::policy::routing as wire;
use crate::heap::{Blocks, Pages, class};
use crate::{KeyNeed, Node, Outcome, Policy, Request, Runtime, Standing, Verdict};

pub mod pick;

/// What wit-bindgen makes of the contract, but for `pick`.
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::pedantic, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/policy.wit",
        world: "policy",
        pub_export_macro: true,
        export_macro_name: "export_component",
        disable_run_ctors_once_workaround: true,
        skip: ["pick"],
    });
}

/// A policy that `export_policy!` was given.
pub trait Exported: Policy {
    /// The crate's name.
    const NAME: &'static str;
    /// The crate's version.
    const VERSION: &'static str;
    /// Where the component keeps its one policy.
    fn slot() -> &'static Slot<Self>;
}

/// Where a component keeps its one policy.
pub struct Slot<P>(UnsafeCell<Option<Runtime<P>>>);

#[expect(unsafe_code, reason = "a static must be Sync")]
// SAFETY: a component of this contract has one thread: it imports nothing that could start another.
unsafe impl<P> Sync for Slot<P> {}

impl<P> Slot<P> {
    /// Empty: the policy was not set up yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "the one policy of the component is reached from each of its exports")]
    #[expect(clippy::mut_from_ref, reason = "the contract forbids re-entry: there is one borrow at a time")]
    fn get(&self) -> &mut Option<Runtime<P>> {
        // SAFETY: one thread; each export borrows once and calls nothing outside the component, and the component
        // model traps a call that enters a component again. So no two borrows are alive together.
        unsafe { &mut *self.0.get() }
    }
}

/// The exports of a component whose policy is `P`.
pub struct Component<P>(PhantomData<P>);

impl<P: Exported> wire::Guest for Component<P> {
    fn describe() -> wire::About {
        wire::About { name: P::NAME.to_owned(), version: P::VERSION.to_owned(), pins: P::PINS }
    }

    fn configure(settings: String) -> Result<wire::Needs, String> {
        let (runtime, needs) = Runtime::configure(&settings)?;
        *P::slot().get() = Some(runtime);
        Ok(wire::Needs {
            key: match needs.key {
                KeyNeed::None => wire::KeyNeed::None,
                KeyNeed::Hash => wire::KeyNeed::Hash,
                KeyNeed::Text => wire::KeyNeed::Text,
                KeyNeed::Number => wire::KeyNeed::Number,
            },
            loads: needs.loads,
            owner: needs.owner,
            headers: needs.headers,
            observations: needs.observations,
        })
    }

    fn members(nodes: Vec<wire::Node>, standing: wire::Standing) {
        if let Some(runtime) = P::slot().get() {
            runtime.members(nodes.into_iter().map(node).collect(), &stand(standing));
        }
    }

    fn standing_changed(standing: wire::Standing) {
        if let Some(runtime) = P::slot().get() {
            runtime.standing_changed(&stand(standing));
        }
    }

    fn pick_again(request: wire::Request, attempt: u32, tried: Vec<u32>) -> wire::Verdict {
        match P::slot().get() {
            Some(runtime) => verdict(runtime.pick_again(&view(runtime, &request), attempt, &tried)),
            None => verdict(unset()),
        }
    }

    fn explain(request: wire::Request) -> String {
        match P::slot().get() {
            Some(runtime) => runtime.explain(&view(runtime, &request)),
            None => "the policy was not configured".to_owned(),
        }
    }

    fn observe(outcomes: Vec<wire::Outcome>) {
        let own = |o: wire::Outcome| Outcome { node: o.node, status: o.status, latency_us: o.latency_us };
        if let Some(runtime) = P::slot().get() {
            runtime.observe(&outcomes.into_iter().map(own).collect::<Vec<_>>());
        }
    }

    fn save() -> Vec<u8> {
        P::slot().get().as_ref().map(Runtime::save).unwrap_or_default()
    }

    fn restore(from_version: String, state: Vec<u8>) -> Result<(), String> {
        match P::slot().get() {
            Some(runtime) => runtime.restore(&from_version, &state),
            None => Err("the policy was not configured".to_owned()),
        }
    }
}

#[cold]
fn unset() -> Verdict {
    Verdict::refuse(503, "the policy was not configured")
}

fn node(node: wire::Node) -> Node {
    let wire::Node { id, ordinal, weight, zone, labels } = node;
    Node { id, ordinal, weight, zone, labels }
}

fn stand(standing: wire::Standing) -> Standing {
    let wire::Standing { state, share, primary, high_water } = standing;
    Standing { state, share, primary, high_water }
}

fn view<'a, P: Policy>(runtime: &Runtime<P>, request: &'a wire::Request) -> Request<'a> {
    let (key_hash, number) = runtime.told(request.key_hash, request.key.is_some());
    Request {
        turn: request.turn,
        random: request.random,
        now_ms: request.now_ms,
        key_hash,
        number,
        key: request.key.as_deref(),
        owner: request.owner,
        loads: request.loads.as_deref().unwrap_or_default(),
        headers: request.headers.as_deref().unwrap_or_default(),
    }
}

#[inline(always)]
fn verdict(verdict: Verdict) -> wire::Verdict {
    match verdict {
        Verdict::Node(index) => wire::Verdict::Node(index),
        Verdict::Only(index) => wire::Verdict::Only(index),
        Verdict::Ranked(list) => wire::Verdict::Ranked(list),
        Verdict::Lightest(list) => wire::Verdict::Lightest(list),
        Verdict::Park(ms) => wire::Verdict::Park(ms),
        Verdict::Refuse { status, reason } => {
            wire::Verdict::Refuse(wire::Refusal { status, reason: reason.into_owned() })
        }
    }
}

/// The component's allocator.
struct Heap(UnsafeCell<Blocks>);

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Blocks::new()));

#[expect(unsafe_code, reason = "a static must be Sync")]
// SAFETY: a component of this contract has one thread.
unsafe impl Sync for Heap {}

/// The module's linear memory, which only this allocator grows.
struct Linear;

impl Pages for Linear {
    fn more(&mut self, bytes: usize) -> Option<(usize, usize)> {
        const PAGE: usize = 64 << 10;
        let pages = bytes.div_ceil(PAGE);
        match core::arch::wasm32::memory_grow::<0>(pages) {
            usize::MAX => None,
            before => Some((before * PAGE, pages * PAGE)),
        }
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: `Blocks` hands out memory that nobody else has, aligned to 16; a larger alignment is refused with null.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class(layout.size()) {
            // SAFETY: one thread, and `take` calls nothing that allocates; the memory behind `Linear` is ours alone.
            Some(class) if layout.align() <= 16 => unsafe { (*self.0.get()).take(class, &mut Linear) as *mut u8 },
            _ => std::ptr::null_mut(),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(class) = class(layout.size()) {
            // SAFETY: by the trait, `block` came from `alloc` with this layout, so with this class, and is done with.
            unsafe { (*self.0.get()).put(class, block as usize) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if class(layout.size()) == class(size) {
            return block;
        }
        // SAFETY: by the trait, `size` is not 0 and does not overflow with this alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks hold the smaller of the two sizes and are different blocks.
            unsafe {
                std::ptr::copy_nonoverlapping(block, new, size.min(layout.size()));
                self.dealloc(block, layout);
            }
        }
        new
    }
}
