//! Compiled code that is proven to be a policy, before anything of it ran.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::bindings::PolicyIndices;
use crate::budget::Tab;
use crate::compiler::one_line;
use crate::digest::Digest;
use crate::load_error::LoadCause;
use crate::proof;

/// Bytes in a page of linear memory, the unit in which wasmtime reports what a component needs.
const PAGE: u64 = 64 << 10;

/// Compiled code, shared by every module of the same digest.
pub(crate) struct Artifact {
    pub(crate) digest: Digest,
    pub(crate) pre: InstancePre<Tab>,
    pub(crate) exports: PolicyIndices,
    /// Bytes of linear memory that an instance needs to start.
    pub(crate) initial_memory: u64,
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Artifact {
    /// Proves that a component is a policy. Nothing of it runs yet.
    pub(crate) fn new(engine: &Engine, component: &Component, digest: Digest) -> Result<Self, LoadCause> {
        proof::shape(engine, component)?;
        let mismatch = |e: wasmtime::Error| LoadCause::Mismatch(one_line(&e));
        let linker = Linker::<Tab>::new(engine);
        let pre = linker.instantiate_pre(component).map_err(mismatch)?;
        let exports = PolicyIndices::new(&pre).map_err(mismatch)?;
        let initial_memory = component.resources_required().and_then(|r| r.max_initial_memory_size).unwrap_or(0) * PAGE;
        // The pages that instances share are written now, not on the first instance's time.
        component.initialize_copy_on_write_image().map_err(|e| LoadCause::Invalid(one_line(&e)))?;
        Ok(Self { digest, pre, exports, initial_memory })
    }
}
