//! Compiled functions by what they were compiled from: a new version of a policy compiles only what has changed in it.
//!
//! Policies share much of their code (the SDK, the settings' reader), and a new version of one shares nearly all with the
//! one before. The key is a digest of everything that goes into a function's code, made by the compiler itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;

use parking_lot::Mutex;
use wasmtime::CacheStore;

/// Bytes that are remembered at most. The functions of one policy take some 250 KiB.
const BYTES: usize = 8 << 20;

/// What is remembered, in two halves: what was used since the younger half was last full, and what was used before that. So
/// what is used stays, and forgetting needs no list of uses.
#[derive(Debug, Default)]
pub(crate) struct Functions(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Vec<u8>, Vec<u8>>,
    old: HashMap<Vec<u8>, Vec<u8>>,
    /// Bytes in the younger half.
    bytes: usize,
}

impl Halves {
    fn find(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(code) = self.young.get(key) {
            return Some(code.clone());
        }
        let (key, code) = self.old.remove_entry(key)?;
        self.remember(key, code.clone());
        Some(code)
    }

    fn remember(&mut self, key: Vec<u8>, code: Vec<u8>) {
        let bytes = key.len() + code.len();
        if bytes > BYTES / 2 {
            return;
        }
        if self.bytes + bytes > BYTES / 2 {
            self.old = mem::take(&mut self.young);
            self.bytes = 0;
        }
        let key_bytes = key.len();
        let before = self.young.insert(key, code);
        self.bytes = self.bytes + bytes - before.map_or(0, |code| key_bytes + code.len());
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.0.lock().find(key).map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.0.lock().remember(key.to_vec(), value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(functions: &Functions) -> usize {
        let halves = functions.0.lock();
        [&halves.young, &halves.old].into_iter().flatten().map(|(key, code)| key.len() + code.len()).sum()
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let functions = Functions::default();
        functions.insert(b"used", vec![7; 100]);
        functions.insert(b"idle", vec![8; 100]);
        for number in 0..100_u32 {
            functions.insert(&number.to_be_bytes(), vec![0; 200_000]);
            assert_eq!(functions.get(b"used").as_deref(), Some(&[7; 100][..]), "after {number}");
        }
        assert_eq!(functions.get(b"idle"), None);
    }

    #[test]
    fn one_that_is_too_large_displaces_nothing() {
        let functions = Functions::default();
        functions.insert(b"small", vec![1]);
        functions.insert(b"large", vec![0; BYTES]);
        assert_eq!((functions.get(b"small").is_some(), functions.get(b"large")), (true, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever is put in and asked for, in any order, what is held is bounded, and what is found is what was put in.
        #[test]
        fn it_is_bounded_and_never_wrong(steps in prop::collection::vec((0_u8..20, 0_usize..2_000_000, any::<bool>()), 1..60)) {
            let functions = Functions::default();
            for (key, bytes, put) in steps {
                if put {
                    functions.insert(&[key], vec![key; bytes]);
                } else if let Some(code) = functions.get(&[key]) {
                    prop_assert!(code.iter().all(|byte| *byte == key));
                }
                prop_assert!(held(&functions) <= BYTES, "{}", held(&functions));
            }
        }
    }
}
