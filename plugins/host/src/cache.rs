//! Compiled code by digest, for as long as somebody uses it: a reload that changes nothing compiles nothing.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::artifact::Artifact;
use crate::digest::Digest;

/// Remembers artifacts without keeping them alive.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    known: Mutex<HashMap<Digest, Weak<Artifact>>>,
}

impl Cache {
    pub(crate) fn find(&self, digest: Digest) -> Option<Arc<Artifact>> {
        self.known.lock().get(&digest)?.upgrade()
    }

    /// Remembers one, and forgets those that nobody uses any more.
    pub(crate) fn remember(&self, artifact: &Arc<Artifact>) {
        let mut known = self.known.lock();
        known.retain(|_, weak| weak.strong_count() > 0);
        known.insert(artifact.digest, Arc::downgrade(artifact));
    }

    /// How many are remembered, used or not.
    pub(crate) fn len(&self) -> usize {
        self.known.lock().len()
    }
}
